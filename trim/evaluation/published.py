"""The paper's released and reported numbers, in the measures of this package."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from trim.evaluation.bootstrap import MeasureSettings, estimate
from trim.evaluation.measures import Scale, all_measures
from trim.pomdp.model import StepModel
from trim.setting import Setting

_FOLDER = files("trim.evaluation") / "released"
PROBLEMS = 500  # MATH-500
SETTING = "MATH-500, Qwen2.5-1.5B and 7B, Qwen2.5-Math-PRM-7B"
RELEASED_FOR = f"released: {SETTING}"
RELEASED = {"trim_thr": "threshold", "trim_pomdp": "cost_per_token"}
RELEASED_TITLES = {"trim_thr": "TRIM-Thr", "trim_pomdp": "TRIM-POMDP"}
ADVANCED_TITLES = {"trim_agg": "TRIM-Agg", "trim_pomdp": "TRIM-POMDP"}
_SWEPT = {"trim_thr": "tau", "trim_pomdp": "cost"}
_PARAMETERS = {"weak": 1.54e9, "strong": 7.62e9, "prm": 7.08e9}


def _lines(router: str) -> pd.DataFrame:
    text = (_FOLDER / f"{router}_math500.jsonl").read_text(encoding="utf-8")
    return pd.DataFrame(map(json.loads, text.splitlines()))


def _ends() -> tuple[pd.Series, pd.Series]:
    """Always-weak and always-strong: thresholds 0 and 1 of the released sweep."""
    sweep = _lines("trim_thr").set_index("threshold")
    return sweep.loc[sweep.index.min()], sweep.loc[sweep.index.max()]


def published_points(router: str = "trim_thr") -> pd.DataFrame:
    """The operating points that were released with the paper's reference code.

    Args:
        router: one of `RELEASED`.

    Returns:
        Rows of setting, accuracy, pgr, strong_fraction, strong_tokens, weak_tokens_kept, weak_tokens_discarded and
        calls (the steps handed over); means per problem.
    """
    rows, (weak, strong) = _lines(router), _ends()
    return pd.DataFrame(
        {
            "setting": [str(Setting(_SWEPT[router], value)) for value in rows[RELEASED[router]]],
            "accuracy": rows["accuracy"],
            "pgr": (rows["accuracy"] - weak["accuracy"]) / (strong["accuracy"] - weak["accuracy"]),
            "strong_fraction": rows["avg_target_tokens_per_question"] / strong["avg_target_tokens_per_question"],
            "strong_tokens": rows["avg_target_tokens_per_question"],
            "weak_tokens_kept": rows["avg_draft_tokens_per_question"],
            "weak_tokens_discarded": rows["avg_discarded_draft_tokens_per_question"],
            "calls": rows["avg_target_calls_per_question"],
        }
    )


def published_costs(router: str) -> pd.DataFrame:
    """Upper bounds on the cost of each released point (always-strong's is 1); with its setting.

    Only counts of written tokens were released. Each model keeps its own cache, so the strong model reads every
    accepted weak token at most once, the weak model every strong one, and the reward model every draft and every
    rewrite. The questions are left out; with them the shares are nearer to 1.
    """
    points, strong = published_points(router), _ends()[1]["avg_target_tokens_per_question"]
    points = points[points["strong_fraction"].between(0, 1, inclusive="neither")]
    kept, lost, written = (points[name] for name in ("weak_tokens_kept", "weak_tokens_discarded", "strong_tokens"))
    passes = {"weak": kept + lost + written, "strong": kept + written, "prm": kept + lost + written}
    flops = {role: _PARAMETERS[role] * tokens for role, tokens in passes.items()}
    language = flops["weak"] + flops["strong"]
    unit = _PARAMETERS["strong"] * strong
    return pd.DataFrame(
        {
            "setting": points["setting"],
            "strong_tokens": written / strong,
            "strong_passes": passes["strong"] / strong,
            "all_tokens": sum(passes.values()) / strong,
            "flops": (language + flops["prm"]) / unit,
            "flops_without_prm": language / unit,
        }
    )


def published_budgets(settings: MeasureSettings, router: str = "trim_thr") -> pd.DataFrame:
    """A row per measure: value, low, high, share of the draws that reach it.

    Only sums over problems were released, so the intervals are those of independent
    binomial counts: wider than paired ones, and of the accuracies alone.
    """
    points, (weak, strong) = published_points(router), _ends()
    points = points[points["strong_fraction"].between(0, 1, inclusive="neither")]
    rng = np.random.default_rng(settings.seed)
    known = np.concatenate([points["accuracy"], [weak["accuracy"], strong["accuracy"]]])
    accuracy = np.vstack([known, rng.binomial(PROBLEMS, known, size=(settings.bootstrap, len(known))) / PROBLEMS])
    scale = Scale(accuracy[:, -2], np.zeros(len(accuracy)), accuracy[:, -1])
    spent = np.concatenate([points["strong_fraction"], [0, 1]])
    curve = np.broadcast_to(spent, accuracy.shape), accuracy
    if router != "trim_thr":  # its list of settings ends neither at always-weak nor at always-strong
        curve = curve[0][:, :-2], curve[1][:, :-2]
    rows = []
    for measure, samples in all_measures(*curve, scale, settings.levels, settings.budgets).items():
        rows.append((measure, *estimate(samples, settings.confidence)))
    return pd.DataFrame(rows, columns=["measure", "value", "low", "high", "reached"])


def reported() -> pd.DataFrame:
    """The paper's own numbers, for another pair of models: benchmark, router, measure, value."""
    return pd.DataFrame(_json("reported")["rows"])


def reported_for() -> str:
    """A label with the models of the paper's own numbers."""
    models = _json("reported")["models"]
    return f"reported: {models['weak']}, {models['strong'].split(' (')[0]}, {models['prm']}"


def _json(name: str) -> Any:
    return json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def published_model(observation: str = "math_train") -> StepModel:
    """The calibration released with the paper: Qwen2.5 1.5B and 7B with Qwen2.5-Math-PRM-7B.

    Args:
        observation: "math_train" or "omni", the problems whose scores the densities come from.
    """
    densities, hazard, counts = map(_json, ("observation_model", "step_hazard", "transition_counts"))
    masses = np.array([densities[observation][state] for state in ("S0", "S1", "S2")])
    ends = [hazard["slm"]["probs_dict"][str(k)] for k in range(1, 31)]
    weak, strong = counts["qwen2.5-1.5b-instruct"], counts["qwen2.5-7b-instruct"]
    return StepModel(
        observation=masses / masses.sum(axis=(1, 2), keepdims=True),
        prior=np.ones(1),
        p_weak=np.array([weak["accuracy"]]),
        p_strong=np.array([strong["accuracy"]]),
        hazard=np.array([ends]),
        tokens=60.0,
    )


def reported_values(measure: str, benchmark: str = "math500") -> dict[str, float]:
    """The paper's own numbers of a measure, by router, as fitted on the same benchmark."""
    rows = reported()
    rows = rows[(rows["measure"] == measure) & (rows["benchmark"] == benchmark)]
    return dict(zip(rows["router"], rows["value"], strict=True))
