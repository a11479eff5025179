"""A ladder of verifiers: what can be known of a weak step, from what comes with it for nothing to what is read.

Each says of every draft of whole solution trees how likely the solution is right so far; all are fitted on the trees of
the train split, and are used as TRIM-Thr uses a score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trim.engine.rounds import write_steps
from trim.pomdp.model import S0
from trim.rl.tree import ACCEPT, FINISHED, REGENERATE, Tree

if TYPE_CHECKING:
    from trim.engine.cached import CachedLM, CachedPRM
    from trim.models.backends.transformers import TransformersLM
    from trim.models.base import StepStates

SAMPLES = 2  # of a step, beside the draft
_BINS = 15


class Seen(NamedTuple):
    """What verifiers look at, of n drafts of a split's trees.

    Attributes:
        tree: the trees.
        points: the drafts' places in them, shape (n,).
        states: what the weak model knows of its drafts.
        truth: `S0`, `S1` or `S2`, shape (n,).
        samples: the weak model under other seeds.
    """

    tree: Tree
    points: np.ndarray
    states: StepStates
    truth: np.ndarray
    samples: Sequence[CachedLM] = ()


def look(tree: Tree, points: np.ndarray, weak: TransformersLM, samples: Sequence[CachedLM]) -> Seen:
    """What is to be seen of the drafts at n points, and the truth by the problems' exact checks."""
    drafted = [node.prefix for node in tree.drafted(points)]
    return Seen(tree, points, weak.states(drafted), tree.states(points, np.full(len(points), ACCEPT)), samples)


class Verifier(NamedTuple):
    """One rung.

    Attributes:
        title: its name in tables.
        reader: who reads the draft for it, or writes more of them (weak), and is paid; "" if it comes with the draft.
        scores: learns from the train split, and gives the scores of any, higher where right is likelier, shape (n,).
    """

    title: str
    reader: Literal["", "weak", "prm", "strong"]
    scores: Callable[[Seen], Callable[[Seen], np.ndarray]]


def _given(score: Callable[[Seen], np.ndarray]) -> Callable[[Seen], Callable[[Seen], np.ndarray]]:
    return lambda train: score


def _probe(model: Any) -> Callable[[Seen], Callable[[Seen], np.ndarray]]:
    """A classifier on the weak model's hidden state and statistics."""

    def inputs(seen: Seen) -> np.ndarray:
        return np.hstack([seen.states.hidden, seen.states.statistics])

    def learn(train: Seen) -> Callable[[Seen], np.ndarray]:
        fitted = make_pipeline(StandardScaler(), model).fit(inputs(train), train.truth == S0)
        return lambda seen: fitted.predict_proba(inputs(seen))[:, 1]

    return learn


def _agreement(seen: Seen) -> np.ndarray:
    """Share of other samples of the step that say the same."""
    nodes = seen.tree.prefixes(seen.points)
    own = [node.prefix.steps[-1] for node in seen.tree.drafted(seen.points)]
    same = [[a == b.text for a, b in zip(own, write_steps(model, nodes), strict=True)] for model in seen.samples]
    return np.mean(same, axis=0)


VERIFIERS = {
    "mean": Verifier("mean log-probability", "", _given(lambda seen: seen.states.statistics[:, 0])),
    "least": Verifier("least log-probability", "", _given(lambda seen: seen.states.statistics[:, 1])),
    "margin": Verifier("least margin", "", _given(lambda seen: seen.states.statistics[:, 2])),
    "entropy": Verifier("entropy of the first token", "", _given(lambda seen: -seen.states.statistics[:, 3])),
    "logistic": Verifier("probe, logistic", "", _probe(LogisticRegression(max_iter=300))),
    "network": Verifier(
        "probe, network",
        "",
        _probe(MLPClassifier((64,), early_stopping=True, n_iter_no_change=3, max_iter=20, random_state=0)),
    ),
    "agreement": Verifier(f"agreement of {SAMPLES} samples", "weak", _given(_agreement)),
    "prm": Verifier("reward model", "prm", _given(lambda seen: seen.tree.score[seen.points])),
    "strong": Verifier(
        "strong log-probability", "strong", _given(lambda seen: seen.tree.logprobs("strong", seen.points))
    ),
}


def reward_model(title: str, scorer: CachedPRM) -> Verifier:
    """A reward model beside that of the experiment."""

    def score(seen: Seen) -> np.ndarray:
        drafted = seen.tree.drafted(seen.points)
        return np.array([read[-1].score for read in scorer.score(drafted, [1] * len(drafted))])

    return Verifier(title, "prm", _given(score))


def calibrate(scores: np.ndarray, right: np.ndarray) -> IsotonicRegression:
    """Scores to probabilities that the solution is right, monotone (Zadrozny and Elkan, 2002)."""
    return IsotonicRegression(out_of_bounds="clip").fit(scores, right)


def calibration_error(probabilities: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error over equally filled bins (Nixon et al., 2019)."""
    order = np.argsort(probabilities, kind="stable")
    gaps = [abs(probabilities[part].mean() - right[part].mean()) * len(part) for part in np.array_split(order, _BINS)]
    return float(np.sum(gaps) / len(order))


class Walked(NamedTuple):
    """Solutions of n problems under one rule, shape (n,) each.

    Attributes:
        correct: whether they are right.
        strong: tokens that the strong model writes.
        passes: tokens that it writes or reads, the prompt left out.
        drafts: tokens of all drafts.
        steps: number of drafts.
    """

    correct: np.ndarray
    strong: np.ndarray
    passes: np.ndarray
    drafts: np.ndarray
    steps: np.ndarray


def walk(tree: Tree, handed: np.ndarray) -> Walked:
    """Solve every problem where the drafts at some of V points are rewritten, shape (V,) bool."""
    at, open_ = tree.roots.copy(), np.arange(len(tree.roots))
    found = Walked(*np.zeros((5, len(at))))
    standing = np.zeros(len(at))
    while len(open_):
        again = handed[at]
        found.drafts[open_] += tree.tokens[at]
        found.steps[open_] += 1
        standing[open_] += np.where(again, tree.strong_tokens[at], tree.tokens[at])
        found.strong[open_] += np.where(again, tree.strong_tokens[at], 0)
        found.passes[open_] = np.where(again, standing[open_], found.passes[open_])
        action = np.where(again, REGENERATE, ACCEPT)
        after, right = tree.child[at, action], tree.correct[at, action]
        found.correct[open_] += right & (after == FINISHED)
        open_, at = open_[after != FINISHED], after[after != FINISHED]
    return found
