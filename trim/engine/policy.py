"""What a policy is: it answers for a batch of decisions, from what it may look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trim.problems import Problem

# The reward model; log-probabilities of the weak or the strong model; grades by the strong one, verdicts by the weak.
Rater = Literal["prm", "weak", "strong", "grade", "self"]


@dataclass(frozen=True)
class Decisions:
    """What a policy may look at, for n episodes that stand at the same step t (from 0).

    Before a draft is written the arrays hold t columns; when a draft is judged, t + 1, the
    draft last.

    Attributes:
        problems: n problems.
        steps: n tuples of step texts.
        nodes: n hashes of the accepted prefixes; equal prefixes have equal hashes.
        scores: scores by the policy's rater, a reward model's in [0, 1], shape (n, t or t + 1); NaN where not scored.
        tokens: step lengths, same shape.
        glimpses: before a draft, entropy of the token that it would begin with, in nats, shape (n,); NaN where nobody
            looked.
        drafts: scores of the weak drafts, the rejected ones included, same shape.
        logprobs: mean log-probabilities of the weak drafts under the weak model itself, in nats, same shape; NaN where
            nobody looked.
        seconds: scores of the weak drafts by the policy's second rater, same shape; NaN where it was not asked.
        draft_tokens: lengths of the weak drafts, 0 where the weak model wrote none, same shape.
        others: score of the worse of two drafts, where the weak model tried again, same shape; NaN where it did not, or
            was not scored.
        other_logprobs: mean log-probability of the same, same shape; NaN where nobody looked.
        improved: whether the second of two drafts is the better one, same shape.
        tried_again: whether the weak model has tried again, or cannot since the draft was given, shape (n,).
        strong: whether each standing step is the strong model's, shape (n, t).
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
    others: np.ndarray
    other_logprobs: np.ndarray
    improved: np.ndarray
    tried_again: np.ndarray
    strong: np.ndarray

    def __len__(self) -> int:
        return len(self.problems)

    @property
    def before(self) -> np.ndarray:
        """When drafts are judged: the score of the step before each one, 1 before the first, shape (n, t + 1)."""
        return np.concatenate([np.ones((len(self), 1)), self.scores[:, :-1]], axis=1)


class Policy:
    """One operating point of a router.

    A policy is a pure function of what it is shown; it keeps no state between decisions.

    Attributes:
        rater: who scores drafts before they are judged, and is paid for it: "prm", the reward model; "weak" or
            "strong", the mean log-probability under that model; "grade", the strong model's own grade; None.
        second: who may be asked for a second opinion on a draft, and is paid for it where it is. The first rater is
            then the reward model, the weak model, whose log-probabilities come with its drafts, or nobody.
        logprobs: whether the weak model's mean log-probability of each draft, which comes with it for nothing, is
            looked at beside the score.
        retries: whether the weak model may be asked to try again; of its two drafts that of the higher score is judged,
            or of the higher log-probability if they are not scored, and the first where they are alike. The rater is
            then the reward model, the weak model or nobody.
        glimpses: whether the weak model is to begin each step before it is decided who writes it; if that is the strong
            model, the token that was begun is paid for.
        verifier: who rates whole weak solutions before `restart`: "prm", or the weak model "self"; None.
        samples: verdicts of the weak model on each.
        seed: seed of the training that it comes from, None if there was none. The policies of one
            seed make a curve; measures are means over seeds.
    """

    rater: Rater | None = "prm"
    second: Rater | None = None
    logprobs: bool = False
    retries: bool = False
    glimpses: bool = False
    verifier: Literal["prm", "self"] | None = None
    samples: int = 1
    seed: int | None = None

    def delegate(self, seen: Decisions) -> np.ndarray:
        """Before drafting, shape (n,): True has the strong model write the step at once."""
        return np.zeros(len(seen), dtype=bool)

    def retry(self, seen: Decisions) -> np.ndarray:
        """After the first draft of a step, shape (n,): True has the weak model try again, and the better is judged."""
        return np.zeros(len(seen), dtype=bool)

    def consult(self, seen: Decisions) -> np.ndarray:
        """After drafting, shape (n,): True asks for the second opinion before the draft is judged."""
        return np.zeros(len(seen), dtype=bool)

    def regenerate(self, seen: Decisions) -> np.ndarray:
        """After drafting, shape (n,): True has the strong model rewrite the draft."""
        return np.zeros(len(seen), dtype=bool)

    def restart(self, seen: Decisions, ratings: np.ndarray) -> np.ndarray:
        """After a whole weak solution, shape (n,): True has the strong model solve the problem again.

        Args:
            seen: n finished solutions.
            ratings: scores of the steps or verdicts of the weak model, in [0, 1], shape (n, m).
        """
        return np.zeros(len(seen), dtype=bool)

    def explain(self, seen: Decisions) -> str:
        """In one line, what the verdict on a draft rests on.

        Args:
            seen: one episode, with its draft.
        """
        opinion = f", {seen.seconds[0, -1]:.3f} by {self.second}" if np.isfinite(seen.seconds[0, -1]) else ""
        parts = [f"score {seen.drafts[0, -1]:.3f} by {self.rater}"] if self.rater else []
        parts += [f"log-probability {seen.logprobs[0, -1]:.3f}"] if self.logprobs else []
        return (", ".join(parts) or "decided without a score") + opinion
