from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import settings
from hypothesis import strategies as st

from trim.engine.cached import CachedLM, CachedPRM
from trim.engine.store import Draws
from trim.experiment.compose import compose_experiment
from trim.experiment.load import check
from trim.models.base import Draft, StepScore
from trim.pomdp.model import StepModel
from trim.problems import Problem

ROOT = Path(__file__).parent.parent
# How long an example takes says more of the machine than of the code.
settings.register_profile("trim", deadline=None)
settings.load_profile("trim")
# What the use of a model costs in a test that does not ask.
FREE = dict.fromkeys(("price_in", "price_out", "latency_per_call", "latency_per_token", "latency_per_read"), 0.0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first, so that no worker waits for it at the end; a file stays on one worker."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


@pytest.fixture(scope="session")
def raw() -> dict:
    """The shipped experiment with all routers and studies, and how the embedded models are made."""
    overlays = ROOT / "workflow/experiments"
    pretrain = yaml.safe_load((overlays / "pretrain.yaml").read_text())
    return compose_experiment(overlays, "full", ROOT / "params.yaml") | pretrain


@pytest.fixture(scope="session")
def params(raw):
    return check(raw)


def shrink(raw: dict) -> dict:
    """The shipped experiment at smoke size."""
    small = yaml.safe_load(yaml.safe_dump(raw))
    source = {"title": "Standard", "family": "standard", "seed": 0}
    small["benchmarks"] = {
        "standard": source | {"sizes": {"train": 160, "validation": 12, "test": 16}},
        "renamed": source
        | {"title": "Renamed", "family": "renamed"}
        | {"sizes": {"train": 30, "validation": 6, "test": 8}},
    }
    small["routers"]["random"]["probabilities"] = [0.2, 0.6]
    small["routers"]["trim_thr"]["thresholds"] = [0, 0.5, 0.9, 1]
    small["models"]["strong"]["batch_size"] = 2  # many batches, so that a kill falls between two
    costs = [1, 4]
    small["routers"]["trim_pomdp"]["costs"] = costs
    kept = (
        "always_weak", "always_strong", "random", "oracle", "oracle_query", "trim_thr", "trim_pomdp", "pomdp_paper",
        "trim_agg", "trim_budget", "routellm", "automix", "specreason", "takeover",
    )  # fmt: skip
    small["routers"] = {name: small["routers"][name] for name in kept}
    small["routers"]["pomdp_paper"]["costs"] = costs
    for name in ("routellm", "automix", "specreason"):
        small["routers"][name]["shares"] = [0.3, 0.6]
    small["routers"]["takeover"]["thresholds"] = [0.5, 0.9]
    small["granularity"] |= {"steps": [8], "thresholds": [0.5, 0.9]}
    small["transfer"] = {"routers": ["trim_thr", "routellm"]}
    trained = {"fit_on": "standard", "seeds": [0, 1], "training": {"epochs": 1}}
    small["routers"]["trim_agg"] = {"costs": [0.01]} | trained
    small["routers"]["trim_budget"] = {"costs": [0.005, 0.02], "repeats": 2} | trained
    for name, own in small["routers"].items():
        if name not in ("always_weak", "always_strong", "trim_thr", "routellm"):
            own["only"] = ["standard"]
    small["ceiling"] = {"costs": [0.01]}
    small["simulation"] = {"solutions": 100, "costs": [0.2, 0.5]}
    small["robustness"] |= {"noise": [1], "temperature": [], "random": []}
    small["evaluation"]["bootstrap"] = 20
    return small


class Scripted:
    """Both protocols, for tests of the engine: a step is a hash of its key, a score of its text."""

    id = "scripted"
    parameters = 1

    def __init__(self, name: str = "a", length: int = 4) -> None:
        self.name, self.length = name, length
        self.requests: list = []

    def next_steps(self, prefixes, keys, keep=None):
        self.requests += zip(prefixes, keys, strict=True)
        drafts = []
        for prefix, key in zip(prefixes, keys, strict=True):
            word = hashlib.sha256(self.name.encode() + key).hexdigest()[:4]
            last = len(prefix.steps) + 1 >= self.length
            text = f"{word} \\boxed{{{int(word, 16) % 3}}}" if last else word
            drafts.append(Draft(text, 3 + int(word, 16) % 5, "end" if last else "separator"))
        return drafts

    def score(self, solutions, last, keep=None):
        self.requests += solutions
        return [
            [StepScore(self.value(step), len(step) + 1) for step in s.steps[-n:]]
            for s, n in zip(solutions, last, strict=True)
        ]

    @staticmethod
    def value(step: str) -> float:
        return int(hashlib.sha256(step.encode()).hexdigest()[:8], 16) / 16**8


@pytest.fixture
def engine():
    """Weak, strong and scorer over one memory-only store, and the models behind them."""
    models = {name: Scripted(name) for name in ("weak", "strong", "prm")}
    draws = Draws()
    return (
        CachedLM("weak", lambda: models["weak"], draws, 64),
        CachedLM("strong", lambda: models["strong"], draws, 64),
        CachedPRM("prm", lambda: models["prm"], draws, 64),
        models,
    )


@pytest.fixture
def some_problems() -> list[Problem]:
    return [Problem(f"p{i}", f"question {i}", str(i % 3), "test") for i in range(20)]


@st.composite
def step_models(draw, steps: int | None = None, bins: tuple[int, int] | None = None, classes=(1, 2)) -> StepModel:
    """Random POMDPs, small enough to enumerate."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    z, k = draw(st.sampled_from(classes)), steps or draw(st.integers(2, 4))
    shape = bins or (draw(st.integers(1, 3)), draw(st.integers(2, 4)))
    return StepModel(
        observation=rng.dirichlet(np.full(shape[0] * shape[1], 0.7), 3).reshape(3, *shape),
        prior=rng.dirichlet(np.ones(z)),
        p_weak=rng.uniform(0.3, 0.95, z),
        p_strong=rng.uniform(0.5, 1, z),
        hazard=np.concatenate([rng.uniform(0, 0.7, (z, k - 1)), np.ones((z, 1))], axis=1),
        tokens=float(rng.uniform(0.5, 2)),
    )
