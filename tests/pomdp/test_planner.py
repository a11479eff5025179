"""The planner against theory, enumeration and simulation; beliefs against Bayes; the export against the model."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from fakes.pomdps import step_models
from hypothesis import given, settings
from hypothesis import strategies as st

from trim.errors import TrimError
from trim.evaluation.published import published_model
from trim.pomdp.beliefs import History, filtered, latest
from trim.pomdp.cassandra import ACTIONS, AlphaPolicy, export_model, state_names
from trim.pomdp.grid import Grid, StandingGrid
from trim.pomdp.model import S0, S1, S2, StepModel
from trim.pomdp.planner import plan
from trim.pomdp.policy import planned
from trim.pomdp.simulate import simulate

COSTS = np.linspace(0.15, 0.85, 9)


def exact(model: StepModel, cost: float) -> float:
    """The value of a problem by enumeration of all histories, on unnormalised beliefs."""
    draws = model.observation.reshape(3, -1)

    def before(step: int, standing: np.ndarray) -> float:
        drafts, best = model.draft(standing), 0.0
        for seen in draws.T:
            belief = drafts * seen
            paid = cost * model.tokens * belief.sum()
            best += max(after(step, model.accept(belief)), after(step, model.regenerate(belief)) - paid)
        return best

    def after(step: int, standing: np.ndarray) -> float:
        ends = model.hazard[:, step]
        value = model.reward * float(ends @ standing[:, 0])
        return value + (before(step + 1, standing * (1 - ends)[:, None]) if step + 1 < model.steps else 0.0)

    return before(0, model.start())


@given(step_models(steps=3, bins=(2, 2)), st.floats(0, 40))
@settings(max_examples=40, deadline=None)
def test_the_certificate_holds_the_value_by_enumeration(model, cost):
    found = plan(model, [cost], resolution=64 if model.classes == 1 else 12)
    low, high = found.start[0]
    assert low - 1e-9 <= exact(model, cost) <= high + 1e-9
    assert high - low <= found.gap[0] + 1e-9


@pytest.mark.parametrize("observation", ["pair", "score"])
def test_nine_costs_on_the_published_calibration_are_within_a_thousandth(observation):
    model = published_model() if observation == "pair" else published_model().on_scores()
    assert plan(model, COSTS).gap.max() <= 0.001 * model.reward


@pytest.mark.parametrize("index", [0, 4, 8])
def test_the_policy_earns_what_its_certificate_says(index):
    model = published_model()
    found = plan(model, COSTS)
    done = simulate(model, planned(found, index, model), 100_000, 1)
    value = model.reward * done.correct - COSTS[index] * model.tokens * done.calls
    error = value.std() / len(value) ** 0.5
    low, high = found.start[index]
    assert low - 3.5 * error <= value.mean() <= high + 3.5 * error


def test_dearer_tokens_buy_fewer_rewrites():
    model = published_model()
    found = plan(model, COSTS)
    calls = [simulate(model, planned(found, i, model), 20_000, 2).calls.mean() for i in range(len(COSTS))]
    assert (np.diff(calls) < 0.02).all()
    assert (np.diff(found.start[:, 0]) < 0).all()


@given(step_models(), st.integers(0, 9999))
@settings(max_examples=25, deadline=None)
def test_it_never_pays_more_than_a_right_solution_is_worth(model, seed):
    belief = np.random.default_rng(seed).dirichlet(np.ones(3 * model.classes), 50).reshape(50, model.classes, 3)
    found = plan(model, [1e6], resolution=6)
    for step in range(model.steps):
        assert not found.regenerate(0, step, model, belief, np.ones(50)).any()


@given(step_models(classes=(1,)), st.integers(0, 9999))
@settings(max_examples=25, deadline=None)
def test_at_no_cost_the_last_step_goes_to_whoever_is_likelier_right(model, seed):
    belief = np.random.default_rng(seed).dirichlet(np.ones(3), 50)[:, None]
    found = plan(model, [0.0], resolution=64)
    gain = (belief[:, 0, S0] + belief[:, 0, S2]) * model.p_strong - belief[:, 0, S0]
    clear = np.abs(gain) > 1e-9
    last = found.regenerate(0, model.steps - 1, model, belief, np.ones(50))
    np.testing.assert_array_equal(last[clear], gain[clear] > 0)


def test_tokens_are_counted_exactly():
    model, belief = published_model(), np.array([[[0.3, 0.2, 0.5]]])
    found = plan(model, [0.5])
    answers = [bool(found.regenerate(0, 3, model, belief, np.array([tokens]))[0]) for tokens in range(0, 400)]
    assert answers[0]
    assert not answers[-1]
    assert sum(a != b for a, b in pairwise(answers)) == 1


def disjoint() -> np.ndarray:
    """A reward model that never errs: the first bin in S2, the last in S0, the middle one in S1."""
    observation = np.zeros((3, 1, 3))
    observation[[S0, S1, S2], 0, [2, 1, 0]] = 1
    return observation


def simple(observation, p_weak=0.8, p_strong=0.95) -> StepModel:
    hazard = np.array([[0, 0.1, 0.3, 0.5, 1.0]])
    return StepModel(observation, np.ones(1), np.array([p_weak]), np.array([p_strong]), hazard, 10.0)


def test_with_a_perfect_reward_model_exactly_the_first_wrong_step_is_rewritten():
    model = simple(disjoint())
    found = plan(model, [0.5])
    for step in range(model.steps):
        belief = np.eye(3)[:, None]
        assert found.regenerate(0, step, model, belief, np.full(3, 10)).tolist() == [False, False, True]
    # Each step stands right with p_w + (1 - p_w) p_s, and a rewrite is paid for each wrong draft.
    value, alive, right = 0.0, 1.0, 1.0
    for ends in model.hazard[0]:
        value -= 0.5 * 10 * alive * right * 0.2
        right *= 0.8 + 0.2 * 0.95
        value += 100 * alive * ends * right
        alive *= 1 - ends
    assert found.start[0, 0] == pytest.approx(value, abs=0.05)


def test_with_a_useless_reward_model_scores_do_not_matter_and_equal_models_are_not_paid_for():
    blind = np.full((3, 1, 4), 0.25)
    seen = [History(np.ones((1, 1)), np.array([[score]]), np.zeros((1, 0), dtype=bool)) for score in (0.1, 0.5, 0.9)]
    for p_strong, cost, expected in ((0.95, 0.05, True), (0.95, 50, False), (0.8, 0.05, False)):
        model = simple(blind, p_strong=p_strong)
        decide = planned(plan(model, [cost]), 0, model)
        assert {bool(decide(history, np.array([10]))[0]) for history in seen} == {expected}


@given(step_models(), st.integers(0, 9999), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_the_filter_is_bayes_over_all_hidden_paths(model, seed, t):
    rng = np.random.default_rng(seed)
    t = min(t, model.steps)
    bins = model.observation.shape[1:]
    earlier, score = (rng.integers(0, size, t) for size in bins)
    again = rng.random(t - 1) < 0.5
    weights = np.zeros((model.classes, 3))
    for z in range(model.classes):
        for path in np.ndindex(*(3,) * t):
            p, right = model.prior[z], 1.0
            for k, state in enumerate(path):
                # Right so far, is the draft right? `right` is 1 or 0 on each branch below.
                if right == 1.0:
                    p *= {S0: model.p_weak[z], S1: 0.0, S2: 1 - model.p_weak[z]}[state]
                else:
                    p *= float(state == S1)
                p *= model.observation[state, earlier[k], score[k]] + 1e-12
                if k + 1 < t:
                    ends = model.hazard[z, min(k, model.steps - 2)]
                    mended = again[k] and state != S1
                    # The strong model's step is right or not: follow the branch that the next state tells.
                    if mended:
                        right = 0.0 if path[k + 1] == S1 else 1.0
                        p *= (model.p_strong[z] if right else 1 - model.p_strong[z]) * (1 - ends)
                    else:
                        right = float(state == S0)
                        p *= 1 - ends
            weights[z, path[-1]] += p
    history = History(
        (earlier[None] + 0.5) / bins[0], (score[None] + 0.5) / bins[1], again[None],
    )  # fmt: skip
    np.testing.assert_allclose(filtered(model, history)[0], weights / weights.sum(), atol=1e-9)


def test_the_papers_belief_by_hand():
    observation = np.zeros((3, 2, 2))
    observation[:, 1, 0] = 0.2, 0.1, 0.6
    observation[:, 0, 0] = 1 - observation[:, 1, 0]
    model = simple(observation)
    seen = History(np.array([[1.0, 0.9]]), np.array([[0.9, 0.3]]), np.array([[False]]))
    assert latest(model, seen)[0, 0] == pytest.approx(np.array([0.2, 0.1, 0.6]) / 0.9)


def test_scores_alone_are_the_marginal_of_pairs():
    model = published_model().on_scores()
    np.testing.assert_allclose(model.observation[:, 0], published_model().observation.sum(axis=1))
    history = History(np.array([[0.3, 0.1]]), np.array([[0.4, 0.8]]), np.array([[False]]))
    other = replace(history, earlier=np.array([[0.9, 0.7]]))
    np.testing.assert_array_equal(filtered(model, history), filtered(model, other))


GRIDS = [Grid(2, 7), Grid(4, 4), StandingGrid(1, 9, 1), StandingGrid(2, 5, 2), StandingGrid(3, 3, 2)]


@given(st.sampled_from(GRIDS), st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_a_grid_interpolates_linear_functions_exactly(grid, seed):
    dimension, rng = grid.vertices.shape[1], np.random.default_rng(seed)
    points = rng.dirichlet(np.ones(dimension), 40)
    index, weight = grid.locate(points)
    assert (weight >= -1e-12).all()
    np.testing.assert_allclose(weight.sum(axis=1), 1)
    np.testing.assert_allclose((grid.vertices[index] * weight[..., None]).sum(axis=1), points, atol=1e-12)
    # The cells that the certificate looks at are those that points fall in.
    cells = {tuple(sorted(cell)) for cell in grid.cells.tolist()}
    inner = (weight > 1e-9).all(axis=1)
    assert {tuple(sorted(i)) for i in index[inner].tolist()} <= cells


def reread(path):
    """An independent reader of the export: tables T (A, S, S), O (S, observations), R (A, S) and the header."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    header = {line.split(":")[0]: line.split(":")[1].split() for line in lines[:6]}
    states = {name: i for i, name in enumerate(header["states"])}
    actions = {name: i for i, name in enumerate(header["actions"])}
    moves = np.zeros((len(actions), len(states), len(states)))
    rewards, seen = np.zeros(moves.shape[:2]), np.zeros((len(states), len(header["observations"])))
    body = iter(lines[6:])
    for line in body:
        kind, *fields = [part.strip() for part in line.split(":")]
        chosen = slice(None) if fields[0] == "*" else actions[fields[0]]
        if kind == "T":
            target, value = fields[2].split()
            moves[chosen, states[fields[1]], states[target]] = float(value)
        elif kind == "R":
            assert fields[2] == "*"
            rewards[chosen, states[fields[1]]] = float(fields[3].split()[1])
        else:
            assert kind == "O"
            seen[states[fields[1]]] = np.array(next(body).split(), dtype=float)
    return header, moves, seen, rewards


@given(step_models(), st.floats(0, 5))
@settings(max_examples=25, deadline=None)
def test_every_probability_of_the_export_is_the_models(tmp_path_factory, model, cost):
    path = tmp_path_factory.mktemp("export") / "m.pomdp"
    export_model(model, cost, path)
    header, moves, seen, rewards = reread(path)
    assert header["states"] == state_names(model)
    assert header["actions"] == list(ACTIONS)
    np.testing.assert_allclose(moves.sum(axis=2), 1, atol=1e-9)
    np.testing.assert_allclose(seen.sum(axis=1), 1, atol=1e-9)
    place = {name: i for i, name in enumerate(header["states"])}
    names = ("S0", "S1", "S2")
    for k in range(model.steps):
        for z in range(model.classes):
            p_w, p_s, ends = model.p_weak[z], model.p_strong[z], model.hazard[z, k]
            stays = {("accept", "S0"): 1.0, ("regenerate", "S0"): p_s, ("regenerate", "S2"): p_s}
            for action, state in np.ndindex(2, 3):
                here = place[f"step{k + 1}_class{z}_{names[state]}"]
                right = stays.get((ACTIONS[action], names[state]), 0.0)
                expected = np.zeros(len(place))
                expected[place["after"]] = ends
                if k + 1 < model.steps:
                    for after, p in zip(names, (right * p_w, 1 - right, right * (1 - p_w)), strict=True):
                        expected[place[f"step{k + 2}_class{z}_{after}"]] = (1 - ends) * p
                np.testing.assert_allclose(moves[action, here], expected, atol=1e-12)
                paid = cost * model.tokens * action
                assert rewards[action, here] == pytest.approx(100 * ends * right - paid)
                np.testing.assert_array_equal(seen[here, 1:], model.observation[state].ravel())


def test_a_policy_comes_back_from_both_formats(tmp_path):
    model = published_model()
    found = plan(model, [0.4], resolution=32)
    ours = AlphaPolicy.of_plan(found, 0, model)
    ours.write(tmp_path / "m.alpha")
    rows = "".join(
        f'<Vector action="{a}" obsValue="0">{" ".join(map(repr, v.tolist()))}</Vector>'
        for a, v in zip(ours.actions, ours.vectors, strict=True)
    )
    (tmp_path / "m.policy").write_text(f'<?xml version="1.0"?><Policy><AlphaVector>{rows}</AlphaVector></Policy>')
    expected = simulate(model, planned(found, 0, model), 3000, 5)
    for name in ("m.alpha", "m.policy"):
        done = simulate(model, AlphaPolicy.read(tmp_path / name, model).decide(model), 3000, 5)
        np.testing.assert_array_equal(done.calls, expected.calls)
    (tmp_path / "m.alpha").write_text("0\n1 2 3\n")
    with pytest.raises(TrimError, match=r"m\.alpha: not a policy for this model"):
        AlphaPolicy.read(tmp_path / "m.alpha", model)
