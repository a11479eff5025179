"""The interface of policies: observations of a batch of episodes in, decisions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import numpy as np

from trim.errors import TrimError
from trim.problems import Problem

# The reward model; log-probabilities of the weak or the strong model; the strong model's grades; the weak's verdicts.
Rater = Literal["prm", "weak", "strong", "grade", "self"]


@dataclass(frozen=True)
class Decisions:
    """The observation passed to a policy, for n episodes at the same step t (from 0).

    Before a draft is written the arrays have t columns; when a draft is judged, t + 1, the
    draft last.

    Attributes:
        problems: n problems.
        steps: n tuples of step texts.
        nodes: n hashes of the accepted prefixes; equal prefixes have equal hashes.
        scores: scores by the policy's rater, a reward model's in [0, 1], shape (n, t or t + 1); NaN if not scored.
        tokens: step lengths, same shape.
        glimpses: before a draft, entropy of its first token, in nats, shape (n,); NaN if not computed.
        drafts: scores of the weak drafts, the rejected ones included, same shape.
        logprobs: mean log-probabilities of the weak drafts under the weak model itself, in nats, same shape; NaN if
            not computed.
        seconds: scores of the weak drafts by the policy's second rater, same shape; NaN if it was not asked.
        draft_tokens: lengths of the weak drafts, 0 where the weak model wrote none, same shape.
        strong: True for each accepted step by the strong model, shape (n, t).
    """

    problems: Sequence[Problem]
    steps: Sequence[tuple[str, ...]]
    nodes: Sequence[bytes]
    scores: np.ndarray
    tokens: np.ndarray
    glimpses: np.ndarray
    drafts: np.ndarray
    logprobs: np.ndarray
    seconds: np.ndarray
    draft_tokens: np.ndarray
    strong: np.ndarray

    def __len__(self) -> int:
        return len(self.problems)

    @property
    def before(self) -> np.ndarray:
        """For drafts under judgement: the score of the step before each one, 1 before the first, shape (n, t + 1)."""
        return np.concatenate([np.ones((len(self), 1)), self.scores[:, :-1]], axis=1)


class Policy:
    """One operating point of a router.

    A policy is a pure function of its observation; it keeps no state between decisions.

    Attributes:
        rater: the rater of drafts, paid for each: "prm", the reward model; "weak" or "strong", the mean
            log-probability under that model; "grade", the strong model's own grade; None.
        second: a second rater of drafts, paid for where `consult` asks for it. The first rater is then the reward
            model, the weak model (whose log-probabilities are free with its drafts) or None.
        logprobs: also observe the weak model's mean log-probability of each draft (free).
        glimpses: the weak model writes the first token of each step before the writer is chosen; it is paid for even if
            the strong model is chosen.
        verifier: the rater of whole weak solutions before `restart`: "prm", or the weak model "self"; None.
        samples: number of the weak model's verdicts on each.
        seed: seed of its training, None if it was not trained. The policies of one seed make a curve; measures are
            means over seeds.
    """

    rater: Rater | None = "prm"
    second: Rater | None = None
    logprobs: bool = False
    glimpses: bool = False
    verifier: Literal["prm", "self"] | None = None
    samples: int = 1
    seed: int | None = None

    def __init_subclass__(cls) -> None:
        """Refuse a method whose name is nearly that of a decision, which would never be asked for.

        Raises:
            TrimError: for such a method; it names the decision.
        """
        super().__init_subclass__()
        decisions = [name for name, member in vars(Policy).items() if callable(member) and not name.startswith("_")]
        methods = [name for name, member in vars(cls).items() if callable(member) and name not in vars(Policy)]
        for name in methods:
            if near := get_close_matches(name, decisions, n=1, cutoff=0.8):
                raise TrimError(f"{cls.__module__}: {cls.__name__}.{name}: no decision of a policy; {near[0]} is one")

    def delegate(self, seen: Decisions) -> np.ndarray:
        """Before drafting, shape (n,): True lets the strong model write the step without a draft."""
        return np.zeros(len(seen), dtype=bool)

    def consult(self, seen: Decisions) -> np.ndarray:
        """After drafting, shape (n,): True asks the second rater before the draft is judged."""
        return np.zeros(len(seen), dtype=bool)

    def regenerate(self, seen: Decisions) -> np.ndarray:
        """After drafting, shape (n,): True lets the strong model rewrite the draft."""
        return np.zeros(len(seen), dtype=bool)

    def restart(self, seen: Decisions, ratings: np.ndarray) -> np.ndarray:
        """After a whole weak solution, shape (n,): True lets the strong model solve the problem again.

        Args:
            seen: n finished solutions.
            ratings: scores of the steps or verdicts of the weak model, in [0, 1], shape (n, m).
        """
        return np.zeros(len(seen), dtype=bool)

    def explain(self, seen: Decisions) -> str:
        """The reason for the verdict on a draft, in one line.

        Args:
            seen: one episode, with its draft.
        """
        opinion = f", {seen.seconds[0, -1]:.3f} by {self.second}" if np.isfinite(seen.seconds[0, -1]) else ""
        parts = [f"score {seen.drafts[0, -1]:.3f} by {self.rater}"] if self.rater else []
        parts += [f"log-probability {seen.logprobs[0, -1]:.3f}"] if self.logprobs else []
        return (", ".join(parts) or "decided without a score") + opinion
