"""Where step routers intervene: on which steps, and whether these were wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from trim.problems import Problem
from trim.problems.checks import is_right_step

SCORES = (0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 1)
POSITIONS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 30)
RATES = {"handed_over": ("handed", "drafts"), "caught": ("hit", "wrong"), "wasted": ("miss", "handed")}


def decisions(steps: pd.DataFrame, problems: Mapping[str, Problem], difficulty: Mapping[str, str]) -> pd.DataFrame:
    """A row per draft that was judged.

    Args:
        steps: rows of an episodes table, of one setting.
        problems: by id.
        difficulty: by id.

    Returns:
        Columns problem, handed (the strong model rewrote it), first (it is the first wrong step
        of a solution that was right so far), known (the truth is known and nothing was wrong
        before), position, score, difficulty.
    """
    rows = []
    names = ["problem", "decision", "text", "draft", "draft_tokens", "score"]
    last, place, sound = None, 0, False
    for problem, decision, text, draft, drafted, score in zip(*(steps[name].tolist() for name in names), strict=True):
        if decision == "discard":
            continue
        source = problems[problem]
        if problem != last:
            last, place, sound = problem, 0, bool(source.reference)
        if drafted > 0:
            judged = draft if decision == "regenerate" else text
            wrong = sound and not is_right_step(source, place, judged)
            rows.append((problem, decision == "regenerate", wrong, sound, place, score))
        sound = sound and is_right_step(source, place, text)
        place += 1
    found = pd.DataFrame(rows, columns=["problem", "handed", "first", "known", "position", "score"])
    return found.assign(difficulty=found["problem"].map(difficulty))


def rates(
    found: pd.DataFrame, problems: Sequence[str], weights: np.ndarray, interval: Callable[[np.ndarray], tuple]
) -> pd.DataFrame:
    """Rates of interventions, over all drafts and by position, score and difficulty.

    Args:
        found: made by `decisions`.
        problems: ids, in the order of the weights.
        weights: of the bootstrap, shape (resamples, n).
        interval: of a figure's resamples.

    Returns:
        Rows of by, bin, drafts, and with low and high of each: handed_over, the share of the drafts;
        caught, the share of the first wrong steps that were handed over; wasted, the share of the
        handed-over drafts that were right. The last two where the truth is known.
    """
    counts = pd.DataFrame(
        {
            "problem": found["problem"],
            "drafts": 1,
            "handed": found["handed"].astype(int),
            "wrong": found["first"].astype(int),
            "hit": (found["first"] & found["handed"]).astype(int),
            "miss": (found["known"] & ~found["first"] & found["handed"]).astype(int),
        }
    )
    bins = {
        "all": pd.Series("all", index=found.index),
        "position": pd.cut(found["position"], POSITIONS, right=False),
        "score": pd.cut(found["score"], SCORES, include_lowest=True),
        "difficulty": found["difficulty"],
    }
    truth = bool(found["known"].any())
    rows = []
    for by, labels in bins.items():
        for label, group in counts.groupby(labels, observed=True, sort=by != "difficulty"):
            sums = group.groupby("problem").sum().reindex(problems, fill_value=0)
            row = {"by": by, "bin": str(label), "drafts": int(sums["drafts"].sum())}
            for name, (above, below) in RATES.items():
                both = sums[[above, below]].to_numpy(dtype=float)
                with threadpool_limits(1, "blas"):
                    samples = np.vstack([both.mean(axis=0), weights @ both])
                with np.errstate(divide="ignore", invalid="ignore"):
                    share = samples[:, 0] / samples[:, 1]
                known = np.isfinite(share[0]) and (truth or name == "handed_over")
                low, high = interval(share[1:]) if known else (np.nan, np.nan)
                row |= {name: share[0] if known else np.nan, f"{name}_low": low, f"{name}_high": high}
            rows.append(row)
    return pd.DataFrame(rows)
