"""The whole cost of a solution, against caches that are simulated token by token."""

import hashlib
from dataclasses import asdict, dataclass

import numpy as np
import pytest
from fakes.scripted import Repeating, Scripted
from hypothesis import given, settings
from hypothesis import strategies as st

from trim.engine.actions import Action, Phase
from trim.engine.cached import CachedLM, CachedPRM
from trim.engine.loop import run
from trim.engine.policy import Policy
from trim.engine.records import write_episodes
from trim.engine.store import Draws
from trim.evaluation.results import read_results
from trim.ledger.calls import ROLES
from trim.models.base import StepScore, Usage
from trim.models.cost import ModelCost
from trim.problems import Problem
from trim.routers.always import AlwaysStrong, AlwaysWeak
from trim.setting import Setting

PROMPTS = {"weak": 11, "strong": 13, "prm": 17}
MODELS = {
    "weak": ModelCost(3, 2.0, 0.5, 7.0, 0.1, 0.01, 0.001),
    "strong": ModelCost(50, 5.0, 1.5, 11.0, 0.2, 0.02, 0.002),
    "prm": ModelCost(40, 3.0, 1.0, 0.0, 0.3, 0.0, 0.003),
}
PROBLEMS = [Problem(f"p{i}", f"question {i}", str(i % 3), "test") for i in range(4)]


@dataclass(frozen=True)
class Coins(Policy):
    """Hands steps over by a coin; every combination of raters and ways to hand over."""

    rater: str | None = None
    salt: int = 0
    delegates: float = 0.0
    verifier: str | None = None
    second: str | None = None
    glimpses: bool = False
    judges: bool = True

    def _coin(self, seen, salt):
        words = [f"{self.salt}{salt}{node.hex()}" for node in seen.nodes]
        return np.array([int(hashlib.sha256(word.encode()).hexdigest()[:4], 16) / 16**4 for word in words])

    def decide(self, phase, seen):
        if phase == Phase.START:
            return np.where(self._coin(seen, "d") < self.delegates, Action.DELEGATE, Action.DRAFT)
        if phase == Phase.ENDED:
            return np.where(self._coin(seen, "v") < 0.5, Action.RESTART, Action.ACCEPT)
        if phase == Phase.DRAFTED and self.second:
            read = self._coin(seen, "c") < 0.5
            return np.where(read, Action.READ, self._judge(seen))
        return self._judge(seen)

    def _judge(self, seen):
        return np.where(self._coin(seen, "r") < 0.4, Action.REWRITE, Action.ACCEPT)


class Rated(Scripted):
    def mean_logprobs(self, solutions, keep=None):
        return [StepScore(-1.0, 1) for _ in solutions]

    def first_entropies(self, prefixes, keep=None):
        return [StepScore(1.0, 0) for _ in prefixes]

    def prompt_tokens(self, prefixes):
        return [PROMPTS[self.name]] * len(prefixes)


class RatedRepeating(Repeating, Rated):
    pass


class RatedAgreeing(RatedRepeating):
    """All models write one of the same three steps, so that rewrites are often the draft's own words."""

    words = ""


class Cache:
    """A model's cache: the tokens that it has read or written, each known by all that stands before it."""

    def __init__(self):
        self.kept, self.calls, self.prompts, self.read, self.written = set(), 0, 0, 0, 0

    def call(self, context, written=()):
        self.calls += 1
        self.prompts += len(context)
        self.read += len(set(context) - self.kept)
        self.kept |= set(context) | set(written)
        self.written += len(written)


def tokens(path, count):
    return [(*path, i) for i in range(count)]


def simulate(episode, judged):
    """The caches of all three models after an episode, from the order of its calls.

    Steps that a model writes one after another are one call, where no draft of the setting is judged.
    """
    caches = {role: Cache() for role in ROLES}
    for steps in (episode.discarded, episode.steps):
        standing = {role: tokens(("prompt",), PROMPTS[role]) for role in ROLES}
        path, last = (), None
        for step in steps:
            goes_on = last is not None and (
                (step.writer == "strong" and not step.draft_tokens and last.writer == "strong")
                or (step.writer == last.writer == "weak" and not judged)
            )
            last = step
            begun = "begun" if step.writer == "strong" else step.text  # what is only begun is thrown away
            draft = step.draft if step.draft is not None else begun
            drafted = tokens((*path, draft), step.draft_tokens)
            if step.draft_tokens:
                caches["weak"].call([] if goes_on else standing["weak"], drafted)
            if "prm" in step.scores and not episode.ratings:
                caches["prm"].call(standing["prm"] + tokens((*path, draft), len(draft) + 1))
            if "strong" in step.scores:
                caches["strong"].call(standing["strong"] + drafted, ["verdict"])
                caches["strong"].kept -= {"verdict"}
            for call in step.calls:
                if call.kind == "verdict":
                    asked = tokens((*path, draft, "asked", call.role), call.fresh)
                    for i in range(call.calls):
                        caches[call.role].call(asked, tokens((*path, "verdict", i), call.written // call.calls))
            rewritten = step.writer == "strong"
            text = tokens((*path, step.text), step.tokens)
            if rewritten:
                caches["strong"].call([] if goes_on else standing["strong"], text)
            for role in ("weak", "strong"):
                standing[role] = standing[role] + (text if rewritten else drafted)
            standing["prm"] = standing["prm"] + tokens((*path, step.text), len(step.text) + 1)
            path = (*path, step.text)
        if (
            steps
            and "prm" in steps[-1].scores
            and episode.ratings
            and (steps is episode.discarded or not episode.discarded)
        ):
            caches["prm"].call(standing["prm"])
    return caches


def solve(policies, model=Rated):
    models, draws = {name: model(name) for name in ROLES}, Draws()
    writers = [CachedLM(name, lambda name=name: models[name], draws, 64) for name in ("weak", "strong")]
    scorer = CachedPRM("prm", lambda: models["prm"], draws, 64)
    prompts = {role: [length] * len(PROBLEMS) for role, length in PROMPTS.items()}
    return run(PROBLEMS, policies, *writers, scorer, prompts=prompts)


def written_down(episodes, policies, path):
    header = {"benchmark": "b", "split": "test", "router": "r", "title": "", "reference": False}
    header |= {"models": {role: asdict(m) for role, m in MODELS.items()}}
    write_episodes(path / "e.parquet", episodes, [Setting("policy", i) for i in range(len(policies))], header)
    return read_results(path / "e.parquet")


KEYS = ("read", "cached", "written")


def counted(total, role, what):
    """The reward model writes nothing, and what it reads is `prm_tokens`."""
    name = {"prm_read": "prm_tokens"}.get(f"{role}_{what}", f"{role}_{what}")
    return 0 * total["steps"] if name == "prm_written" else total[name]


policies = st.builds(
    Coins,
    st.sampled_from(["prm", "weak", "strong", "grade", None]),
    st.integers(0, 10**6),
    st.sampled_from([0.0, 0.3]),
) | st.builds(Coins, st.none(), st.integers(0, 10**6), st.just(0.0), st.sampled_from(["prm", "self"]))
seconds = st.builds(
    Coins,
    st.sampled_from(["weak", "prm", None]),
    st.integers(0, 10**6),
    st.sampled_from([0.0, 0.3]),
    second=st.sampled_from(["prm", "strong", "grade"]),
).filter(lambda policy: policy.rater != policy.second)
glimpsing = st.builds(
    Coins,
    st.sampled_from(["prm", "weak", None]),
    st.integers(0, 10**6),
    st.sampled_from([0.3, 0.7]),
    glimpses=st.just(True),
)
unjudged = st.builds(
    Coins,
    st.none(),
    st.integers(0, 10**6),
    st.sampled_from([0.0, 0.3, 0.7]),
    st.sampled_from([None, "prm", "self"]),
    glimpses=st.booleans(),
    judges=st.just(False),
)


@given(
    st.lists(policies | seconds | glimpsing | unjudged, min_size=1, max_size=3),
    st.sampled_from([RatedRepeating, RatedAgreeing]),
)
@settings(max_examples=150, deadline=None)
def test_calls_are_those_of_simulated_caches(tmp_path_factory, chosen, model):
    episodes = solve(chosen, model)
    costs = written_down(episodes, chosen, tmp_path_factory.mktemp("costs")).costs
    assert set(costs) == {"none", "prefix"}
    for index, episode in enumerate(episodes):
        place = divmod(index, len(PROBLEMS))
        caches = simulate(episode, chosen[episode.policy].judges)
        for role, cache in caches.items():
            none, prefix = ({key: counted(total, role, key)[place] for key in KEYS} for total in costs.values())
            assert none == {"read": cache.prompts, "cached": 0, "written": cache.written}, role
            assert prefix == {"read": cache.read, "cached": cache.prompts - cache.read, "written": cache.written}, role


@given(st.lists(policies, min_size=1, max_size=3))
@settings(max_examples=20, deadline=None)
def test_units_are_sums_over_models(tmp_path_factory, chosen):
    costs = written_down(solve(chosen), chosen, tmp_path_factory.mktemp("costs")).costs
    for total in costs.values():
        used = {role: counted(total, role, "read") + counted(total, role, "written") for role in ROLES}
        flops = {role: 2 * MODELS[role].parameters * used[role] for role in ROLES}
        assert np.allclose(total["all_tokens"], sum(used.values()))
        assert np.allclose(total["flops"], sum(flops.values()))
        assert np.allclose(total["flops_without_prm"], flops["weak"] + flops["strong"])
        money = sum(
            (
                model.price_in * counted(total, role, "read")
                + model.price_cached * counted(total, role, "cached")
                + model.price_out * counted(total, role, "written")
            )
            / 1e6
            for role, model in MODELS.items()
        )
        assert np.allclose(total["money"], money)
        assert (total["latency"] >= total["latency_decoding"] + total["latency_reading"]).all()
    for unit in ("all_tokens", "flops", "money", "latency_reading"):
        assert (costs["none"][unit] >= costs["prefix"][unit] - 1e-9).all()


def test_always_strong_reads_the_question_once_and_writes_the_rest(tmp_path):
    (policy,) = AlwaysStrong(None).policies().values()
    episodes = solve([policy])
    for total in written_down(episodes, [policy], tmp_path).costs.values():
        _reads_once(total, episodes)


def test_always_weak_reads_the_question_once_and_writes_the_rest(tmp_path):
    (policy,) = AlwaysWeak(None).policies().values()
    for total in written_down(solve([policy]), [policy], tmp_path).costs.values():
        assert (total["weak_read"] == PROMPTS["weak"]).all()
        assert not total["weak_cached"].any()


def _reads_once(total, episodes):
    assert (total["strong_read"] == PROMPTS["strong"]).all()
    assert not total["strong_cached"].any()
    assert total["strong_written"][0].tolist() == [sum(s.tokens for s in e.steps) for e in episodes]
    assert not sum(counted(total, role, what).sum() for role in ("weak", "prm") for what in ("read", "written"))


class Billing(Rated):
    """Bills 100 tokens a call, 30 of them from its cache."""

    def next_steps(self, prefixes, keys, keep=None):
        return [d._replace(usage=Usage(100, 30, d.tokens)) for d in super().next_steps(prefixes, keys)]

    def score(self, solutions, last, keep=None):
        rows = super().score(solutions, last)
        return [[*row[:-1], row[-1]._replace(usage=Usage(100, 30, 0))] for row in rows]


@pytest.mark.parametrize("rater", ["prm", "grade"])
def test_a_bill_stands_for_what_was_read(tmp_path, rater):
    policy = Coins(rater, 5)
    costs = written_down(solve([policy], Billing), [policy], tmp_path).costs
    for role in ROLES:
        calls = {
            name: counted(costs[name], role, "read") + counted(costs[name], role, "cached")
            for name in ("billed", "none")
        }
        assert np.allclose(counted(costs["billed"], role, "read") * 3, counted(costs["billed"], role, "cached") * 7)
        assert (calls["billed"] % 100 == 0).all()
        assert ((calls["billed"] > 0) == (calls["none"] > 0)).all()
        assert np.array_equal(counted(costs["billed"], role, "written"), counted(costs["none"], role, "written"))
