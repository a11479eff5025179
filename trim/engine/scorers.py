"""Substitutes for a reward model: language models that rate a step or a whole solution, and are paid for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import repeat
from typing import ClassVar, NamedTuple, Protocol

from trim.engine.cached import CachedLM
from trim.engine.store import Node
from trim.models.base import StepScore, add_usages
from trim.steps import approximate_tokens, join

_GRADE = (
    "{question}\n\nThe solution so far:\n\n{before}\n\nThe next step:\n\n{step}\n\n"
    "How useful and correct is this next step? Answer with a single digit from 0 (useless) to 9 (perfect)."
)
_VERIFY = (
    "{question}\n\nA proposed solution:\n\n{solution}\n\n"
    "Is the final answer of this solution correct? Answer with a single word, yes or no."
)


class StepScorer(Protocol):
    """Rates the steps of solutions; `trim.engine.cached.CachedPRM` is one.

    Attributes:
        rereads: True if unread earlier steps are rated together with a draft.
    """

    rereads: ClassVar[bool]

    def score(self, nodes: Sequence[Node], last: Sequence[int]) -> list[list[StepScore]]:
        """Scores of the last `last[i]` steps of each solution, in order."""
        ...


class LogprobScorer:
    """Mean log-probability of a step's tokens under a language model, in nats: at most 0.

    Args:
        writer: the language model.
        own: True for its own drafts, whose log-probabilities are free; another model reads the step and writes one
            token.
    """

    rereads: ClassVar[bool] = False

    def __init__(self, writer: CachedLM, own: bool) -> None:
        self._writer, self._own = writer, own

    def score(self, nodes: Sequence[Node], last: Sequence[int]) -> list[list[StepScore]]:
        """See `StepScorer.score`; only one step each."""
        read = self._writer.mean_logprobs(nodes)
        return [[StepScore(s.score, 0, 0) if self._own else s._replace(tokens_written=1)] for s in read]


class GradeScorer:
    """A language model's own grade of a step, 0...9, over 9 (SpecReason, Pan et al., 2025); no digit counts as 0."""

    rereads: ClassVar[bool] = False

    def __init__(self, writer: CachedLM) -> None:
        self._writer = writer

    def score(self, nodes: Sequence[Node], last: Sequence[int]) -> list[list[StepScore]]:
        """See `StepScorer.score`; only one step each; tokens read are estimated as characters / 4."""
        asked = list[str]()
        for node in nodes:
            *before, step = node.prefix.steps
            asked.append(
                _GRADE.format(
                    question=node.prefix.question, before=join(before, node.prefix.separator).strip(), step=step
                )
            )
        turns = [node.prefix.before for node in nodes]
        replies = self._writer.next_steps([Node.asking(*pair) for pair in zip(asked, repeat(0), turns)])
        return [
            [StepScore(_digit(reply.text) / 9, approximate_tokens(text), reply.tokens, reply.usage)]
            for text, reply in zip(asked, replies, strict=True)
        ]


def _digit(reply: str) -> int:
    found = re.search(r"\d", reply)
    return int(found[0]) if found else 0


class Verification(NamedTuple):
    """Ratings of a finished solution.

    Attributes:
        values: m ratings in [0, 1]: of its steps, or verdicts.
        read: the cost of each of m steps that were read; of sampled verdicts one entry, for their common prompt.
    """

    values: tuple[float, ...]
    read: tuple[StepScore, ...]


class SolutionVerifier(Protocol):
    """Rates whole solutions."""

    def verify(self, nodes: Sequence[Node]) -> list[Verification]:
        """The verification of each solution."""
        ...


class StepVerifier:
    """A reward model's scores of all steps, read in one call."""

    def __init__(self, scorer: StepScorer) -> None:
        self._scorer = scorer

    def verify(self, nodes: Sequence[Node]) -> list[Verification]:
        """See `SolutionVerifier.verify`."""
        read = self._scorer.score(nodes, [len(node.prefix.steps) for node in nodes])
        return [Verification(tuple(score.score for score in row), tuple(row)) for row in read]


class SelfVerifier:
    """Sampled verdicts of the model that wrote the solution, 1 for yes (AutoMix, Aggarwal et al., 2024)."""

    def __init__(self, writer: CachedLM, samples: int) -> None:
        self._writer, self._samples = writer, samples

    def verify(self, nodes: Sequence[Node]) -> list[Verification]:
        """See `SolutionVerifier.verify`; tokens read, once for all samples, are estimated as characters / 4."""
        texts = [_VERIFY.format(question=node.prefix.question, solution=node.prefix.text.strip()) for node in nodes]
        turns = [node.prefix.before for node in nodes]
        asked = [Node.asking(t, sample, b) for t, b in zip(texts, turns) for sample in range(self._samples)]
        replies, verifications = iter(self._writer.next_steps(asked)), []
        for text in texts:
            verdicts = [next(replies) for _ in range(self._samples)]
            values = tuple(float(reply.text.strip().lower().startswith("yes")) for reply in verdicts)
            written, usage = sum(reply.tokens for reply in verdicts), add_usages([reply.usage for reply in verdicts])
            cost = StepScore(sum(values) / len(values), approximate_tokens(text), written, usage)
            verifications.append(Verification(values, (cost,)))
        return verifications
