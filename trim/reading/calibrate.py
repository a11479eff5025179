"""Calibration of the POMDP in which reading has a price, on whole solution trees."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from trim.errors import TrimError
from trim.ledger.units import TokenPrices, token_prices
from trim.models.cost import ModelCost
from trim.pomdp.calibration import hazard
from trim.pomdp.model import S0, S2
from trim.reading import Currency
from trim.reading.planning import PricedModel, binned
from trim.rl.tree import ACCEPT, REWRITE, Tree

_FIRST, _SECOND = 16, 12  # bins
_UNREAD = 12  # numbers of unread steps that the model distinguishes
_LEAST = 30  # drafts of a state


def calibrate(tree: Tree, costs: Mapping[str, ModelCost], currency: Currency) -> PricedModel:
    """The POMDP of a train split's problems, on the weak model's paths, with prices at mean lengths.

    Args:
        tree: whole trees, with the log-probabilities of their drafts under the strong model.
        costs: prices of the models, by role.
        currency: unit of spending.

    Raises:
        TrimError: if there are too few drafts of a state, or no reference steps.
    """
    if not all(problem.reference for problem in tree.problems):
        raise TrimError("calibration: the train problems have no reference steps to check steps with")
    points, strong_points = tree.way(ACCEPT), tree.way(REWRITE)
    states = tree.states(points, np.full(len(points), ACCEPT))
    strong_states = tree.states(strong_points, np.full(len(strong_points), REWRITE))
    for state, name in enumerate(("right", "after an error", "first wrong")):
        if (states == state).sum() < _LEAST:
            raise TrimError(f"calibration: fewer than {_LEAST} drafts are {name}; give more train problems")
    first_edges, first = binned(tree.score[points], states, _FIRST)
    second_edges, second = binned(tree.logprobs("strong", points), states, _SECOND)
    counts = np.bincount(tree.problem[points])
    ends = hazard(counts[counts > 0], tree.max_steps)
    prices = _prices(tree, points, strong_points, ends, token_prices(costs, currency))
    spared = prices.pop("others") * _repeating(tree, points, states)
    return PricedModel(
        first=first,
        second=second,
        first_edges=first_edges,
        second_edges=second_edges,
        p_weak=_rate(states),
        p_strong=_rate(strong_states),
        hazard=ends,
        spared=spared,
        **prices,
    )


def _repeating(tree: Tree, points: np.ndarray, states: np.ndarray) -> np.ndarray:
    """P(a rewrite repeats the draft, in a solution that goes on | state of the draft), shape (3,)."""
    goes_on, repeats = tree.child[points, REWRITE] >= 0, tree.unchanged()[points]
    return np.bincount(states, repeats, minlength=3) / np.maximum(np.bincount(states, goes_on, minlength=3), 1)


def _rate(states: np.ndarray) -> float:
    """Probability that a step is right, given that all before it are."""
    return float((states == S0).sum() / ((states == S0) | (states == S2)).sum())


def _prices(
    tree: Tree,
    points: np.ndarray,
    strong_points: np.ndarray,
    ends: np.ndarray,
    prices: Mapping[str, TokenPrices],
) -> dict[str, np.ndarray]:
    """Costs of actions at mean lengths, over always-strong's spending on a problem; see `PricedModel`.

    The other models' cost of reading the strong model's step is separate (`others`); they read it (and the question,
    if it was the first step) if the solution goes on, with probability 1 - `ends`.
    """
    prompt = {role: float(lengths.mean()) for role, lengths in tree.prompt_tokens().items()}
    weak, strong, prm = (prices[role] for role in ("weak", "strong", "prm"))
    draft, step = float(tree.tokens[points].mean()), float(tree.strong_tokens[strong_points].mean())
    whole = strong.read * prompt["strong"] + strong.written * step * len(strong_points) / len(tree.roots)
    k, u = np.arange(tree.max_steps)[:, None], np.arange(_UNREAD)
    unread = np.minimum(u, k)
    fresh = unread * draft + np.where(unread == k, prompt["strong"], 0)
    standing = prompt["strong"] + k * draft
    reading = strong.read * fresh + strong.cached * (standing - fresh)
    new = {role: prices[role].read - prices[role].cached for role in ("weak", "prm")}  # beyond the drafts' price
    others = sum(new.values()) * step * (1 - ends[:, None])
    begin = np.where(k == 0, sum(new[role] * prompt[role] for role in new), 0.0)
    cached = {role: prices[role].cached * (prompt[role] + k * draft)[:, 0] for role in ("weak", "prm")}
    costs = {
        "draft": begin[:, 0] + sum(cached.values()) + (weak.written + prm.read) * draft,
        "delegate": np.where((k == 0) | (unread > 0), reading, 0) + strong.written * step + others + begin,
        "verify": reading + strong.read * draft + strong.written,
        "rewrite": reading + strong.written * step + others,
        "rewrite_verified": (strong.cached * standing + strong.written * step + others)[:, 0],
        "others": others,
    }
    return {name: price / whole for name, price in costs.items()}
