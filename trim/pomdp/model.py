"""The POMDP of step-wise routing: hidden states, observations, transitions, end of the solution.

At a decision the solution is in one of three states: S0, all steps are right; S1, an earlier
step was wrong and nothing helps; S2, this step, the draft, is the first wrong one (paper,
TRIM-POMDP). A problem may also belong to one of Z difficulty classes, which it keeps; the
paper has Z = 1.

The state after a decision is a `Standing`: for each class, the probability that the
solution is right and that it is wrong. The future depends on nothing else, so that for
Z = 1 planning is a problem in one dimension.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from trim.errors import TrimError
from trim.files import read_sealed, write_sealed

Calibrated = Literal["single", "rule", "classes"]  # see `trim.stages.calibrate`
CALIBRATIONS: tuple[str, ...] = get_args(Calibrated)
BINS = 20
LEAST = 30  # observations of a state that a density is made from
S0, S1, S2 = range(3)


@dataclass(frozen=True)
class StepModel:
    """A calibrated POMDP.

    Attributes:
        observation: P(bin | state), shape (3, A, B); axes: least of the earlier scores (1 if
            there are none), score of the draft. A = 1 where only the draft's score is observed.
        prior: probabilities of the difficulty classes, shape (Z,).
        p_weak: probability that a weak step is right, given that all before it are, shape (Z,).
        p_strong: the same of the strong model.
        hazard: probability that the solution ends at step k = 1…K, given that it reached k,
            shape (Z, K); the last is 1.
        tokens: mean tokens of a step.
        reward: value of a right solution.
    """

    observation: np.ndarray
    prior: np.ndarray
    p_weak: np.ndarray
    p_strong: np.ndarray
    hazard: np.ndarray
    tokens: float
    reward: float = 100.0

    @property
    def classes(self) -> int:
        """Number of difficulty classes, Z."""
        return len(self.prior)

    @property
    def steps(self) -> int:
        """Most steps of a solution, K."""
        return self.hazard.shape[1]

    def start(self) -> np.ndarray:
        """Standing before the first step, shape (Z, 2): right, wrong."""
        return np.stack([self.prior, np.zeros(self.classes)], axis=1)

    def draft(self, standing: np.ndarray) -> np.ndarray:
        """Standings, shape (..., Z, 2), to states at the next decision, shape (..., Z, 3)."""
        right, wrong = standing[..., 0], standing[..., 1]
        return np.stack([right * self.p_weak, wrong, right * (1 - self.p_weak)], axis=-1)

    def accept(self, belief: np.ndarray) -> np.ndarray:
        """Beliefs, shape (..., Z, 3), to standings if the draft is kept, shape (..., Z, 2)."""
        return np.stack([belief[..., S0], belief[..., S1] + belief[..., S2]], axis=-1)

    def regenerate(self, belief: np.ndarray) -> np.ndarray:
        """Beliefs to standings if the strong model rewrites the draft."""
        intact = belief[..., S0] + belief[..., S2]
        return np.stack([intact * self.p_strong, belief[..., S1] + intact * (1 - self.p_strong)], axis=-1)

    def observe(self, states: np.ndarray, earlier: np.ndarray, score: np.ndarray) -> np.ndarray:
        """Weigh states, shape (n, Z, 3), by the observations, shapes (n,); normalised."""
        _, rows, columns = self.observation.shape
        seen = self.observation[:, to_bin(earlier, rows), to_bin(score, columns)].T + 1e-12
        weighed = states * seen[:, None, :]
        return weighed / weighed.sum(axis=(1, 2), keepdims=True)

    def on_scores(self) -> StepModel:
        """The model in which only the draft's score is observed.

        A filter over pairs would count the least earlier score as new evidence at every step;
        in this model it counts each score once.
        """
        return replace(self, observation=self.observation.sum(axis=1, keepdims=True))

    def auc(self) -> float:
        """Probability that a right step scores higher than a first wrong one, ties counted half."""
        right, wrong = self.observation[[S0, S2]].sum(axis=1)
        return float(right @ (wrong.cumsum() - wrong / 2))

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_sealed(path, {name: value.tolist() for name, value in self.arrays().items()})

    def arrays(self) -> dict[str, np.ndarray]:
        """Its fields, numbers as arrays without axes."""
        return {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def load(cls, path: Path) -> StepModel:
        """Read a file written by `save`.

        Raises:
            TrimError: if the file is no such model; the message names the file and the fault.
        """
        values = read_sealed(path)
        try:
            arrays = {f.name: np.asarray(values[f.name], dtype=float) for f in fields(cls)}
        except (ValueError, KeyError, TypeError) as error:
            raise TrimError(f"{path}: not a calibration ({error}); delete it and run Snakemake again") from error
        model = cls(
            **{name: a if a.ndim else float(a) for name, a in arrays.items()}  # type: ignore[arg-type]
        )
        if wrong := model._wrong():
            raise TrimError(f"{path}: {wrong}; delete it and run Snakemake again")
        return model

    def _wrong(self) -> str | None:
        z = self.prior.shape
        if self.observation.ndim != 3 or len(self.observation) != 3:
            return "observation must have the shape (3, A, B)"
        if not np.allclose(self.observation.sum(axis=(1, 2)), 1, atol=1e-6) or (self.observation < 0).any():
            return "observation must hold probabilities that sum to 1 for each state"
        if self.p_weak.shape != z or self.p_strong.shape != z or self.hazard.shape[:1] != z:
            return "prior, p_weak, p_strong and hazard must have one entry for each class"
        rates = np.concatenate([self.prior, self.p_weak, self.p_strong, self.hazard.ravel()])
        if ((rates < 0) | (rates > 1)).any() or not np.isclose(self.prior.sum(), 1):
            return "prior, p_weak, p_strong and hazard must be probabilities"
        return None if (self.hazard[:, -1] == 1).all() else "hazard must end with 1"


def to_bin(scores: np.ndarray, bins: int) -> np.ndarray:
    """The bin, of so many, of each score in [0, 1]."""
    return np.minimum((np.asarray(scores) * bins).astype(int), bins - 1)
