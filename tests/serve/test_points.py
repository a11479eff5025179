"""Operating points: which routers a server offers with the reward model that it has loaded."""

import copy

from trim.experiment.load import check
from trim.routers.fitted import write_fitted
from trim.serve.points import operating_points


def test_routers_are_offered_with_the_reward_model_that_they_read(tmp_path, raw):
    raw = copy.deepcopy(raw)
    thresholds = {"type": "trim_thr", "thresholds": [0.5]}
    raw["routers"] = {
        "always_weak": {}, "always_strong": {}, "trim_thr": {"thresholds": [0.5]},
        "both": thresholds | {"evidence": ["weak", "prm"]}, "small": thresholds | {"reward_model": "small"},
        "small_both": thresholds | {"reward_model": "small", "evidence": ["weak", "prm"]},
    }  # fmt: skip
    for section in ("robustness", "transfer"):
        raw[section] = {}
    raw["evaluation"]["baselines"] = ["trim_thr"]
    params = check(raw)
    for router in ("trim_thr", "both", "small", "small_both"):
        write_fitted(tmp_path / "routers" / "standard", router, "standard", {"budgets": {"0.2": 0.4}})
    for router in ("trim_thr", "both", "small", "small_both"):
        offered = operating_points(params, "standard", tmp_path, params.as_run(router))
        assert {point.router for point in offered.values()} == {"always_weak", "always_strong", router}
