"""The ladder of verifiers: how well each judges a weak step, its price, and the results of routing by it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trim.experiment.params import Params, measure_settings
from trim.experiment.trees import whole_trees
from trim.files import write_text
from trim.pomdp.model import S0, S1, S2
from trim.report.figures import legend, panels, styles
from trim.report.tables import format_interval, read_csv, titles
from trim.studies.study import Job, Study

if TYPE_CHECKING:
    from trim.models.cost import ModelCost
    from trim.models.settings import RewardModel
    from trim.rl.tree import Tree
    from trim.rl.walk import Walked
    from trim.verifiers import Verifier

_THRESHOLDS = 200
_TRAINED, _FUSED = "reward_models.", "evidence."  # before the name of a reward model of the experiment, and a fused one


def _run(job: Job) -> None:
    """Fit every verifier on the train split's trees, and measure it on the test split's; writes `out`."""
    from sklearn.metrics import roc_auc_score

    from trim.evaluation.bootstrap import interval, resamples
    from trim.models.load import step_states
    from trim.rl.walk import walk
    from trim.verifiers import registry
    from trim.verifiers.reader import reading
    from trim.verifiers.verifier import SAMPLES, calibrate, calibration_error, look

    params, runner = job.params, job.runner
    samples = [runner.with_sample(number).weak for number in range(1, SAMPLES + 1)]
    learned, *routed = whole_trees(runner, job.problems)
    # Verifiers are fitted on the weak model's own paths; routing may reach any node.
    places = [(learned, learned.weak_way()), *((tree, np.arange(len(tree))) for tree in routed)]
    states = partial(step_states, params.models.weak, params.generation.chat)
    train, validation, test = look(places, states, samples)
    settings = measure_settings(params)
    rungs = [(name, verifier, runner.costs()) for name, verifier in registry().items()]
    for name, model in _scorers(params).items():
        scoring = runner.with_reward_model(model)
        rungs.append((name, reading(name, scoring.scorer), scoring.costs()))
    weights = resamples(len(test.tree.roots), settings)
    weak_way = test.tree.weak_way()
    none, alone = (walk(test.tree, np.full(len(test.tree), value)) for value in (False, True))
    ends, whole = (none.correct.mean(), alone.correct.mean()), _alone(alone, test.tree, runner.costs())
    unit = walk(validation.tree, np.full(len(validation.tree), True)).strong.mean()
    budget, rows = params.evaluation.headline_budget * unit, []
    for name, verifier, costs in rungs:
        score = verifier.learn(train)
        fitted = calibrate(score(train), train.truth == S0)
        value, held_out = score(test), score(validation)
        probability, state = fitted.predict(value[weak_way]), test.truth[weak_way]
        aucs = [roc_auc_score(state[k] == S0, value[weak_way][k]) for k in (state != S1, state != S2)]
        verdicts = 1.0 if verifier.reader == "strong" else 0.0  # the token of its verdict
        chosen = -np.inf
        for threshold in _candidates(held_out):
            # Spending grows with the threshold; the last threshold within the budget on validation is chosen.
            tried = walk(validation.tree, held_out < threshold)
            if (tried.strong + verdicts * tried.steps).mean() > budget:
                break
            chosen = threshold
        walked = walk(test.tree, value < chosen)
        correct = np.concatenate([[walked.correct.mean()], weights @ walked.correct])
        strong = (walked.strong + verdicts * walked.steps).mean() / alone.strong.mean()
        rows.append(
            {
                "verifier": name,
                "auc_first": aucs[0],
                "auc_lost": aucs[1],
                "ece": calibration_error(probability, state == S0),
                "flops": _flops(verifier, costs),
                "money": _money(verifier, costs),
                "accuracy": correct[0],
                "low": interval(correct[1:], settings.confidence)[0],
                "high": interval(correct[1:], settings.confidence)[1],
                "pgr": (correct[0] - ends[0]) / (ends[1] - ends[0]),
                "strong": strong,
                "all_flops": _all_flops(walked, verifier, test.tree, costs) / whole,
            }
        )
    write_text(job.out, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g"))


def _candidates(scores: np.ndarray) -> np.ndarray:
    """Thresholds with rising shares of the scores below them, starting with none."""
    return np.unique(np.concatenate([[-np.inf], np.quantile(scores, np.linspace(0, 1, _THRESHOLDS))]))


def _flops(verifier: Verifier, costs: dict[str, ModelCost]) -> float:
    """FLOPs of reading a step, or of writing samples of it, over the strong model's writing it."""
    if not verifier.reader:
        return 0.0
    return max(1, verifier.samples) * costs[verifier.reader].parameters / costs["strong"].parameters


def _money(verifier: Verifier, costs: dict[str, ModelCost]) -> float:
    if not verifier.reader or not costs["strong"].price_out:
        return 0.0
    written = verifier.samples * costs["weak"].price_out
    return (written or costs[verifier.reader].price_in) / costs["strong"].price_out


def _alone(walked: Walked, tree: Tree, costs: dict[str, ModelCost]) -> float:
    return float(costs["strong"].flops(walked.strong + tree.prompt_tokens()["strong"]).mean())


def _all_flops(walked: Walked, verifier: Verifier, tree: Tree, costs: dict[str, ModelCost]) -> float:
    """FLOPs of a problem: everything that all models read and write, each with its own cache."""
    prompt = tree.prompt_tokens()
    asked = walked.passes > 0
    weak = costs["weak"].flops(prompt["weak"] + walked.drafts * (1 + verifier.samples) + walked.unread)
    strong = np.where(asked, prompt["strong"] + walked.passes, 0)
    if verifier.reader == "strong":  # it reads every draft, and the prompt of every problem
        strong = prompt["strong"] + walked.drafts + walked.strong + walked.steps
    read = costs["prm"].flops(prompt["prm"] + walked.drafts + walked.unread) if verifier.reader == "prm" else 0.0
    return float((weak + costs["strong"].flops(strong) + read).mean())


def _read(results: Path, params: Params) -> dict[str, pd.DataFrame]:
    benchmarks = titles(params)[0]
    return {benchmarks[name]: read_csv(results / f"studies/ladder/{name}.csv") for name in params.trees}


def _table(results: Path, params: Params) -> pd.DataFrame:
    """A row per verifier: how well it judges steps, the cost of reading a step, and the results of routing by it."""
    rows = []
    for benchmark, rungs in _read(results, params).items():
        for row in rungs.itertuples():
            rows.append(
                {
                    "benchmark": benchmark,
                    "verifier": _title(row.verifier),
                    "AUC, first error": f"{row.auc_first:.3f}",
                    "AUC, lost": f"{row.auc_lost:.3f}",
                    "calibration error": f"{row.ece:.3f}",
                    "FLOPs a step": f"{row.flops:.2f}",
                    "money a step": f"{row.money:.2f}",
                    "accuracy": format_interval(row.accuracy, row.low, row.high),
                    "PGR": f"{row.pgr:.3f}",
                    "strong tokens": f"{row.strong:.3f}",
                    "all FLOPs": f"{row.all_flops:.3f}",
                }
            )
    return pd.DataFrame(rows)


def _scorers(params: Params) -> dict[str, RewardModel]:
    """Reward models that the experiment trains, and those that a router combines with log-probabilities."""
    models = {_TRAINED + name: params.reward_model(name) for name in params.reward_models}
    for router in params.routers:
        if fused := params.fused(router):
            models[_FUSED + fused] = params.as_run(router).models.prm
    return models


def _title(verifier: str) -> str:
    from trim.verifiers import registry

    kind, name = verifier.split(".") if "." in verifier else ("", verifier)
    if not kind:
        return registry()[name].title
    model = "reward model" if name == "prm" else f"reward model, {name}"
    return f"{model}, with log-probability" if kind + "." == _FUSED else model


def _figure(results: Path, params: Params) -> Figure:
    """Accuracy at the middle budget over the AUC of first errors, and over all FLOPs."""
    rungs = pd.concat(_read(results, params).values())
    axes_titles = {"auc_first": "AUC of first errors", "all_flops": "FLOPs in all, always-strong's is 1"}
    picture, axes_of = panels(axes_titles)
    marks = styles(rungs["verifier"].unique())
    for column, axes in axes_of.items():
        for row in rungs.itertuples():
            colour, marker = marks[row.verifier]
            spread = [[row.accuracy - row.low], [row.high - row.accuracy]]
            axes.errorbar(getattr(row, column), row.accuracy, spread, fmt=marker, color=colour, capsize=2)
            axes.plot([], [], marker, color=colour, label=_title(row.verifier))
        axes.set_xlabel(axes_titles[column])
        axes.set_title("")
        axes.set_ylabel("accuracy")
    return legend(picture)


STUDY = Study(
    name="ladder",
    title="The ladder of verifiers",
    text=(
        "Verifiers, from signals that are free with a draft to models that read it. AUC: right steps against first "
        "wrong ones, and against steps of solutions that are lost already, on the weak model's own solutions; the "
        "calibration error is that of isotonic regression on the train split. FLOPs and money a step: of reading the "
        "step, or writing it again, over the strong model's writing it. The other columns are for routing by a "
        "threshold, chosen on validation for the middle budget of strong tokens: accuracy, share of the gap, strong "
        "tokens, and FLOPs in all, each model keeping a prefix cache."
    ),
    caption="Accuracy at the middle budget by verifier, over the verifier's AUC and over all FLOPs.",
    wanted=lambda params: (
        bool(params.trees and params.needing("train_logprobs")) and not params.models.weak.server and not params.replay
    ),
    table=_table,
    figure=_figure,
    inputs=lambda params: [f"studies/ladder/{name}.csv" for name in params.trees],
    run=_run,
    test_trees=True,
)
