"""The calibrated POMDPs of an experiment: parameters and densities by source of the labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trim.experiment.params import Params
from trim.files import read_json
from trim.pomdp.calibration import STATES
from trim.pomdp.model import CALIBRATIONS, StepModel
from trim.report.figures import styles
from trim.report.tables import titles
from trim.studies.study import Study

LABELS = {"single": "labelled steps", "rule": "threshold rule", "classes": "difficulty classes"}


def calibrated_titles(params: Params) -> dict[str, str]:
    """Titles of the benchmarks that a POMDP is calibrated on."""
    return {name: title for name, title in titles(params)[0].items() if name in params.calibrated()}


def _models(results: Path, benchmark: str) -> dict[str, StepModel]:
    return {variant: StepModel.load(results / "calibration" / benchmark / f"{variant}.json") for variant in LABELS}


def _table(results: Path, params: Params) -> pd.DataFrame:
    """Parameters by source of the labels, and how often the threshold rule finds the first error."""
    rows = []
    for benchmark, title in calibrated_titles(params).items():
        models = _models(results, benchmark)
        agreement = read_json(results / "calibration" / benchmark / "agreement.json")
        for variant, label in LABELS.items():
            model = models[variant]
            apart = np.abs(model.observation - models["single"].observation).sum(axis=(1, 2)) / 2
            wrong = {name: rule["wrong_by_rule" if variant == "rule" else "wrong"] for name, rule in agreement.items()}
            rows.append(
                {
                    "benchmark": title,
                    "labels": label,
                    "p_weak": _each(model.p_weak),
                    "p_strong": _each(model.p_strong),
                    "prior": _each(model.prior),
                    "mean tokens": f"{model.tokens:.2f}",
                    "AUC": f"{model.auc():.3f}",
                    "weak wrong": f"{wrong['weak']:.3f}",
                    "strong wrong": f"{wrong['strong']:.3f}",
                    **{f"apart {state}": f"{value:.3f}" for state, value in zip(STATES, apart, strict=True)},
                    **{
                        name: f"{agreement['weak'][name]:.3f}" if variant == "rule" else ""
                        for name in ("exact", "earlier", "later")
                    },
                }
            )
    return pd.DataFrame(rows)


def _each(values: np.ndarray) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def _figure(results: Path, params: Params) -> Figure:
    """Densities of the observation in each state, and the hazard, on the first benchmark."""
    benchmark, title = next(iter(calibrated_titles(params).items()))
    models = _models(results, benchmark)
    picture = Figure(figsize=(7.4, 5.6), layout="constrained")
    axes = picture.subplots(2, 2).ravel()
    names = ("S0: all steps right", "S1: an earlier step wrong", "S2: this step wrong")
    masses = np.log10(np.maximum(models["single"].observation, 1e-7))
    for panel, mass, name in zip(axes, masses, names, strict=False):
        image = panel.imshow(mass.T, origin="lower", extent=(0, 1, 0, 1), cmap="viridis", vmin=-5, vmax=0)
        panel.set_title(name)
        panel.set_xlabel("least earlier score")
        panel.set_ylabel("score of the step")
        panel.grid(False)
    picture.colorbar(image, ax=list(axes[:3]), label="log10 of the mass in a bin", shrink=0.7)
    last = axes[3]
    for variant, (colour, _) in styles(LABELS).items():
        for z, hazard in enumerate(models[variant].hazard):
            reached = np.concatenate([[1.0], np.cumprod(1 - hazard)[:-1]]) > 1e-3
            steps = np.arange(1, len(hazard) + 1)[reached]
            style = ("-", "--", ":")[z] if variant != "rule" else "-."
            last.plot(steps, hazard[reached], style, color=colour, label=LABELS[variant] if z == 0 else None)
    last.set_title(f"hazard ({title})")
    last.set_xlabel("step")
    last.set_ylabel("P(the solution ends here)")
    last.legend(fontsize=7)
    return picture


STUDY = Study(
    name="calibration",
    title="Calibration of the POMDP",
    text=(
        "Calibrated from labelled steps, from the threshold rule, and with difficulty classes. `apart`: total "
        "variation distance of a state's density from the labelled one. `exact`, `earlier`, `later`: where the rule "
        "puts the first error, among the weak model's solutions that are wrong by both."
    ),
    caption="Densities of the observation in each hidden state, and the probability that a solution ends at a step.",
    wanted=lambda params: bool(params.calibrated()),
    table=_table,
    figure=_figure,
    inputs=lambda params: [
        f"calibration/{name}/{file}.json" for name in params.calibrated() for file in (*CALIBRATIONS, "agreement")
    ],
)
