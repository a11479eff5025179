"""Rivals of TRIM: query-level routers, cascades, other step routers."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fakes.scripted import Scripted
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit
from transformers import BertConfig, BertModel

from trim.engine.actions import Action, Phase
from trim.engine.cached import CachedLM, CachedPRM
from trim.engine.loop import run
from trim.engine.records import write_episodes
from trim.engine.scorers import GradeScorer, SelfVerifier
from trim.engine.store import Draws, Node
from trim.errors import TrimError
from trim.evaluation.results import read_results
from trim.models.base import Draft, StepScore
from trim.models.embeddings import Embedding, embedder
from trim.models.files import resolve
from trim.models.prompt import read_tokenizer
from trim.problems import Problem
from trim.problems.generated import generate
from trim.routers import registry
from trim.routers.automix import AutoMix, _Cascade
from trim.routers.base import Outcome, aggregated, threshold
from trim.routers.query import Labels, deviation, unit
from trim.routers.rated import _Rated
from trim.setting import Setting


def made(name, fitted=None, **params):
    kind = registry()[name]
    return kind(kind.Params(**params), fitted)


def solved(engine, problems, *policies):
    *parts, _ = engine
    episodes = run(problems, list(policies), *parts)
    return [episodes[i : i + len(problems)] for i in range(0, len(episodes), len(problems))]


def ends():
    return [next(iter(made(name).policies().values())) for name in ("always_weak", "always_strong")]


def test_takeover_never_gives_back(engine, some_problems):
    (policy,) = made("trim_thr", thresholds=[0.5], span=None).policies().values()
    (episodes,) = solved(engine, some_problems, policy)
    assert any(step.writer == "strong" for e in episodes for step in e.steps[:-1])
    for episode in episodes:
        writers = "".join(step.writer[0] for step in episode.steps)
        assert "sw" not in writers
        taken = writers.find("s")
        assert taken < 0 or all(s.draft is None and s.draft_tokens == 0 for s in episode.steps[taken + 1 :])


@given(st.integers(1, 4), st.floats(0.2, 0.8))
@settings(max_examples=15, deadline=None)
def test_an_intervention_spans_its_steps(span, threshold):
    models = {name: Scripted(name, length=9) for name in ("weak", "strong", "prm")}
    draws = Draws()
    writers = [CachedLM(name, lambda name=name: models[name], draws, 64) for name in ("weak", "strong")]
    problems = [Problem(f"p{i}", f"question {i}", "1", "test") for i in range(4)]
    (policy,) = made("trim_thr", thresholds=[threshold], span=span).policies().values()
    for episode in run(problems, [policy], *writers, CachedPRM("prm", lambda: models["prm"], draws, 64)):
        left = 0
        for step in episode.steps:
            if left:
                assert step.writer == "strong" and step.draft is None
                left -= 1
            else:
                assert step.draft_tokens > 0
                assert (step.writer == "strong") == (step.score < threshold)
                left = (span - 1) * (step.writer == "strong")


def test_a_step_at_the_threshold_is_trim_thr(engine, some_problems):
    taus = [0.2, 0.5, 0.8]
    rsd = made("rsd", form="indicator", values=taus).policies().values()
    thr = made("trim_thr", thresholds=taus).policies().values()
    found = solved(engine, some_problems, *rsd, *thr)
    for one, other in zip(found[:3], found[3:], strict=True):
        assert [e.steps for e in one] == [e.steps for e in other]


@pytest.mark.parametrize("form", ["indicator", "linear", "clipped", "sigmoid"])
def test_a_stricter_acceptance_hands_over_a_superset(form):
    values = np.linspace(0, 1.2, 7).tolist()
    policies = made("rsd", form=form, values=values).policies().values()
    rng = np.random.default_rng(0)
    seen = SimpleNamespace(nodes=[bytes([i]) * 16 for i in range(200)], scores=rng.random((200, 3)))
    handed = [policy.decide(Phase.DRAFTED, seen) == Action.REWRITE for policy in policies]
    for less, more in pairwise(handed):
        assert not (less & ~more).any()
    assert handed[0].mean() < handed[-1].mean()


def cascade(rejects, verifier="prm", samples=3):
    return _Cascade(verifier, samples, "min", rejects)


def test_a_rejected_solution_is_written_anew_and_all_is_paid_for(engine, some_problems, tmp_path):
    never, always = cascade(lambda c: c < 0), cascade(lambda c: c <= 1)
    weak, strong, kept, again = solved(engine, some_problems, *ends(), never, always)
    assert [e.node.path for e in kept] == [e.node.path for e in weak]
    assert [e.node.path for e in again] == [e.node.path for e in strong]
    for first, second, cheap, dear in zip(weak, strong, kept, again, strict=True):
        assert [s.text for s in dear.discarded] == [s.text for s in first.steps]
        assert dear.correct == second.correct
        assert not cheap.discarded
        read = sum(len(step.text) + 1 for step in first.steps)
        fresh = [
            sum(call.fresh for step in steps for call in step.calls if call.role == "prm")
            for steps in (cheap.steps, dear.discarded)
        ]
        assert fresh == [read, read]
        assert dear.ratings == tuple(Scripted.value(step.text) for step in first.steps)
    for episode in weak + strong + kept + again:
        episode.policy = 0
    prices = {"price_in": 1e6, "price_cached": 0.0, "price_out": 1e6}
    costs = {"parameters": 1, "latency_per_call": 1.0, "latency_per_token": 0.0, "latency_per_read": 0.0} | prices
    prompts = {role: [0] * len(some_problems) for role in ("weak", "strong", "prm")}
    header = {"benchmark": "b", "split": "test", "router": "r", "title": "", "reference": False}
    header |= {"prompts": prompts, "models": dict.fromkeys(("weak", "strong", "prm"), costs)}
    found = {}
    for name, episodes in {"weak": weak, "strong": strong, "again": again}.items():
        path = tmp_path / f"{name}.parquet"
        write_episodes(path, episodes, [Setting()], header)
        found[name] = read_results(path).totals
    written = {
        name: sum(totals[key] for key in ("weak_tokens_kept", "strong_tokens")) for name, totals in found.items()
    }
    assert (found["again"]["weak_tokens_discarded"] == written["weak"]).all()
    assert (found["again"]["strong_tokens"] == written["strong"]).all()
    assert (found["again"]["steps"] == found["strong"]["steps"]).all()
    assert (found["again"]["prm_calls"] == 1).all()
    everything = written["weak"] + written["strong"] + found["again"]["prm_tokens"]
    assert np.allclose(found["again"]["all_tokens"], everything)
    assert np.allclose(found["again"]["money"], everything)
    calls = found["weak"]["latency"] + found["strong"]["latency"] + 1
    assert np.allclose(found["again"]["latency"], calls)


class Talking(Scripted):
    """Answers requests that are no problems."""

    replies = ("yes", "no", "Yes, it is.", "7", "GradeScorer: 4", "none")

    def next_steps(self, prefixes, keys, keep=None):
        asked = [p.instruction == "" for p in prefixes]
        drafts = super().next_steps(prefixes, keys)
        return [
            Draft(self.replies[key[0] % 6], 2, "end") if is_asked else draft
            for is_asked, draft, key in zip(asked, drafts, keys, strict=True)
        ]

    def mean_logprobs(self, solutions, keep=None):
        return [StepScore(-self.value(s.steps[-1]), len(s.steps[-1])) for s in solutions]


@pytest.fixture
def talking():
    models, draws = {name: Talking(name) for name in ("weak", "strong", "prm")}, Draws()
    return (
        CachedLM("weak", lambda: models["weak"], draws, 64),
        CachedLM("strong", lambda: models["strong"], draws, 64),
        CachedPRM("prm", lambda: models["prm"], draws, 64),
        models,
    )


def test_verdicts_are_sampled_and_paid_for(talking, some_problems):
    weak = talking[0]
    (episodes,) = solved(talking, some_problems, cascade(lambda c: c < 0.5, "self", 5))
    verified = SelfVerifier(weak, 5).verify([Node.root(p.question) for p in some_problems])
    assert {len(v.values) for v in verified} == {5}
    for episode in episodes:
        assert len(episode.ratings) == 5
        assert set(episode.ratings) <= {0.0, 1.0}
        assert bool(episode.discarded) == (min(episode.ratings) < 0.5)
        paid = (episode.discarded or episode.steps)[-1]
        (verdict,) = (call for call in paid.calls if call.kind == "verdict")
        assert (verdict.role, verdict.written, verdict.calls) == ("weak", 10, 5)
        assert verdict.fresh > 0
    assert len({v.values for v in verified}) > 1  # samples differ


def test_grades_are_single_digits(talking):
    node = Node.root("q").child("a").child("b")
    replies = {"yes": 0, "no": 0, "Yes, it is.": 0, "7": 7, "GradeScorer: 4": 4, "none": 0}
    for i in range(20):
        ((score,),) = GradeScorer(talking[1]).score([node.child(str(i))], [1])
        assert round(score.score * 9) in replies.values()
        assert score.tokens_written == 2


@pytest.mark.parametrize("rater", ["weak", "strong", "grade"])
def test_a_rated_router_pays_its_rater_and_no_reward_model(talking, some_problems, rater):
    (episodes,) = solved(talking, some_problems, _Rated(rater, -0.4 if rater != "grade" else 0.5))
    drafts = [step for e in episodes for step in e.steps]
    assert {step.writer for step in drafts} == {"weak", "strong"}
    for step in drafts:
        assert step.rater == rater
        rated = any(call.kind in ("score", "read", "verdict") for call in step.calls)
        assert rated == (rater != "weak")  # its own log-probabilities come with the draft
        verdict = {"weak": 0, "strong": 1, "grade": 2}[rater]
        assert step.strong_tokens == (step.tokens if step.writer == "strong" else 0) + verdict
    assert not talking[3]["prm"].requests


def test_thresholds_have_their_shares_below_them():
    values = np.random.default_rng(0).random(999)
    for share in (0, 0.1, 0.5, 1):
        assert (values < threshold(values, share)).mean() == pytest.approx(share, abs=2e-3)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_aggregates_agree_with_their_names(values):
    scores = np.array([values])
    expected = {"last": values[-1], "min": min(values), "product": np.prod(values), "mean": np.mean(values)}
    for how, value in expected.items():
        assert aggregated(scores, how)[0] == pytest.approx(value)


def questions(n, split="train"):
    return [p.question for p in generate("standard", {split: n}, 3)]


@pytest.fixture(scope="module")
def labels():
    """Long questions are what only the strong model can do."""
    asked = questions(400)
    raw = embedder(Embedding())(asked)
    hard = np.array([question.count(",") > 6 for question in asked])
    rng = np.random.default_rng(0)
    weak, strong = rng.random(400) < np.where(hard, 0.05, 0.95), rng.random(400) < 0.95
    return Labels((raw - raw.mean(0)) / deviation(raw), weak, strong, None), hard


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("routellm", {"method": "similarity"}),
        ("routellm", {"method": "factorisation"}),
        ("routellm", {"method": "classifier"}),
        ("hybridllm", {}),
    ],
)
def test_query_routers_learn_which_questions_are_hard(labels, name, params):
    known, hard = labels
    router = made(name, **params)
    half = Labels(known.embeddings[:300], known.weak[:300], known.strong[:300], None)
    scores = router.score(known.embeddings[300:], router.learn(half))
    above, below = scores[hard[300:]], scores[~hard[300:]]
    assert (above[:, None] > below).mean() > 0.85  # area under the curve


def test_the_weighted_bradley_terry_model_has_that_closed_form(labels):
    known, _ = labels
    router = made("routellm", method="similarity")
    learned = router.learn(known)
    for query in known.embeddings[:3]:
        alike = unit(query[None]) @ learned["known"].T
        weights = 10 ** (1 + alike / alike.max())[0]

        def loss(apart, weights=weights):
            chance = expit(apart[0])
            return -(weights * (known.preference * np.log(chance) + (1 - known.preference) * np.log(1 - chance))).sum()

        expected = expit(minimize(loss, [0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9}).x[0])
        assert router.score(query[None], learned)[0] == pytest.approx(expected, abs=1e-5)


def test_smoothie_finds_where_the_weak_model_scatters():
    """Solutions are the question and eight words; the weak model's are made up on half of the questions."""
    asked, rng = questions(300), np.random.default_rng(1)
    far = np.array([question.count(",") > 6 for question in asked])

    def solutions(policy, split, sample):
        made_up = far & ~np.array(policy.strong)
        words = [[rng.integers(10**6) if m else i for i in range(8)] for m in made_up]
        texts = [
            f"{q} " + " ".join(chr(97 + w % 26) + chr(97 + w // 26 % 26) + chr(97 + w // 676 % 26) for w in own)
            for q, own in zip(asked, words, strict=True)
        ]
        return [SimpleNamespace(steps=[SimpleNamespace(text=text)]) for text in texts]

    raw = embedder(Embedding())(asked)
    x = (raw - raw.mean(0)) / deviation(raw)
    router = made("smoothie", neighbours=20)
    learned = router.learn(Labels(x, np.zeros(300), np.zeros(300), SimpleNamespace(episodes=solutions)))
    scores = router.score(x, learned)
    assert (scores[far][:, None] > scores[~far]).mean() > 0.85


class FakeTrial:
    """Weak solutions with confidences, of which the low ones are wrong."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.weak = rng.random(500) < 0.6
        self.confidence = np.clip(np.where(self.weak, 0.8, 0.3) + rng.normal(0, 0.15, 500), 0, 1)
        self.problems = [Problem(f"p{i}", f"q{i}", "1", "validation") for i in range(500)]

    def episodes(self, policy, split="validation", sample=0):
        strong = getattr(policy, "strong", False)
        right = np.ones(500, dtype=bool) if strong else self.weak
        steps = [SimpleNamespace(tokens=10)]
        return [
            SimpleNamespace(correct=bool(r), ratings=(c,), steps=steps)
            for r, c in zip(right, self.confidence, strict=True)
        ]

    def __call__(self, policies):
        shares = {name: policy._rejects(self.confidence).mean() for name, policy in policies.items()}
        return {name: Outcome(0.5, share) for name, share in shares.items()}


@pytest.mark.parametrize("params", [{}, {"meta": "pomdp", "costs": [0.01, 0.05, 0.09]}])
def test_automix_spends_its_budget_on_the_doubtful(params):
    trial = FakeTrial()
    router = made("automix", **params)
    fitted = router.fit(trial, (0.3,))
    policies = AutoMix(router.params, fitted).policies()
    rejected = policies[Setting("budget", 0.3)]._rejects(trial.confidence)
    assert rejected.mean() == pytest.approx(0.3, abs=0.06)
    assert trial.weak[rejected].mean() < 0.15


def test_the_query_oracle_hands_over_what_only_the_strong_model_solves(engine, some_problems):
    weak, strong = solved(engine, some_problems, *ends())
    kind = registry()["oracle_query"]
    policies = made("oracle_query", kind.foresee(weak, strong)).policies()
    found = solved(engine, some_problems, *policies.values())
    best = [w.correct or s.correct for w, s in zip(weak, strong, strict=True)]
    assert [e.correct for e in found[-1]] == best
    assert sum(best) > sum(e.correct for e in weak)
    for w, s, e in zip(weak, strong, found[-1], strict=True):
        assert e.node.path == (s if s.correct and not w.correct else w).node.path
    gained = [sum(e.correct for e in episodes) for episodes in found]
    assert gained == sorted(gained)


def test_an_encoder_is_pooled_over_its_tokens_alone(tmp_path):
    """A tiny encoder with the embedded tokenizer; the mean leaves out the padding."""
    tokenizer = read_tokenizer(resolve("embedded/weak"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    encode = embedder(Embedding(path=str(tmp_path)))
    asked = questions(9)
    together = encode(asked)
    assert together.shape == (9, 32)
    for question, vector in zip(asked, together, strict=True):
        assert encode([question])[0] == pytest.approx(vector, abs=1e-5)
    assert np.std(together, axis=0).max() > 1e-3
    with pytest.raises(TrimError, match=r"embedding\.path"):
        embedder(Embedding(path=str(tmp_path / "nowhere")))
