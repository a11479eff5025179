"""Routers of whole queries: one model for the whole problem, chosen from the question alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from trim.engine.actions import Action, Phase
from trim.engine.policy import Observation, Policy
from trim.models.embeddings import Embedding, embedder
from trim.routers.always import STRONG, WEAK
from trim.routers.base import Params as BaseParams
from trim.routers.base import Sweep, SweepRouter, Trial, threshold

Scores = Callable[[Sequence[str]], np.ndarray]
Shares = tuple[Annotated[float, Field(gt=0, lt=1)], ...]


class Delegate(Policy):
    """The strong model solves the problems whose score is above a threshold.

    Args:
        scores: scores of n problems, shape (n,).
        threshold: see above.
    """

    rater, judges = None, False

    def __init__(self, scores: Scores, threshold: float) -> None:
        self._scores, self._threshold = scores, threshold

    def decide(self, phase: Phase, observation: Observation) -> np.ndarray:
        """See `Policy.decide`."""
        if observation.strong.shape[1]:
            chosen = observation.strong[:, -1]
        else:
            chosen = self._scores([problem.question for problem in observation.problems]) > self._threshold
        return np.where(chosen, Action.DELEGATE, Action.DRAFT)


@dataclass(frozen=True)
class Labels:
    """Training data of a query router: n problems of the train split, solved by each model alone.

    Attributes:
        embeddings: embeddings of the questions, standardised, shape (n, d).
        weak, strong: correctness of each model's answers, shape (n,).
        trial: the trial, for other needs of a router.
    """

    embeddings: np.ndarray
    weak: np.ndarray
    strong: np.ndarray
    trial: Trial

    @property
    def preference(self) -> np.ndarray:
        """1 where the strong model wins, 0 where the weak one does, 0.5 for ties, shape (n,)."""
        return (1 + self.strong.astype(float) - self.weak) / 2


class QueryRouter(SweepRouter):
    """Learns on the train split which questions are worth the strong model; one setting per share handed over.

    Fitting also finds the share that spends each budget on the validation split; a share is
    turned into a threshold by the scores of the validation problems.
    """

    group = "query"
    needs_fitting = True
    needs = frozenset({"train_rollouts"})

    class Params(BaseParams):
        """The questions' embedding, and the shares of problems to hand over, one policy each."""

        embedding: Embedding = Embedding()
        shares: Shares = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

    @abstractmethod
    def learn(self, labels: Labels) -> dict[str, np.ndarray]:
        """The arrays that `score` needs."""

    @abstractmethod
    def score(self, embeddings: np.ndarray, learned: Mapping[str, np.ndarray]) -> np.ndarray:
        """The strong model's value on n questions, in any unit, shape (n,); embeddings have shape (n, d)."""

    def prepare(self, trial: Trial) -> dict[str, Any]:
        """Standardisation, learned arrays, and scores of the validation problems."""
        weak, strong = (trial.episodes(end, "train") for end in (WEAK, STRONG))
        raw = embedder(self.params.embedding)([episode.problem.question for episode in weak])
        learned = {"mean": raw.mean(axis=0), "deviation": deviation(raw)}
        right = [np.array([episode.correct for episode in solved]) for solved in (weak, strong)]
        learned |= self.learn(Labels(_standardised(raw, learned), right[0], right[1], trial))
        self.fitted = {name: np.asarray(array, dtype=np.float32) for name, array in learned.items()}
        return self.fitted | {"validation": self.scores([problem.question for problem in trial.problems])}

    def sweep(self) -> Sweep:
        """The shares of the problems."""
        return Sweep("share", self.params.shares, ends=(0, 1))

    def policy(self, value: float) -> Policy:
        """See `SweepRouter.policy`."""
        return Delegate(self.scores, threshold(self.fitted["validation"], 1 - value))

    @cached_property
    def scores(self) -> Scores:
        """The strong model's value on questions, by the fitted arrays."""
        embed = embedder(self.params.embedding)
        known: dict[str, float] = {}  # the settings share the questions

        def scores(questions: Sequence[str]) -> np.ndarray:
            missing = [question for question in dict.fromkeys(questions) if question not in known]
            if missing:
                values = self.score(_standardised(embed(missing), self.fitted), self.fitted)
                known.update(zip(missing, values.tolist(), strict=True))
            return np.array([known[question] for question in questions])

        return scores


def _standardised(raw: np.ndarray, learned: Mapping[str, np.ndarray]) -> np.ndarray:
    return (raw - learned["mean"]) / learned["deviation"]


def deviation(vectors: np.ndarray) -> np.ndarray:
    """Standard deviation of each of d dimensions, 1 where it is 0, shape (n, d) -> (d,)."""
    found = vectors.std(axis=0)
    return np.where(found > 1e-6, found, 1.0)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1, shape (n, d)."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
