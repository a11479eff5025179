"""The interface of verifiers, which rate the probability that solutions with weak drafts are right so far.

Every verifier is fitted on the whole solution trees of the train split, and is used like TRIM-Thr's score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from trim.models.base import StepStates
from trim.pomdp.model import S0
from trim.rl.tree import ACCEPT, Tree

if TYPE_CHECKING:
    from sklearn.isotonic import IsotonicRegression

    from trim.engine.cached import CachedLM
    from trim.models.base import Prefix

Reader = Literal["", "weak", "prm", "strong"]
READERS: tuple[Reader, ...] = get_args(Reader)
SAMPLES = 2  # of a step, to compare a draft with
_BINS = 15


class Seen(NamedTuple):
    """Inputs of verifiers, for n drafts of a split's trees.

    Attributes:
        tree: the trees.
        points: the drafts' places in them, shape (n,).
        states: the weak model's states at its drafts.
        truth: `S0`, `S1` or `S2`, shape (n,).
        samples: the weak model under other seeds.
    """

    tree: Tree
    points: np.ndarray
    states: StepStates
    truth: np.ndarray
    samples: Sequence[CachedLM] = ()


def look(
    places: Sequence[tuple[Tree, np.ndarray]],
    states: Callable[[list[Prefix]], StepStates],
    samples: Sequence[CachedLM],
) -> list[Seen]:
    """Inputs of verifiers for drafts in several trees, and the truth by the problems' exact checks.

    Args:
        places: trees, and the points of the drafts in each.
        states: returns the weak model's states at the drafts; called once, for all trees.
        samples: the weak model under other seeds.
    """
    known = states([node.prefix for tree, points in places for node in tree.drafted(points)])
    ends = np.cumsum([len(points) for _, points in places])[:-1]
    parts = zip(*(np.split(values, ends) for values in known), strict=True)
    return [
        Seen(tree, points, StepStates(*part), tree.states(points, np.full(len(points), ACCEPT)), samples)
        for (tree, points), part in zip(places, parts, strict=True)
    ]


@dataclass(frozen=True)
class Verifier:
    """One rung.

    Attributes:
        title: its name in tables.
        learn: learns from the drafts of the train split, and returns a function to scores of any drafts, higher if
            right is likelier, shape (n,).
        reader: the model that reads the draft for it, or writes more drafts (weak), and is paid; "" if it is free.
        samples: number of drafts written for it.
    """

    title: str
    learn: Callable[[Seen], Callable[[Seen], np.ndarray]]
    reader: Reader = ""
    samples: int = 0


def given(score: Callable[[Seen], np.ndarray]) -> Callable[[Seen], Callable[[Seen], np.ndarray]]:
    """A `Verifier.learn` without learning."""
    return lambda train: score


def probe(model: Callable[[], Any]) -> Callable[[Seen], Callable[[Seen], np.ndarray]]:
    """A `Verifier.learn`: a classifier of scikit-learn on the weak model's hidden state and statistics."""

    def inputs(seen: Seen) -> np.ndarray:
        return np.hstack([seen.states.hidden, seen.states.statistics])

    def learn(train: Seen) -> Callable[[Seen], np.ndarray]:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        fitted = make_pipeline(StandardScaler(), model()).fit(inputs(train), train.truth == S0)
        return lambda seen: fitted.predict_proba(inputs(seen))[:, 1]

    return learn


def calibrate(scores: np.ndarray, right: np.ndarray) -> IsotonicRegression:
    """Scores to probabilities that the solution is right, monotone (Zadrozny and Elkan, 2002)."""
    from sklearn.isotonic import IsotonicRegression

    return IsotonicRegression(out_of_bounds="clip").fit(scores, right)


def calibration_error(probabilities: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error over equally filled bins (Nixon et al., 2019)."""
    order = np.argsort(probabilities, kind="stable")
    gaps = [abs(probabilities[part].mean() - right[part].mean()) * len(part) for part in np.array_split(order, _BINS)]
    return float(np.sum(gaps) / len(order))
