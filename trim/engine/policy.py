"""The interface of policies: observations of a batch of episodes in, actions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trim.engine.actions import USUAL, Phase
from trim.errors import TrimError
from trim.ledger.calls import Rater
from trim.problems import Problem


@dataclass(frozen=True)
class Observation:
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
        ratings: of whole solutions in the phase `ENDED`: scores of the steps or verdicts of the weak model, in [0, 1],
            shape (n, m); else shape (n, 0).
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
    ratings: np.ndarray

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
        second: a second rater of drafts, paid for where the policy decides to `READ`. The first rater is then the
            reward model, the weak model (whose log-probabilities are free with its drafts) or None.
        judges: the policy decides on drafts; without it every draft is accepted, and the weak model writes on.
        logprobs: also observe the weak model's mean log-probability of each draft (free).
        glimpses: the weak model writes the first token of each step before the writer is chosen; it is paid for even if
            the strong model is chosen.
        verifier: the rater of whole weak solutions: "prm", or the weak model "self"; None.
        samples: number of the weak model's verdicts on each.
    """

    rater: Rater | None = "prm"
    second: Rater | None = None
    judges: bool = True
    logprobs: bool = False
    glimpses: bool = False
    verifier: Literal["prm", "self"] | None = None
    samples: int = 1

    def __init_subclass__(cls) -> None:
        """Refuse a policy that never decides, such as one whose method is misspelt.

        Raises:
            TrimError: for such a class.
        """
        super().__init_subclass__()
        if cls.decide is Policy.decide:
            raise TrimError(
                f"{cls.__module__}: {cls.__name__}: a policy needs decide(phase, observation); see docs/extending.md"
            )

    def decide(self, phase: Phase, observation: Observation) -> np.ndarray:
        """The action for each of n episodes in the same phase, shape (n,); see `trim.engine.actions.NEXT`.

        By default the weak model solves every problem alone.
        """
        return np.full(len(observation), USUAL[phase])

    def explain(self, observation: Observation) -> str:
        """The reason for the verdict on a draft, in one line.

        Args:
            observation: one episode, with its draft.
        """
        opinion = (
            f", {observation.seconds[0, -1]:.3f} by {self.second}" if np.isfinite(observation.seconds[0, -1]) else ""
        )
        parts = [f"score {observation.drafts[0, -1]:.3f} by {self.rater}"] if self.rater else []
        parts += [f"log-probability {observation.logprobs[0, -1]:.3f}"] if self.logprobs else []
        return (", ".join(parts) or "decided without a score") + opinion
