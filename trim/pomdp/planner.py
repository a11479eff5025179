"""Planning by finite-horizon backward induction, with a certificate.

The value of a standing (see `trim.pomdp.model`) after the decision at step k,

    H_k(y) = Σ_z reward·h_zk·right_z + G_k+1((1 - h_k)∘y),
    G_k(y) = Σ_o max(H_k(accept(y, o)), H_k(regenerate(y, o)) - cost·tokens·P(o | y)),

does not depend on the token count of the draft, which enters the decision at hand only, and
exactly: regenerate if H_k(regenerate) - cost·tokens > H_k(accept). Later steps count with
their mean.

H_k is convex. Interpolating it on a triangulated grid bounds it from above. Each vertex also
carries the alpha-vector of a plan that can be executed; their maximum bounds it from below and
is the criterion of `Plan`, so that the policy's value is at least that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from trim.pomdp.grid import StandingGrid
from trim.pomdp.model import S0, S1, S2, StepModel

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_GRIDS = {1: (128, 1), 2: (32, 4), 3: (10, 2)}  # by classes: resolution of the masses, of the shares
_NEGLIGIBLE = 1e-12


@dataclass(frozen=True)
class Plans:
    """Arrays whose first axis is the policy."""

    def joined(self, other: Self) -> Self:
        """The policies of both, made for the same model."""
        return type(self)(
            *(np.concatenate([mine, theirs]) for mine, theirs in zip(vars(self).values(), vars(other).values()))
        )


@dataclass(frozen=True)
class Plan(Plans):
    """Policies for a list of costs.

    Attributes:
        costs: reward that a token of the strong model costs, shape (C,).
        vectors: alpha-vectors, shape (C, K, V, 2Z): lower bound of H_k as their maximum.
        upper: value at the grid's vertices from above, shape (C, K, V).
        start: lower and upper bound of the value of a problem, shape (C, 2).
        gap: largest difference of the bounds at any step and standing, shape (C,).
    """

    costs: np.ndarray
    vectors: np.ndarray
    upper: np.ndarray
    start: np.ndarray
    gap: np.ndarray

    def regenerate(self, cost: int, step: int, model: StepModel, belief: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """Decide for beliefs, shape (n, Z, 3), and drafts of these lengths, shape (n,).

        Args:
            cost: index into `costs`.
            step: index of the draft, from 0; past the horizon the last step's plan is used.
            model: the POMDP of the plan.
            belief: normalised.
            tokens: lengths of the drafts, in tokens.
        """
        vectors = self.vectors[cost, min(step, self.vectors.shape[1] - 1)].T
        kept, rewritten = (
            (standing.reshape(len(belief), -1) @ vectors).max(axis=1)
            for standing in (model.accept(belief), model.regenerate(belief))
        )
        return rewritten - self.costs[cost] * tokens > kept


@dataclass(frozen=True)
class _Successors:
    """Where an action leads from each vertex and observation: rows are (vertex, observation) pairs."""

    interpolate: csr_array  # (rows, V): interpolated value, weighed by the probability of the row
    nearest: np.ndarray  # (rows,)


class _Stage:
    """The parts for one step that do not depend on the costs."""

    def __init__(self, model: StepModel, grid: StandingGrid, survival: np.ndarray, draws: np.ndarray) -> None:
        from scipy.sparse import csr_array

        standing = grid.vertices.reshape(-1, model.classes, 2) * survival[:, None]
        states = model.draft(standing)[:, None] * draws[None, :, None, :]  # vertex, observation, class, state
        self.mass = states.sum(axis=(2, 3)).ravel()
        self.successors = []
        for act in (model.accept, model.regenerate):
            after = act(states).reshape(len(self.mass), -1)
            index, weight = grid.locate(after / np.maximum(self.mass, _NEGLIGIBLE)[:, None])
            rows = np.repeat(np.arange(len(self.mass)), index.shape[1])
            interpolate = csr_array(
                ((weight * self.mass[:, None]).ravel(), (rows, index.ravel())), (len(self.mass), len(grid.vertices))
            )
            nearest = np.take_along_axis(index, weight.argmax(axis=1)[:, None], axis=1)[:, 0]
            self.successors.append(_Successors(interpolate, nearest))


def plan(model: StepModel, costs: Sequence[float], resolution: int | None = None) -> Plan:
    """Plan for several costs at once.

    Args:
        model: the calibrated POMDP.
        costs: reward that a token of the strong model costs.
        resolution: intervals of the grid along each edge.
    """
    price = np.asarray(costs, dtype=float)
    masses, shares = _GRIDS[model.classes]
    grid = StandingGrid(model.classes, resolution or masses, shares)
    draws = _distinct(model.observation.reshape(3, -1)).T  # (observations, states)
    ends = np.eye(model.classes).repeat(2, axis=1)  # (Z, 2Z): class of each component of a standing
    right = np.tile([1.0, 0.0], model.classes)
    shape = len(price), model.steps, len(grid.vertices)
    vectors, upper = np.zeros((*shape, 2 * model.classes)), np.zeros(shape)
    gap = np.zeros(len(price))
    even = None  # the stage of steps whose hazard is the same in all classes, built once
    for step in reversed(range(model.steps + 1)):
        # Before the first step nothing has ended and nothing is paid.
        hazard = model.hazard[:, step - 1] if step else np.zeros(model.classes)
        reward = model.reward * (hazard @ ends) * right
        if step == model.steps:
            vectors[:, step - 1] = reward
            upper[:, step - 1] = grid.vertices @ reward
            continue
        shared = np.ptp(hazard) == 0
        survival = np.ones(model.classes) if shared else 1 - hazard
        stage = even if shared and even else _Stage(model, grid, survival, draws)
        even = stage if shared else even
        left = 1 - hazard[0] if shared else 1.0
        above, alpha = _back_up(model, stage, draws, survival, upper[:, step], vectors[:, step], price)
        above, alpha = left * above + grid.vertices @ reward, left * alpha + reward
        if step == 0:
            whole = model.start().ravel()
            index, weight = grid.locate(whole[None])
            start = np.stack([(alpha @ whole).max(axis=1), (above[:, index[0]] * weight[0]).sum(axis=1)], axis=1)
            gap = np.maximum(gap, start[:, 1] - start[:, 0])
        else:
            upper[:, step - 1], vectors[:, step - 1] = above, alpha
            gap = grid.gap(above, alpha, gap)
    return Plan(price, vectors, upper, start, gap)


def _back_up(
    model: StepModel,
    stage: _Stage,
    draws: np.ndarray,
    survival: np.ndarray,
    upper: np.ndarray,
    vectors: np.ndarray,
    price: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Upper values (C, V) and alpha-vectors (C, V, 2Z) of G at one step from those of H there."""
    count, observations = upper.shape[1], len(draws)
    paid = price * model.tokens
    kept, rewritten = (s.interpolate @ upper.T for s in stage.successors)  # (rows, C)
    rewritten -= stage.mass[:, None] * paid
    again = rewritten > kept
    above = np.where(again, rewritten, kept).reshape(count, observations, -1).sum(axis=1).T
    alpha = np.empty_like(vectors)
    gone = np.broadcast_to(survival, (2, model.classes)).T.ravel()
    for c in range(len(price)):
        choice = again[:, c].reshape(count, observations)
        row = np.where(again[:, c], stage.successors[1].nearest, stage.successors[0].nearest)
        value = vectors[c][row].reshape(count, observations, -1)
        alpha[c] = _expected(model, draws, choice, value, paid[c]).reshape(count, -1) * gone
    return above, alpha


def _expected(model: StepModel, draws: np.ndarray, choice: np.ndarray, value: np.ndarray, paid: float) -> np.ndarray:
    """Value of each component of a standing, shape (V, Z, 2).

    Args:
        model: the POMDP.
        draws: P(observation | state), shape (O, 3).
        choice: whether to regenerate after each observation, shape (V, O).
        value: value of each component of the standing after it, shape (V, O, 2Z).
        paid: cost of a regenerated step.
    """
    shape = len(value), 3, model.classes, 2
    rewritten = (draws.T[None] * choice[:, None]) @ value
    kept = (draws.T @ value - rewritten).reshape(shape)
    rewritten = rewritten.reshape(shape)
    mended = rewritten[..., 1] + (rewritten[..., 0] - rewritten[..., 1]) * model.p_strong
    calls = (choice @ draws)[..., None]
    intact = kept[:, S0, :, 0] + mended[:, S0] - paid * calls[:, S0]
    broken = kept[:, S2, :, 1] + mended[:, S2] - paid * calls[:, S2]
    lost = kept[:, S1, :, 1] + rewritten[:, S1, :, 1] - paid * calls[:, S1]
    return np.stack([model.p_weak * intact + (1 - model.p_weak) * broken, lost], axis=-1)


def _distinct(observation: np.ndarray) -> np.ndarray:
    """Observations that say something, shape (3, O); those that never occur are left out, and their mass given back."""
    kept = observation[:, observation.max(axis=0) > _NEGLIGIBLE]
    return kept / kept.sum(axis=1, keepdims=True)
