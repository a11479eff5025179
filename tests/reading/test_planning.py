"""Planning where reading has a price: against plain recursion, the planner without prices, and simulation."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trim.engine.actions import Action, Phase
from trim.engine.policy import Observation
from trim.pomdp import planner
from trim.pomdp.model import StepModel
from trim.problems import Problem
from trim.reading.planning import PricedModel, plan
from trim.routers.pomdp_verify import _Planned


def random_model(seed, steps=4, unread=3, bins=(3, 2)):
    rng = np.random.default_rng(seed)
    first, second = (rng.dirichlet(np.ones(n), size=3) for n in bins)
    hazard = np.append(rng.uniform(0, 0.4, steps - 1), 1.0)
    table = {name: rng.uniform(0, 0.3, (steps, unread)) for name in ("delegate", "verify", "rewrite")}
    edges = [np.arange(1, n) - 0.5 for n in bins]
    rest = {"draft": rng.uniform(0, 0.05, steps), "rewrite_verified": rng.uniform(0, 0.3, steps)}
    rates = rng.uniform(0.6, 0.95), rng.uniform(0.8, 1)
    rest["spared"] = (
        rng.uniform(0, 1, (steps, 3)) * np.minimum(rest["rewrite_verified"], table["rewrite"].min(1))[:, None]
    )
    return PricedModel(first, second, *edges, *rates, hazard, **table, **rest)


def exact(m, price, step=0, unread=0, right=1.0):
    """Value of G at one step, by plain recursion."""
    u = min(unread, m.delegate.shape[1] - 1)

    def after(weight, mass, left):
        """Of mass·H at the next step."""
        ends = m.hazard[step]
        if mass < 1e-12:
            return 0.0
        onward = exact(m, price, step + 1, left, weight / mass) if ends < 1 else 0.0
        return ends * weight + (1 - ends) * mass * onward

    def rewrite(states, cost):
        mass = states.sum()
        spared = price * states @ m.spared[step]
        return after((states[0] + states[2]) * m.p_strong, mass, 0) - price * cost * mass + spared

    def judged(states):
        read = -price * m.verify[step, u] * states.sum()
        for second in m.second.T:
            seen = states * second
            read += max(after(seen[0], seen.sum(), 0), rewrite(seen, m.rewrite_verified[step]))
        return max(after(states[0], states.sum(), unread + 1), read, rewrite(states, m.rewrite[step, u]))

    drafted = -price * m.draft[step]
    for first in m.first.T:
        drafted += judged(np.array([right * m.p_weak, 1 - right, right * (1 - m.p_weak)]) * first)
    return max(drafted, after(right * m.p_strong, 1.0, 0) - price * m.delegate[step, u])


@pytest.mark.parametrize("seed", range(6))
def test_the_bounds_hold_the_value_of_plain_recursion(seed):
    model, prices = random_model(seed, steps=3), [0.0, 0.3, 1.0]
    found = plan(model, prices)
    for index, price in enumerate(prices):
        low, high = found.start[index]
        assert low - 1e-6 <= exact(model, price) <= high + 1e-6
        assert high - low <= found.gap[index] + 1e-9 and found.gap[index] < 5e-3


@given(st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_a_finer_grid_is_never_looser_at_the_start_and_prices_only_cost(seed):
    model = random_model(seed)
    coarse, fine = plan(model, [0.2, 0.8], 25), plan(model, [0.2, 0.8], 97)
    assert (fine.start[:, 1] <= coarse.start[:, 1] + 1e-9).all()
    assert (fine.start[:, 0] <= coarse.start[:, 1] + 1e-9).all()
    assert fine.start[1, 0] <= fine.start[0, 1] + 1e-9


def test_without_reading_it_is_the_planner_of_rewrites():
    model = random_model(3, steps=6, bins=(5, 2))
    never = np.full_like(model.delegate, 1e6)
    flat = replace(
        model,
        delegate=never,
        verify=never,
        rewrite=np.full_like(never, 0.2),
        draft=np.zeros(6),
        spared=np.zeros((6, 3)),
    )
    plain = StepModel(
        observation=flat.first[:, None],
        prior=np.ones(1),
        p_weak=np.array([flat.p_weak]),
        p_strong=np.array([flat.p_strong]),
        hazard=flat.hazard[None],
        tokens=1.0,
        reward=1.0,
    )
    prices = [0.1, 0.5, 1.0]
    mine, theirs = plan(flat, prices).start, planner.plan(plain, [0.2 * price for price in prices]).start
    np.testing.assert_allclose(mine, theirs, atol=2e-3)
    assert (mine[:, 0] <= theirs[:, 1] + 1e-6).all() and (theirs[:, 0] <= mine[:, 1] + 1e-6).all()


def simulate(model, policy, n, rng):
    """Mean return of a policy in its own model, and the standard error."""
    price, steps = policy._price, len(model.hazard)
    columns = {name: np.zeros((n, 0)) for name in ("drafts", "seconds", "draft_tokens", "strong")}
    open_, right, spent, solved = np.ones(n, bool), np.ones(n, bool), np.zeros(n), np.zeros(n)

    def observation(**last):
        tables = {k: np.column_stack([v, last[k]]) if k in last else v for k, v in columns.items()}
        drafts = tables["drafts"]
        return Observation(
            [Problem("p", "q", "1", "test")] * n, [()] * n, [b""] * n, drafts, np.ones(drafts.shape, int),
            np.full(n, np.nan), drafts, np.full(drafts.shape, np.nan), tables["seconds"], tables["draft_tokens"],
            columns["strong"].astype(bool), np.zeros((n, 0)),
        )  # fmt: skip

    def observed(probabilities, state):
        """A value in a bin that is drawn by the state."""
        bins = (rng.random(n)[:, None] > probabilities[state].cumsum(axis=1)).sum(axis=1)
        return np.minimum(bins, probabilities.shape[1] - 1) + rng.uniform(-0.49, 0.49, n)

    unread, none = np.zeros(n, int), np.full(n, np.nan)
    for step in range(steps):
        u = np.minimum(unread, model.delegate.shape[1] - 1)
        delegated = policy.decide(Phase.START, observation()) == Action.DELEGATE
        state = np.where(right & (rng.random(n) < model.p_weak), 0, np.where(right, 2, 1))
        first = observed(model.first, state)
        last = {"drafts": np.where(delegated, np.nan, first), "draft_tokens": ~delegated, "seconds": none}
        action = np.where(delegated, Action.DELEGATE, policy.decide(Phase.DRAFTED, observation(**last)))
        asked = action == Action.READ
        last["seconds"] = np.where(asked, observed(model.second, state), np.nan)
        action = np.where(asked, policy.decide(Phase.READ, observation(**last)), action)
        again = action == Action.REWRITE
        cost = np.where(delegated, model.delegate[step, u], model.draft[step])
        cost = cost + np.where(asked, model.verify[step, u], 0)
        cost = cost + np.where(again, np.where(asked, model.rewrite_verified[step], model.rewrite[step, u]), 0)
        cost = cost - again * model.spared[step][state]
        spent += np.where(open_, cost, 0)
        by_strong = again | delegated
        right = np.where(by_strong, right & (rng.random(n) < model.p_strong), state == 0)
        unread = np.where(by_strong | asked, 0, unread + 1)
        ends = open_ & (rng.random(n) < model.hazard[step])
        solved[ends], open_ = right[ends], open_ & ~ends
        last["strong"] = by_strong
        columns = {name: np.column_stack([columns[name], last[name]]) for name in columns}
    value = solved - price * spent
    return value.mean(), value.std() / np.sqrt(n)


@pytest.mark.parametrize("seed", [1, 4, 8])
def test_the_policy_earns_what_the_plan_promises(seed):
    model = random_model(seed, steps=5)
    found, rng = plan(model, [0.15, 0.6]), np.random.default_rng(seed)
    for index in range(2):
        mean, error = simulate(model, _Planned(model, found, index), 4000, rng)
        low, high = found.start[index]
        assert low - 4 * error <= mean <= high + 4 * error
