"""The ladder of verifiers: its table, which reward models are rungs, and what verifiers cost, by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
from fakes.results import experiment, write_csv

from trim.models.cost import ModelCost
from trim.rl.walk import Walked
from trim.studies.ladder import STUDY, _all_flops, _candidates, _flops, _money, _scorers
from trim.verifiers import registry

THR = {"type": "trim_thr", "thresholds": [0, 1]}
VERIFY = {"trim_verify": {"prices": [0.1, 0.2], "evidence": ["weak", "prm"]}}
COSTS = {
    "weak": ModelCost(1, 0.02, 0, 0.1, 0, 0, 0),
    "strong": ModelCost(10, 0.15, 0, 0.75, 0, 0, 0),
    "prm": ModelCost(4, 0.3, 0, 0, 0, 0, 0),
}


def test_the_table_names_each_verifier_and_keeps_the_order_of_the_rungs(raw, tmp_path):
    names = ["strong", "prm", "reward_models.small", "evidence.prm", "evidence.small"]
    columns = "verifier auc_first auc_lost ece flops money accuracy low high pgr strong all_flops"
    numbers = (0.9, 0.8, 0.05, 1.5, 0.25, 0.6, 0.5, 0.7, 0.75, 0.2, 1.1)
    write_csv(tmp_path / "studies/ladder/standard.csv", columns, [(name, *numbers) for name in names])
    params = experiment(raw, VERIFY | {"random": {"probabilities": [0.5]}}, trees=["standard"])
    table = STUDY.table(tmp_path, params)
    assert table["verifier"].tolist() == [
        "strong log-probability",
        "reward model",
        "reward model, small",
        "reward model, with log-probability",
        "reward model, small, with log-probability",
    ]
    assert table.drop(columns="verifier").iloc[0].to_dict() == {
        "benchmark": "Standard",
        "AUC, first error": "0.900",
        "AUC, lost": "0.800",
        "calibration error": "0.050",
        "FLOPs a step": "1.50",
        "money a step": "0.25",
        "accuracy": "0.600 [0.500, 0.700]",
        "PGR": "0.750",
        "strong tokens": "0.200",
        "all FLOPs": "1.100",
    }


def test_trained_reward_models_and_fused_ones_are_rungs(raw):
    both = {"evidence": ["weak", "prm"]}
    routers = {"plain": THR, "both": THR | both, "small_both": THR | both | {"reward_model": "small"}, **VERIFY}
    trained = {"small": {"start": "weak", "labels": "steps"}, "other": {"start": "weak", "labels": "steps"}}
    params = experiment(raw, routers, trees=["standard"], reward_models=trained)
    found = _scorers(params)
    assert list(found) == ["reward_models.small", "reward_models.other", "evidence.prm", "evidence.small"]
    assert found["reward_models.small"].evidence is None
    assert found["reward_models.small"].path == found["evidence.small"].path == "results/reward_models/small"
    assert found["evidence.small"].evidence == "results/evidence/small.json"
    assert found["evidence.prm"].path == params.models.prm.path


@pytest.mark.parametrize(
    ("name", "flops", "money"),
    [
        ("mean", 0, 0),  # comes with the draft
        ("agreement", 2 * 1 / 10, 2 * 0.1 / 0.75),  # two more drafts
        ("prm", 4 / 10, 0.3 / 0.75),
        ("strong", 1, 0.15 / 0.75),
    ],
)
def test_the_price_of_a_step_is_over_writing_it(name, flops, money):
    assert _flops(registry()[name], COSTS) == pytest.approx(flops)
    assert _money(registry()[name], COSTS) == pytest.approx(money)
    unpriced = COSTS | {"strong": ModelCost(10, 0, 0, 0, 0, 0, 0)}
    assert _money(registry()[name], unpriced) == 0


# Of two problems, the first drafts 20 tokens in two steps, and the strong model rewrites 5 after reading 10; with
# prompts of 10 tokens. The second drafts 30 and is not rewritten.
WALKED = Walked(*(np.array(values) for values in ([1, 0], [5, 0], [5, 0], [15, 0], [20, 30], [2, 3])))
TREE = SimpleNamespace(prompt_tokens=lambda: dict.fromkeys(COSTS, np.array([10, 10])))
WEAK, STRONG = 1 * (10 + 20 + 5) + 1 * (10 + 30), 10 * (10 + 15)


@pytest.mark.parametrize(
    ("name", "operations"),
    [
        ("mean", WEAK + STRONG),
        ("agreement", WEAK + 2 * (20 + 30) + STRONG),
        ("prm", WEAK + STRONG + 4 * (10 + 20 + 5) + 4 * (10 + 30)),
        # It reads the prompt and all drafts, and writes a verdict a step.
        ("strong", WEAK + 10 * (10 + 20 + 5 + 2) + 10 * (10 + 30 + 3)),
    ],
)
def test_all_that_models_read_and_write_counts(name, operations):
    # Two operations a parameter and token, a mean over two problems.
    assert _all_flops(WALKED, registry()[name], TREE, COSTS) == pytest.approx(2 * operations / 2)


def test_thresholds_rise_from_one_that_hands_over_nothing():
    found = _candidates(np.array([0.5, 0.1, 0.1, 0.9]))
    assert found[0] == -np.inf and found[1] == 0.1 and found[-1] == 0.9
    assert (np.diff(found) > 0).all()


def test_it_needs_trees_log_probabilities_and_the_models_states(raw):
    trees = {"trees": ["standard"]}
    assert STUDY.made(experiment(raw, VERIFY, **trees))
    assert not STUDY.made(experiment(raw, {"plain": THR}, **trees))
    assert not STUDY.made(experiment(raw, VERIFY, **trees, replay=True))
