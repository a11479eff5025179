from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from fakes.scripted import Scripted
from fakes.served import served  # noqa: F401 - a fixture
from hypothesis import settings

from trim.engine.cached import CachedLM, CachedPRM
from trim.engine.store import Draws
from trim.experiment.compose import compose_experiment
from trim.experiment.load import check
from trim.problems import Problem

ROOT = Path(__file__).parent.parent
# A worker of the tests is a core, as a job of the pipeline is.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)
# How long an example takes says more of the machine than of the code.
settings.register_profile("trim", deadline=None)
settings.load_profile("trim")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first, so that no worker waits for it at the end; a file stays on one worker."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


@pytest.fixture(scope="session")
def raw() -> dict:
    """The shipped experiment with all routers and studies."""
    return compose_experiment(ROOT / "workflow/experiments", "full", ROOT / "params.yaml")


@pytest.fixture(scope="session")
def params(raw):
    return check(raw)


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
