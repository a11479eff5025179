"""The interface of models: two small protocols."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np

from trim.steps import SEPARATOR, join

MOST_PROBABLE = 20  # tokens whose probabilities a server reports
IMPOSSIBLE = -100.0  # log-probability of an unreadable token
Stop = Literal["separator", "end", "length", "refused"]


class Prefix(NamedTuple):
    """A question, and the accepted steps of its solution so far.

    Attributes:
        question: the last turn of the user.
        steps: the steps.
        instruction: instruction that replaces the request for a solution, if any.
        separator: the text between steps.
        before: role and content of each turn before the question; a system turn among them comes first.
        temperature, top_p: replace the values of `trim.models.settings.Sampling`.
    """

    question: str
    steps: tuple[str, ...] = ()
    instruction: str | None = None
    separator: str = SEPARATOR
    before: tuple[tuple[str, str], ...] = ()
    temperature: float | None = None
    top_p: float | None = None

    @property
    def text(self) -> str:
        """The steps, to be continued."""
        return join(self.steps, self.separator)


class Usage(NamedTuple):
    """Tokens that a server bills for one call: of the prompt, of these from its cache, and written."""

    read: int
    cached: int
    written: int


def add_usages(usages: Sequence[Usage | None]) -> Usage | None:
    """Sum of several bills, None if there is none."""
    billed = [usage for usage in usages if usage]
    return Usage(*map(sum, zip(*billed, strict=True))) if billed else None


class Draft(NamedTuple):
    """A generated step: its text without separator, its length in tokens, its reason to stop, a server's bill.

    The step is empty if a server refuses the text, or its context is full.
    """

    text: str
    tokens: int
    stop: Stop
    usage: Usage | None = None


class StepScore(NamedTuple):
    """The score of a step, and its cost.

    Attributes:
        score: a reward model's probability in [0, 1] that the step is right; `trim.engine.scorers` has other scores.
        tokens_read: length of the step itself, in tokens of the model that scores it.
        tokens_written: tokens that a language model wrote for the score.
        usage: a server's bill for the call; with several steps, it belongs to the last.
    """

    score: float
    tokens_read: int
    tokens_written: int = 0
    usage: Usage | None = None


class StepStates(NamedTuple):
    """A language model's statistics and states at the last step of each of n solutions.

    Attributes:
        statistics: shape (n, 4): mean and least log-probability of its tokens, at temperature 1, in nats; least
            difference of the two highest probabilities; entropy of its first token among the most probable ones, as
            in `LanguageModel.first_entropies`.
        hidden: the last layer's hidden state at its last token, after the norm, shape (n, width).
    """

    statistics: np.ndarray
    hidden: np.ndarray


KeepDraft = Callable[[int, Draft], None]
KeepScores = Callable[[int, list[StepScore]], None]


class LanguageModel(Protocol):
    """Writes the next step of a solution.

    The same model gives the same text for the same key.
    """

    def prompt_tokens(self, prefixes: Sequence[Prefix]) -> list[int]:
        """Tokens of each prompt before its first step: the question with its surroundings."""
        ...

    def next_steps(
        self, prefixes: Sequence[Prefix], keys: Sequence[bytes], keep: KeepDraft | None = None
    ) -> list[Draft]:
        """One draft per prefix.

        Args:
            prefixes: the solutions to be continued by one step.
            keys: 16 bytes each; they seed each draft's own random stream.
            keep: called with each draft as soon as it is finished, if drafts are finished one at a time.
        """
        ...

    def mean_logprobs(self, solutions: Sequence[Prefix], keep: KeepScores | None = None) -> list[StepScore]:
        """Mean log-probability of the tokens of each solution's last step, at temperature 1, in nats.

        `keep` is called with each one, in a list, as soon as it is there, if they come one by one.
        """
        ...

    def first_entropies(self, prefixes: Sequence[Prefix], keep: KeepScores | None = None) -> list[StepScore]:
        """Entropy of the first token of each next step, in nats.

        It is that of the `MOST_PROBABLE` tokens at temperature 1, whose probabilities sum to 1. `keep` is called with
        each one, in a list, as soon as it is there, if they come one by one.
        """
        ...


class RewardModel(Protocol):
    """Scores the steps of a solution so far."""

    def prompt_tokens(self, prefixes: Sequence[Prefix]) -> list[int]:
        """Tokens of each prompt before its first step: the question with its surroundings."""
        ...

    def score(
        self,
        solutions: Sequence[Prefix],
        last: Sequence[int],
        keep: KeepScores | None = None,
    ) -> list[list[StepScore]]:
        """Scores of the last `last[i]` steps (one at least) of each solution; none depends on a later step.

        `keep` is called with a solution's scores as soon as they are there, if they come one by one.
        """
        ...


def entropy(logprobs: np.ndarray) -> float:
    """Entropy in nats of tokens with these log-probabilities, shape (n,), once their probabilities sum to 1."""
    shares = np.exp(logprobs - np.max(logprobs))
    shares = shares / shares.sum()
    return float(-(shares * np.log(np.maximum(shares, 1e-300))).sum())
