"""Pretraining: the embedded models from scratch, with a measured model card each."""

from __future__ import annotations

from pathlib import Path

from tools.pretrain.settings import Pretrain
from tools.pretrain.train import measure_language_model, measure_reward_model, train_language_model, train_reward_model
from trim.experiment.params import Params
from trim.files import write_text
from trim.problems.generated import FAMILIES, generate
from trim.progress import Tracker


def _held_out(params: Params) -> set[str]:
    """Questions of every split of every generated benchmark."""
    questions: set[str] = set()
    for source in params.benchmarks.values():
        if source.family and source.sizes:
            questions |= {p.question for p in generate(source.family, source.sizes.model_dump(), source.seed)}
    return questions


def make_language_model(pretrain: Pretrain, params: Params, model: str, out: Path, tracker: Tracker) -> None:
    """Train the weak or the strong model; no question of the experiment is trained on."""
    training = pretrain.weak if model == "weak" else pretrain.strong
    train_language_model(training, pretrain, _held_out(params), out, tracker.advanced)


def make_reward_model(
    pretrain: Pretrain, params: Params, weak: Path, strong: Path, out: Path, tracker: Tracker
) -> None:
    """Train the reward model on both language models' solutions; no question of the experiment is trained on."""
    train_reward_model(pretrain.prm, pretrain, _held_out(params), weak, strong, out, tracker.advanced)


_REWARD = (
    "A process reward model: the probability that a step is right, given the steps before it. Like published reward "
    "models it knows, though not for sure, that a solution is lost: after learning from steps up to the first error, "
    "it learns from all steps, as annotators label them who blame a later step that follows rightly from an error the "
    "less the longer the error is ago."
)
_WEAK = (
    " All its training solutions are by authors who take 0 - N for N, a systematic mistake of pupils (Brown and "
    "Burton, 1978). So it has learned a mistake that it makes with confidence, as small instruct models do that were "
    "trained on unverified solutions, and its own log-probabilities tell its errors less well than a reward model's "
    "scores do."
)
_CARD = """\
---
license: mit
library_name: transformers
tags: [trim, embedded]
---
# {name}

{what} Trained from scratch by `make pretrain`; no outside data or weights.

| | |
|---|---|
| architecture | {architecture} |
| parameters | {parameters:,} |
| data | generated problems, {shares}; no question of any benchmark split of the experiment |
| seed | {seed} |
| training | {training} |

Measured on {probe} validation problems of each family, sampled at temperature 0.7, top-p 0.8, top-k 20:

{figures}
"""


def make_cards(pretrain: Pretrain, folder: Path) -> list[Path]:
    """Measure the models in `folder` on validation problems and write their README.md."""
    paths = []
    probes = {f: generate(f, {"validation": pretrain.probe}, 0) for f in FAMILIES}
    shares = ", ".join(f"{name} {share:g}" for name, share in pretrain.shares.items())
    for name in ("weak", "strong", "prm"):
        if name == "prm":
            figures, size = measure_reward_model(folder / name, folder / "weak", probes)
            what = _REWARD
            architecture = "`Qwen2ForProcessRewardModel`, body started from the strong model"
            training = f"{pretrain.prm!r}"
        else:
            figures, size = measure_language_model(folder / name, probes)
            what = f"The {name} language model: writes one step of a chain problem at a time.{_WEAK * (name == 'weak')}"
            architecture = "`Qwen2ForCausalLM`, word-level tokenizer with whole numbers"
            training = repr(pretrain.weak if name == "weak" else pretrain.strong)
        head = "| family | " + " | ".join(next(iter(figures.values()))) + " |\n"
        head += "|---" * (1 + len(next(iter(figures.values())))) + "|\n"
        rows = "\n".join(
            f"| {family} | " + " | ".join(f"{value:.3f}" for value in values.values()) + " |"
            for family, values in figures.items()
        )
        card = _CARD.format(
            name=name,
            what=what,
            architecture=architecture,
            parameters=size,
            shares=shares,
            seed=pretrain.seed,
            training=f"`{training}`",
            probe=pretrain.probe,
            figures=head + rows,
        )
        paths.append(folder / name / "README.md")
        write_text(paths[-1], card)
    return paths
