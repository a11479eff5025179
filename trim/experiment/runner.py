"""The models of an experiment behind the store of draws; a model is loaded only when a draw is missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Generic, TypeVar

from trim.engine.cached import Alteration, AlteredPRM, CachedLM, CachedPRM, Distorted, Fused
from trim.engine.episode import Episode
from trim.engine.judge import AnswerJudge
from trim.engine.loop import run
from trim.engine.policy import Policy
from trim.engine.rounds import Rounds
from trim.engine.store import Draws, DrawStore, Node
from trim.experiment.params import Params
from trim.ledger.calls import Role
from trim.models.cost import ModelCost
from trim.models.distortion import Distortion
from trim.models.fusion import Fusion
from trim.models.load import language_model, name, reward_model, weights
from trim.models.settings import Definition, Model, RewardModel
from trim.problems import Problem
from trim.progress import Tracker

Store = TypeVar("Store", bound=DrawStore)
_TOGETHER = 512  # problems that are solved side by side: the prefix caches hold about as many


class Runner(Generic[Store]):
    """Writers and scorer of an experiment.

    Args:
        params: the experiment.
        draws: the draws made before; also takes the new ones.
        tracker: shows progress.
    """

    def __init__(self, params: Params, draws: Store, tracker: Tracker) -> None:
        self.params, self.draws, self.tracker = params, draws, tracker

    @staticmethod
    def open(params: Params, layers: Sequence[Path], journal: Path | None, tracker: Tracker) -> Runner[Draws]:
        """A runner on the layers of earlier rules, with a journal for new draws.

        Raises:
            TrimError: if a layer or the journal is damaged or missing.
        """
        return Runner(params, Draws(layers, journal), tracker)

    def with_reward_model(self, prm: RewardModel) -> Runner[Store]:
        """The same runner with another reward model."""
        models = self.params.models.model_copy(update={"prm": prm})
        return Runner(self.params.model_copy(update={"models": models}), self.draws, self.tracker)

    def with_distortion(self, distortion: Distortion) -> Runner[Store]:
        """The same runner with distorted scores."""
        return self.with_reward_model(self.params.models.prm.model_copy(update={"distortion": distortion}))

    def with_sample(self, sample: int) -> Runner[Store]:
        """The same runner for another set of solutions."""
        generation = self.params.generation.model_copy(update={"sample": self.params.generation.sample + sample})
        return Runner(self.params.model_copy(update={"generation": generation}), self.draws, self.tracker)

    def with_step(self, step: Definition) -> Runner[Store]:
        """The same runner with another definition of a step."""
        sampling = self.params.generation.sampling.model_copy(update={"step": step})
        generation = self.params.generation.model_copy(update={"sampling": sampling})
        return Runner(self.params.model_copy(update={"generation": generation}), self.draws, self.tracker)

    @cached_property
    def weak(self) -> CachedLM:
        """The weak model."""
        return self._writer(self.params.models.weak)

    @cached_property
    def strong(self) -> CachedLM:
        """The strong model."""
        return self._writer(self.params.models.strong)

    @cached_property
    def scorer(self) -> CachedPRM:
        """The process reward model."""
        model = self.params.models.prm
        chat = model.chat(self.params.generation.instruction)
        scorer = (
            f"{name(model)}/{json.dumps(chat)}",
            None if self.params.replay else lambda: reward_model(model, chat, self.draws.folder),
            self.draws,
            model.batch_size,
            self.tracker.batch,
        )
        alterations: list[Alteration] = [Distorted(model.distortion)] if model.distortion else []
        if model.evidence:
            alterations.append(Fused(Fusion.load(Path(model.evidence)), self.weak))
        return AlteredPRM(alterations, *scorer) if alterations else CachedPRM(*scorer)

    @property
    def models(self) -> dict[Role, CachedLM | CachedPRM]:
        """The three models by role."""
        return {"weak": self.weak, "strong": self.strong, "prm": self.scorer}

    @property
    def judge(self) -> AnswerJudge:
        """The judge of answers."""
        return AnswerJudge(self.draws, numbers=self.params.generation.answer == "number")

    def costs(self) -> dict[str, ModelCost]:
        """Prices of each model."""
        return {role: ModelCost.of(model, weights(model)) for role, model in self.params.models}

    def prompt_tokens(self, problems: Sequence[Problem], *roles: Role) -> dict[Role, list[int]]:
        """Tokens of each model's prompt of each problem, before the first step."""
        roots = [Node.root(problem.question, self.params.generation.sampling.separator) for problem in problems]
        return {role: self.models[role].prompt_tokens(roots) for role in roles}

    def rounds(self, watch: Callable[[Episode], None] | None = None) -> Rounds:
        """The rounds that episodes of this experiment join."""
        generation = self.params.generation
        return Rounds(self.weak, self.strong, self.scorer, generation.max_steps, generation.ends, watch)

    def run(
        self,
        problems: Sequence[Problem],
        policies: Sequence[Policy],
        watch: Callable[[Episode], None] | None = None,
        prompts: Mapping[Role, Sequence[int]] | None = None,
    ) -> list[Episode]:
        """Solve every problem under every policy; see `trim.engine.loop.run`."""
        generation, episodes = self.params.generation, list[Episode]()
        solve = partial(
            run,
            policies=policies,
            weak=self.weak,
            strong=self.strong,
            scorer=self.scorer,
            max_steps=generation.max_steps,
            judge=self.judge,
            watch=watch,
            separator=generation.sampling.separator,
            ends=generation.ends,
        )
        total = len(problems) * len(policies)
        for start in range(0, len(problems), _TOGETHER):

            def progress(done: int, _: int, before: int = len(episodes)) -> None:
                self.tracker.advanced(before + done, total)

            some = slice(start, start + _TOGETHER)
            questions = {role: lengths[some] for role, lengths in (prompts or {}).items()}
            episodes += solve(problems[some], progress=progress, prompts=questions)
        return sorted(episodes, key=lambda episode: episode.policy)

    def _writer(self, model: Model) -> CachedLM:
        generation, sampling = self.params.generation, self.params.generation.sampling
        if model.repetition_penalty is not None:
            sampling = sampling.model_copy(update={"repetition_penalty": model.repetition_penalty})
        drawn = f"{generation.seed}.{generation.sample}"
        parts = [name(model), sampling.model_dump_json(), json.dumps(generation.chat), drawn]
        return CachedLM(
            "/".join(parts),
            None if self.params.replay else lambda: language_model(model, sampling, generation.chat, self.draws.folder),
            self.draws,
            model.batch_size,
            self.tracker.batch,
        )
