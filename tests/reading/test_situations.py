"""Verification as an action: the tree's own arithmetic against the engine, its costs and its bound."""

from dataclasses import asdict
from functools import cache
from unittest.mock import patch

import numpy as np
import pytest
from fakes.scripted import Repeating, Scripted, Telling
from hypothesis import given, settings
from hypothesis import strategies as st

from trim.engine.cached import CachedLM, CachedPRM
from trim.engine.loop import run
from trim.engine.records import write_episodes
from trim.engine.store import Draws
from trim.evaluation.results import read_results
from trim.models.base import StepScore
from trim.models.cost import ModelCost
from trim.problems import Problem
from trim.reading.gains import GAINS, Gains, fit
from trim.reading.situations import Situations
from trim.rl.tree import Tree
from trim.routers.base import Sweep
from trim.routers.trim_verify import TrimVerify, _Verifying
from trim.setting import Setting

ROLES = ("weak", "strong", "prm")
ALL = ("delegate", "accept", "verify", "rewrite")
COSTS = {
    "weak": ModelCost(9, 3.0, 0.7, 7.0, 0, 0, 0),
    "strong": ModelCost(50, 5.0, 1.5, 11.0, 0, 0, 0),
    "prm": ModelCost(20, 4.0, 1.1, 0, 0, 0, 0),
}
UNITS = {"strong_tokens": "strong_tokens", "flops": "flops", "money": "money"}


class Guessing(Repeating):
    """Log-probabilities follow from the text, which has as many tokens for all."""

    def score(self, solutions, last, keep=None):
        found = super().score(solutions, last, keep)
        steps = [s.steps[-n:] for s, n in zip(solutions, last, strict=True)]
        return [
            [StepScore(told.score, 3 + int(step.split()[0][-1])) for step, told in zip(*row, strict=True)]
            for row in zip(steps, found, strict=True)
        ]

    def prompt_tokens(self, prefixes):
        return [len(p.question) for p in prefixes]

    def mean_logprobs(self, solutions, keep=None):
        return [StepScore(-4 * self.value(self.name + "".join(s.steps)), 1) for s in solutions]


class Agreeing(Guessing):
    """All models write one of the same three steps, so that rewrites are often the draft's own words."""

    words = ""


class Knowing(Telling):
    """The strong model's log-probability tells a wrong step; the weak model's tells it half the time."""

    def prompt_tokens(self, prefixes):
        return [10] * len(prefixes)

    def mean_logprobs(self, solutions, keep=None):
        wrong = ["wrong" in s.steps[-1] for s in solutions]
        doubt = [w or hash_of(s) < 0.5 for w, s in zip(wrong, solutions, strict=True)]
        return [StepScore(-5.0 if found else -0.1, 1) for found in (wrong if self.name == "strong" else doubt)]


def hash_of(solution):
    return Scripted.value(solution.question + "".join(solution.steps))


class Linear(Gains):
    """Gains that are a random weighing of all that is seen, so that a difference in any of it shows."""

    def __init__(self, seed):
        self._rng = np.random.default_rng(seed)
        self._weights = {gain: self._rng.normal(size=13) for gain in GAINS}

    def __call__(self, gain, seen, price):
        scaled = np.asarray(seen, dtype=np.float32) / np.array(
            [3, 10, 1, 3, 20, 4, 4, 8, 4, 4, 4, 4, 4][: seen.shape[1]]
        )
        return np.sin(9 * scaled @ self._weights[gain][: seen.shape[1]])


def parts(model, **more):
    draws, models = Draws(), {role: model(role, **more) for role in ROLES}
    writers = [CachedLM(role, lambda role=role: models[role], draws, 64) for role in ("weak", "strong")]
    return [*writers, CachedPRM("prm", lambda: models["prm"], draws, 64)]


def whole(problems, made):
    tree = Tree(problems, *made)
    tree.expand()
    return tree


@given(
    st.integers(0, 10**6),
    st.sampled_from(sorted(UNITS)),
    st.sampled_from([ALL, ALL[1:], ("verify", "rewrite"), ("accept", "rewrite")]),
    st.sampled_from([("weak",), ("prm",), ("weak", "prm")]),
    st.sampled_from([Guessing, Agreeing]),
)
@settings(max_examples=80, deadline=None)
def test_what_is_computed_on_trees_is_what_the_engine_does_and_pays(
    tmp_path_factory, seed, currency, actions, evidence, model
):
    if currency == "money" and actions == ALL:  # if the strong model goes on in one call is only estimated on trees
        actions = ALL[-2:]
    problems = [Problem(f"p{i}", "question " + "?" * i, str(i % 3), "test") for i in range(12)]
    made, gains = parts(model, length=4), Linear(seed)
    situations = Situations(whole(problems, made), COSTS, currency, evidence)
    choices = gains.choices(situations, 0.5, actions)
    free, priced = (situations.worth(price, choices).value[situations.roots] for price in (0, 1))
    prompts = {role: [len(p.question) for p in problems] for role in ROLES}
    episodes = run(problems, [_Verifying(gains, 0.5, actions, evidence)], *made, prompts=prompts)
    np.testing.assert_array_equal([e.correct for e in episodes], free.astype(bool))
    header = {"benchmark": "b", "split": "test", "router": "r", "title": "", "reference": False}
    header |= {"models": {role: asdict(cost) for role, cost in COSTS.items()}}
    path = tmp_path_factory.mktemp("episodes") / "e.parquet"
    write_episodes(path, episodes, [Setting()], header)
    spent = read_results(path).totals[UNITS[currency]][0]
    always = situations.worth(
        1.0, gains.choices(situations, 0.5, ("delegate",))._replace(delegate=np.ones(len(situations), dtype=bool))
    )
    unit = spent / np.where(free - priced > 0, free - priced, np.inf)
    assert np.allclose(unit[unit > 0], unit.max())
    assert (always.value <= situations.worth(1.0).value + 1e-9).all()


def test_no_choices_are_worth_more_than_the_clairvoyant_ones():
    problems = [Problem(f"p{i}", f"question {i}", str(i % 3), "test") for i in range(20)]
    situations = Situations(whole(problems, parts(Guessing)), COSTS, "flops")
    for price in (0.01, 0.3, 2.0):
        best = situations.worth(price).value
        for seed in range(5):
            chosen = Linear(seed).choices(situations, price, ALL)
            assert (situations.worth(price, chosen).value <= best + 1e-12).all()


def test_visits_are_a_distribution_at_each_depth_where_all_solutions_are_as_long():
    problems = [Problem(f"p{i}", f"question {i}", "1", "test") for i in range(10)]
    situations = Situations(whole(problems, parts(Guessing, length=3)), COSTS, "flops")
    reached, drafted, verified = situations.visits(Linear(1).choices(situations, 1.0, ALL), 0.1)
    for depth in range(3):
        here = situations.tree.depth[situations.point] == depth
        assert reached[here].sum() == pytest.approx(10)
    assert (verified <= drafted).all() and (drafted <= reached).all()


def test_verification_is_bought_where_it_may_change_the_decision():
    def situations(name):
        problems = [Problem(f"{name}{i}", f"{name} {i}", "1", "train") for i in range(1500)]
        return Situations(whole(problems, parts(Knowing)), COSTS, "strong_tokens")

    train, validation, test = map(situations, "tvs")
    prices = [0.2, 0.8]
    gains, reached = fit(train, validation, prices, ALL)
    assert reached[0] > reached[1] > 0
    choices = gains.choices(test, 0.2, ALL)
    _, drafted, verified = test.visits(choices, 0)
    doubted = test.draft[..., -2] < -1
    assert verified[~doubted].sum() < 0.05 * drafted[~doubted].sum()
    # A step that is seen to be wrong is rewritten, one that is seen to be right is not.
    wrong = test.opinion[..., -1] < -1
    assert choices.rewrite[(verified > 0) & wrong].all() and not choices.rewrite[(verified > 0) & ~wrong].any()
    spent = [
        (test.worth(0, c).value - test.worth(1, c).value)[test.roots].mean()
        for c in (choices, gains.choices(test, 0.2, ALL[2:]))
    ]
    assert spent[0] < spent[1]


class OnTrees:
    """What TRIM-Verify is fitted with, as far as trees and costs go."""

    costs = COSTS

    def __init__(self):
        self.tree = cache(self._tree)

    @staticmethod
    def _tree(split):
        return whole([Problem(f"{split}{i}", f"{split} {i}", "1", split) for i in range(600)], parts(Knowing))


def test_each_price_takes_the_fit_that_is_worth_more_on_validation():
    def worse_at_the_second(train, validation, prices, actions):
        gains, reached = fit(train, validation, prices, actions)
        return gains, reached - np.array([0, "verify" in actions, 0])

    trial, prices = OnTrees(), (0.8, 0.5, 0.2)
    router = TrimVerify(TrimVerify.Params(prices=prices, evidence=("weak",)))
    with (
        patch.object(Sweep, "at_budgets", return_value={}),
        patch("trim.reading.gains.fit", side_effect=worse_at_the_second),
    ):
        fitted = router.fit(trial, [])
    train, validation = (Situations(trial.tree(split), COSTS, "strong_tokens") for split in ("train", "validation"))
    sets = ALL, ("delegate", "accept", "rewrite")
    reading, never = (fit(train, validation, prices, actions)[1] for actions in sets)
    assert (reading > never).all()
    np.testing.assert_allclose(list(fitted["validation"].values()), np.where([0, 1, 0], never, reading))
    for policy, reads in zip(TrimVerify(router.params, fitted).policies().values(), (True, False, True), strict=True):
        episodes = run(trial.tree("validation").problems, [policy], *parts(Knowing))
        assert any(step.rater == "strong" for episode in episodes for step in episode.steps) == reads
