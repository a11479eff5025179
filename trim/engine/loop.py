"""The step loop: many problems and policies, solved together, round by round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from trim.engine.cached import CachedLM, CachedPRM
from trim.engine.episode import Episode
from trim.engine.judge import AnswerJudge
from trim.engine.policy import Policy
from trim.engine.rounds import Rounds
from trim.engine.store import Draws, Node
from trim.ledger.calls import Role
from trim.problems import Problem
from trim.steps import SEPARATOR, Ends


def run(
    problems: Sequence[Problem],
    policies: Sequence[Policy],
    weak: CachedLM,
    strong: CachedLM,
    scorer: CachedPRM | None = None,
    max_steps: int = 30,
    progress: Callable[[int, int], None] | None = None,
    judge: AnswerJudge | None = None,
    prompts: Mapping[Role, Sequence[int]] | None = None,
    watch: Callable[[Episode], None] | None = None,
    separator: str = SEPARATOR,
    ends: Ends = "stop",
) -> list[Episode]:
    """Solve every problem under every policy (design, section 1: the step loop).

    Each round makes one weak batch, one PRM batch and one strong batch for all open episodes;
    episodes at the same node share its draws.

    Args:
        problems: the problems.
        policies: the policies; each is called once a round, for all its open episodes.
        weak: writes the drafts.
        strong: rewrites the steps that a policy hands over.
        scorer: the reward model; not needed if no policy uses it.
        max_steps: maximum of steps of a solution.
        progress: called before each round with the number of finished episodes and their total.
        judge: the judge of the answers; without one, verdicts are kept for this call only.
        prompts: tokens of each model's prompt of each problem; without them costs leave out the questions.
        watch: called with an episode after each of its steps.
        separator: the text between two steps.
        ends: see `trim.engine.rounds.goes_on`.

    Returns:
        Finished episodes, by policy and then by problem.
    """
    roots = [Node.root(problem.question, separator) for problem in problems]
    questions = [{role: lengths[i] for role, lengths in (prompts or {}).items()} for i in range(len(problems))]
    episodes = [
        Episode(problem, index, root, root, question)
        for index in range(len(policies))
        for problem, root, question in zip(problems, roots, questions, strict=True)
    ]
    judge = judge or AnswerJudge(Draws())
    rounds = Rounds(weak, strong, scorer, max_steps, ends, watch)
    rounds.join(episodes, [policies[episode.policy] for episode in episodes])
    while len(rounds):
        if progress:
            progress(len(episodes) - len(rounds), len(episodes))
        closed = [turn.episode for turn in rounds.advance()]
        verdicts = judge.right([e.problem for e in closed], [e.node.prefix.text for e in closed])
        for episode, verdict in zip(closed, verdicts, strict=True):
            episode.correct = verdict
    return episodes
