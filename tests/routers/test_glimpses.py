"""Routers that look at the token that a step would begin with."""

import numpy as np
import pytest
from fakes.scripted import Scripted

from trim.engine.cached import CachedLM, CachedPRM
from trim.engine.loop import run
from trim.engine.store import Draws
from trim.models.backends.transformers import TransformersLM
from trim.models.base import Prefix, StepScore, entropy
from trim.models.files import resolve
from trim.models.settings import Sampling
from trim.problems import Problem
from trim.problems.generated import generate
from trim.routers import registry
from trim.routers.base import Outcome
from trim.routers.glimprouter import Glimpsing
from trim.setting import Setting

PROBLEMS = [Problem(f"p{i}", f"question {i}", "1", "validation") for i in range(30)]


class Unsure(Scripted):
    """Two kinds of steps: those that are begun surely, and those that are not."""

    def first_entropies(self, prefixes, keep=None):
        found = [self.value(self.name + p.text + p.question) for p in prefixes]
        return [StepScore(0.01 * (1 + v) if v < 0.7 else 0.5 + v, 0) for v in found]


class Trial:
    """Solves the problems under policies."""

    problems = PROBLEMS

    def __init__(self):
        draws, models = Draws(), {name: Unsure(name) for name in ("weak", "strong", "prm")}
        self.models = models
        self.parts = [CachedLM(n, lambda n=n: models[n], draws, 64) for n in ("weak", "strong")]
        self.parts.append(CachedPRM("prm", lambda: models["prm"], draws, 64))

    def episodes(self, policy, split="validation", sample=0):
        return run(PROBLEMS, [policy], *self.parts)

    def __call__(self, policies):
        unit = sum(s.tokens for e in self.episodes(Glimpsing(-1.0)) for s in e.steps)
        found = {}
        for name, policy in policies.items():
            steps = [s for e in self.episodes(policy) for s in e.steps]
            found[name] = Outcome(0.0, sum(s.strong_tokens for s in steps) / unit)
        return found


@pytest.fixture(scope="module")
def trial():
    return Trial()


@pytest.mark.parametrize("name", ["glimprouter", "steer"])
def test_fitted_settings_spend_their_budgets(trial, name):
    kind = registry()[name]
    router = kind(kind.Params(), kind(kind.Params()).fit(trial, [0.1, 0.2]))
    reached = trial(router.policies())
    for budget in (0.1, 0.2):
        assert reached[Setting("budget", budget)].strong_fraction == pytest.approx(budget, abs=0.09)
    shares = [outcome.strong_fraction for setting, outcome in reached.items() if setting.parameter != "budget"]
    assert (np.diff(shares) >= -0.03).all() and 0 < shares[-1] <= 1


def test_what_is_begun_and_handed_over_is_a_token_of_the_weak_model(trial):
    for episode in trial.episodes(Glimpsing(0.3)):
        for step in episode.steps:
            assert (step.writer == "strong") == (step.glimpse > 0.3)
            assert step.draft is None and np.isnan(step.score)
            assert step.draft_tokens == (1 if step.writer == "strong" else step.tokens)


def test_steer_tells_the_two_kinds_apart(trial):
    kind = registry()["steer"]
    router = kind(kind.Params(odds=[0]), kind(kind.Params()).fit(trial, [0.2]))
    for step in (s for e in trial.episodes(router.policies()[Setting("odds", 0)]) for s in e.steps):
        assert (step.writer == "strong") == (step.glimpse > 0.3)


def test_the_entropy_is_that_of_the_most_probable_tokens():
    assert entropy(np.log([0.5, 0.5])) == pytest.approx(np.log(2))
    assert entropy(np.log([0.2, 0.2])) == pytest.approx(np.log(2))  # what is left out does not count
    assert entropy(np.array([0.0, -1000.0])) == pytest.approx(0)


def test_transformers_tells_the_entropy_of_its_next_token():
    import torch

    model = TransformersLM(resolve("embedded/weak"), Sampling())
    problems = generate("standard", {"test": 12}, 5)
    prefixes = [Prefix(p.question, p.reference[:n]) for p in problems for n in (0, 2)]
    found = [s.score for s in model.first_entropies(prefixes)]
    again = [s.score for s in model.first_entropies(prefixes[::-1])][::-1]
    np.testing.assert_allclose(found, again, atol=1e-4)
    for prefix, value in list(zip(prefixes, found, strict=True))[::5]:
        (ids,) = model.prompt.ids([prefix], [prefix.text])
        with torch.no_grad():
            logits = model.model(torch.tensor([ids], device=model.model.device)).logits[0, -1].cpu()
        assert value == pytest.approx(entropy(logits.topk(20).values.log_softmax(-1).numpy()), abs=1e-4)
