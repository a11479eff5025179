"""Planning with a price of reading: the strong model may write without a draft, read a draft, or rewrite it.

The hidden states are those of `trim.pomdp.model`, with one class. The state after a decision is the probability p
that the solution is right, and the number of its last steps that the strong model has not read (all, if it was never
called), since it must read them first. With k accepted steps, u of them unread, and λ the loss from spending as much
as always-strong does on a problem,

    H_ku(p) = h_k·p + (1 - h_k)·G_ku(p),
    G_ku(p) = max(H_k+1,0(p·p_strong) - λ·delegate_ku, Σ_o max(accept, verify, rewrite) - λ·draft_k),

where after a draft with observation o accepting leads to H_k+1,u+1, rewriting to H_k+1,0; verification gives a second
observation before the choice of one of these. Values are bounded as in `trim.pomdp.planner`: from above by
interpolation between the points of a grid, from below by the alpha-vectors of executable plans, by which `PricedPlan`
decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trim.pomdp.model import S0, S1, S2
from trim.pomdp.planner import Plans

_POINTS = 193
_NEGLIGIBLE = 1e-12


@dataclass(frozen=True)
class PricedModel:
    """A calibrated POMDP with prices.

    Attributes:
        first: P(bin of the draft's score | state), shape (3, A).
        second: P(bin of the strong model's log-probability | state), shape (3, B).
        first_edges, second_edges: inner edges of the bins, shapes (A - 1,) and (B - 1,).
        p_weak, p_strong: probability that a step is right, given that all before it are.
        hazard: probability that the solution ends at step k = 1…K, given that it reached k, shape (K,); the last is 1.
        draft: price of a draft after k accepted steps, over always-strong's spending on a problem, shape (K,).
        delegate, verify, rewrite: prices of the strong model's actions with u of the steps unread, shape (K, U); the
            last column is for U - 1 and more.
        rewrite_verified: price of rewriting a draft that it has just read, shape (K,).
        spared: saving of a rewrite that may repeat the draft, which the others know; by the draft's state, shape
            (K, 3).
    """

    first: np.ndarray
    second: np.ndarray
    first_edges: np.ndarray
    second_edges: np.ndarray
    p_weak: float
    p_strong: float
    hazard: np.ndarray
    draft: np.ndarray
    delegate: np.ndarray
    verify: np.ndarray
    rewrite: np.ndarray
    rewrite_verified: np.ndarray
    spared: np.ndarray

    def drafted(self, right: np.ndarray) -> np.ndarray:
        """Probabilities of a right solution, shape (...), to those of the states of a draft, shape (..., 3)."""
        return np.stack([right * self.p_weak, 1 - right, right * (1 - self.p_weak)], axis=-1)

    def rewritten(self, states: np.ndarray) -> np.ndarray:
        """Weights of the states, shape (..., 3), to that of a right solution after a rewrite, shape (...)."""
        return (states[..., S0] + states[..., S2]) * self.p_strong


@dataclass(frozen=True)
class PricedPlan(Plans):
    """Policies for a list of prices.

    Attributes:
        prices: λ, shape (C,).
        vectors: alpha-vectors, shape (C, K, U, V, 2): lower bound of H_k+1,u as their maximum; right, wrong.
        start: lower and upper bound of the value of a problem, shape (C, 2).
        gap: largest difference of the bounds anywhere, shape (C,).
    """

    prices: np.ndarray
    vectors: np.ndarray
    start: np.ndarray
    gap: np.ndarray

    def worth(self, price: int, step: int, unread: np.ndarray, right: np.ndarray, mass: np.ndarray) -> np.ndarray:
        """Lower bound of mass·H_step+1,u(right / mass), shape (n, ...).

        Args:
            price: index into `prices`.
            step: accepted steps before the one under decision.
            unread: unread steps after it, shape (n,).
            right: weight of right solutions, shape (n, ...).
            mass: weight of all solutions, same shape.
        """
        vectors = self.vectors[price, min(step, self.vectors.shape[1] - 1)]
        bound = np.empty(right.shape)
        for u in np.unique(unread):
            here, alpha = unread == u, vectors[min(u, len(vectors) - 1)]
            values = right[here][..., None] * alpha[:, 0] + (mass - right)[here][..., None] * alpha[:, 1]
            bound[here] = values.max(axis=-1)
        return bound


def plan(model: PricedModel, prices: Sequence[float], points: int = _POINTS) -> PricedPlan:
    """Plan for several prices at once.

    Args:
        model: the calibrated POMDP.
        prices: λ of each policy.
        points: number of the grid's points, which are closer together where the solution is likely right.
    """
    price, (steps, most) = np.asarray(prices, dtype=float), model.delegate.shape
    grid = 1 - np.linspace(1, 0, points) ** 2
    where = _Where(model, grid)
    shape = len(price), most, points
    upper, alpha, gap = np.zeros(shape), np.zeros((*shape, 2)), np.zeros(len(price))
    vectors = np.zeros((len(price), steps, most, points, 2), dtype=np.float32)
    start = np.zeros((len(price), 2))
    for step in reversed(range(steps + 1)):
        ends = model.hazard[step - 1] if step else 0.0
        if step < steps:
            upper, alpha = _back_up(model, where, step, price, upper, alpha)
        if step == 0:
            start = np.stack([alpha[:, 0, -1, 0], upper[:, 0, -1]], axis=1)
            break
        upper = (1 - ends) * upper + ends * grid
        alpha = (1 - ends) * alpha + np.array([ends, 0.0])
        vectors[:, step - 1] = alpha
        gap = np.maximum(gap, _gap(grid, upper, alpha))
    return PricedPlan(price, vectors, start, np.maximum(gap, start[:, 1] - start[:, 0]))


class _Successor:
    """Where probabilities lie on a grid: a convex combination of two points, and the nearer of them."""

    def __init__(self, grid: np.ndarray, right: np.ndarray, mass: np.ndarray) -> None:
        self.mass = mass
        at = right / np.maximum(mass, _NEGLIGIBLE)
        self._below = np.clip(np.searchsorted(grid, at, side="right") - 1, 0, len(grid) - 2)
        self._share = np.clip((at - grid[self._below]) / np.diff(grid)[self._below], 0, 1)
        self._nearest = self._below + (self._share > 0.5)

    def value(self, upper: np.ndarray) -> np.ndarray:
        """Interpolated between the grid's points and weighed by the mass, shape (..., V) -> (..., *mass.shape)."""
        # The value is convex in the probability, so the line between two points bounds it from above.
        between = upper[..., self._below] * (1 - self._share) + upper[..., self._below + 1] * self._share
        return between * self.mass

    def plan(self, alpha: np.ndarray) -> np.ndarray:
        """The alpha-vector of the nearest point, shape (..., V, 2) -> (..., *mass.shape, 2)."""
        return alpha[..., self._nearest, :]


class _Drafts:
    """Successors of the actions on a draft, by the states' weights at V points and bins of its score, (V, A, 3)."""

    def __init__(self, model: PricedModel, grid: np.ndarray, states: np.ndarray) -> None:
        seen = states[..., None, :] * model.second.T  # with the observation from the strong model's reading
        self.states, self.seen = states, seen
        self.kept = _Successor(grid, states[..., S0], states.sum(axis=-1))
        self.rewritten = _Successor(grid, model.rewritten(states), states.sum(axis=-1))
        self.kept_verified = _Successor(grid, seen[..., S0], seen.sum(axis=-1))
        self.rewritten_verified = _Successor(grid, model.rewritten(seen), seen.sum(axis=-1))


class _Where:
    """Successors of every action and observation from each of the grid's V points; the same at every step.

    Attributes:
        drafts: by the bin of the draft's score, shape (V, A).
        delegated: successors of the strong model's step, shape (V,).
    """

    def __init__(self, model: PricedModel, grid: np.ndarray) -> None:
        self.drafts = _Drafts(model, grid, model.drafted(grid)[:, None] * model.first.T)
        self.delegated = _Successor(grid, grid * model.p_strong, np.ones(len(grid)))


def _back_up(
    model: PricedModel, where: _Where, step: int, price: np.ndarray, upper: np.ndarray, alpha: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Upper values (C, U, V) and alpha-vectors (C, U, V, 2) of G at one step from those of H there."""
    value, by_state = _judge(model, where.drafts, step, price, upper, alpha)
    drafted = value.sum(axis=-1) - price[:, None, None] * model.draft[step]
    delegate = price[:, None] * model.delegate[step]
    delegated = where.delegated.value(upper[:, :1]) - delegate[..., None]
    unseen = delegated > drafted
    # The same choices, by the plans of the nearest points.
    written = _after_rewrite(model, where.delegated.plan(alpha[:, :1])) - delegate[..., None, None]
    expected = np.einsum("cuvas,sa->cuvs", by_state, model.first)
    draft_plan = np.stack(
        [model.p_weak * expected[..., S0] + (1 - model.p_weak) * expected[..., S2], expected[..., S1]], axis=-1
    )
    draft_plan = draft_plan - price[:, None, None, None] * model.draft[step]
    return np.where(unseen, delegated, drafted), np.where(unseen[..., None], written, draft_plan)


def _judge(
    model: PricedModel, drafts: _Drafts, step: int, price: np.ndarray, upper: np.ndarray, alpha: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Value of the best of keeping, verifying and rewriting drafts, from the values and plans of H.

    Returns:
        Upper values, shape (C, U, V, A), and values of the plans by state, shape (C, U, V, A, 3). Verification adds
        an axis of B in between.
    """
    most = upper.shape[1]
    further = np.minimum(np.arange(most) + 1, most - 1)
    read, plans = upper[:, :1], alpha[:, :1]  # the strong model has read all

    def wide(values: np.ndarray, more: int = 0) -> np.ndarray:
        return values.reshape(*values.shape, *[1] * (2 + more))

    verify, rewrite = (wide(price[:, None] * table[step]) for table in (model.verify, model.rewrite))
    last, unit, spared = wide(price[:, None] * model.rewrite_verified[step], 1), price[:, None], model.spared[step]
    # After verification.
    again = drafts.rewritten_verified.value(read) - last * drafts.rewritten_verified.mass
    again += wide(unit, 1) * (drafts.seen @ spared)
    kept = drafts.kept_verified.value(read)
    rewritten = again > kept
    keeping = drafts.kept.value(upper[:, further])
    verifying = np.where(rewritten, again, kept).sum(axis=-1) - verify * drafts.kept.mass
    rewriting = drafts.rewritten.value(read) - rewrite * drafts.rewritten.mass + wide(unit) * (drafts.states @ spared)
    keeps, verifies = keeping >= np.maximum(verifying, rewriting), verifying >= rewriting
    # The same choices, by the plans of the nearest points.
    verified = np.where(
        rewritten[..., None],
        _after_rewrite(model, drafts.rewritten_verified.plan(plans)) - last[..., None],
        drafts.kept_verified.plan(plans),
    )
    kept_plan, read_plan = drafts.kept.plan(alpha[:, further]), _by_state(verified, rewritten, model.second)
    rewritten_plan = _after_rewrite(model, drafts.rewritten.plan(plans))
    paid = np.where(keeps, 0, np.where(verifies, verify, rewrite))
    by_state = np.empty((*paid.shape, 3))
    # A first wrong step stays if it is kept, and is mended by a rewrite.
    for state, kept_as, rewritten_as in ((S0, 0, 0), (S1, 1, 1), (S2, 1, 0)):
        less = wide(unit) * spared[state]
        other = np.where(
            verifies,
            read_plan[..., state] + less * (rewritten @ model.second[state]),
            rewritten_plan[..., rewritten_as] + less,
        )
        by_state[..., state] = np.where(keeps, kept_plan[..., kept_as], other) - paid
    return np.maximum(keeping, np.maximum(verifying, rewriting)), by_state


def _after_rewrite(model: PricedModel, alpha: np.ndarray) -> np.ndarray:
    """Value of a right and of a wrong solution before the strong model's step, shape (..., 2) each."""
    right, wrong = alpha[..., 0], alpha[..., 1]
    return np.stack([model.p_strong * right + (1 - model.p_strong) * wrong, wrong], axis=-1)


def _by_state(alpha: np.ndarray, rewrite: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Value in each state, expected over second observations, shape (..., B, 2) -> (..., 3).

    A first wrong step is mended by a rewrite, else it stays.
    """
    right, wrong = alpha[..., 0], alpha[..., 1]
    after = {S0: right, S1: wrong, S2: np.where(rewrite, right, wrong)}
    return np.stack([after[state] @ second[state] for state in range(3)], axis=-1)


def _gap(grid: np.ndarray, upper: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Largest difference of interpolated values and both points' alpha-vectors in any cell, shape (C,)."""

    def at(index: slice, x: np.ndarray) -> np.ndarray:
        return alpha[..., index, 0] * x + alpha[..., index, 1] * (1 - x)

    left, right = slice(None, -1), slice(1, None)
    lines = [(at(side, grid[:-1]), at(side, grid[1:])) for side in (left, right)]
    # The lower bound bends only where the cell's two lines cross, so the gap is largest there or at an end.
    difference = lines[0][0] - lines[1][0], lines[0][1] - lines[1][1]
    share = np.clip(difference[0] / np.where(difference[0] == difference[1], 1, difference[0] - difference[1]), 0, 1)
    largest = np.zeros(len(upper))
    for t in (np.zeros_like(share), share, np.ones_like(share)):
        above = upper[..., :-1] * (1 - t) + upper[..., 1:] * t
        below = np.maximum(*(first * (1 - t) + last * t for first, last in lines))
        largest = np.maximum(largest, (above - below).max(axis=(1, 2)))
    return largest


def binned(values: np.ndarray, states: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Inner edges of bins (quantiles of right and of first wrong steps) and P(bin | state), (3, at most `bins`).

    Args:
        values: the observed values, shape (n,).
        states: `S0`, `S1` or `S2`, shape (n,).
        bins: number of bins.
    """
    shares = np.linspace(0, 1, bins // 2 + 1)[1:-1]
    edges = np.unique(np.concatenate([np.quantile(values[states == state], shares) for state in (S0, S2)]))
    counts = np.stack([np.bincount(to_bins(values[states == s], edges), minlength=len(edges) + 1) for s in range(3)])
    smoothed = counts + 0.5
    return edges, smoothed / smoothed.sum(axis=1, keepdims=True)


def to_bins(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The bin of each value."""
    return np.searchsorted(edges, values, side="right")
