"""TRIM-Thr as it was published, by the measures that everything else is measured by."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pandas as pd

from trim.evaluation.measures import Scale, all_measures
from trim.evaluation.summary import Protocol, interval

PROBLEMS = 500  # MATH-500
SETTING = "MATH-500, Qwen2.5-1.5B and 7B, Qwen2.5-Math-PRM-7B"


def published_points() -> pd.DataFrame:
    """Rows of threshold, accuracy and strong_fraction, released with the paper's reference code."""
    text = (files("trim.pomdp") / "published" / "trim_thr_math500.jsonl").read_text(encoding="utf-8")
    rows = pd.DataFrame(map(json.loads, text.splitlines()))
    tokens = rows["avg_target_tokens_per_question"]
    return pd.DataFrame(
        {
            "threshold": rows["threshold"],
            "accuracy": rows["accuracy"],
            "strong_fraction": tokens / tokens[rows["threshold"].idxmax()],
        }
    )


def published_budgets(protocol: Protocol) -> pd.DataFrame:
    """A row per measure: value, low, high.

    Only sums over problems were released, so that the intervals are those of independent
    binomial counts: wider than paired ones, and of the accuracies alone.
    """
    points = published_points()
    rng = np.random.default_rng(protocol.seed)
    counts = rng.binomial(PROBLEMS, points["accuracy"], size=(protocol.bootstrap, len(points)))
    accuracy = np.vstack([points["accuracy"], counts / PROBLEMS])
    weak, strong = points["threshold"].idxmin(), points["threshold"].idxmax()
    scale = Scale(accuracy[:, weak], np.zeros(len(accuracy)), accuracy[:, strong])
    fraction = np.broadcast_to(points["strong_fraction"], accuracy.shape)
    rows = []
    for measure, samples in all_measures(fraction, accuracy, scale, protocol.levels, protocol.budgets).items():
        low, high = interval(samples[1:], protocol.confidence)
        rows.append((measure, samples[0], *((low, high) if np.isfinite(samples[0]) else (np.nan, np.nan))))
    return pd.DataFrame(rows, columns=["measure", "value", "low", "high"])
