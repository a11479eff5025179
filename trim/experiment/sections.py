"""Sections of params.yaml beside the main comparison: studies, and the training of the embedded models."""

from __future__ import annotations

from typing import get_args

from pydantic import Field, model_validator

from trim.models.distortion import Distortion, DistortionType
from trim.models.settings import Definition
from trim.section import Cost, Name, PathText, Positive, Section, Seed, Share


class Simulation(Section):
    """Solutions simulated in the calibration released with the paper.

    Attributes:
        solutions: number of simulated solutions.
        seed: seed of the simulation.
        costs: costs of a strong token to plan for, where a right solution is worth 100.
    """

    solutions: int = Field(10_000, ge=100, le=10**7)
    seed: Seed = 0
    costs: tuple[Cost, ...] = Field((0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85), min_length=2)


class Robustness(Section):
    """Routers on distorted scores.

    Attributes:
        benchmarks: the benchmarks to run on.
        routers: the routers to calibrate, fit and run.
        noise: standard deviations of the noise on a score's logit.
        temperature: divisors of a score's logit.
        random: shares of the scores that are replaced by uniform ones.
    """

    benchmarks: tuple[Name, ...] = ()
    routers: tuple[Name, ...] = ()
    noise: tuple[Positive, ...] = ()
    temperature: tuple[Positive, ...] = ()
    random: tuple[Share, ...] = ()

    def distortions(self) -> dict[str, Distortion]:
        """Every distortion, by name."""
        return {
            f"{name}-{strength:g}": Distortion(type=name, strength=strength)
            for name in get_args(DistortionType)
            for strength in getattr(self, name)
        }


class Ceiling(Section):
    """The best possible gain, on benchmarks whose solution trees are expanded in full.

    Attributes:
        costs: costs of a strong token, where a right solution is worth 1.
    """

    costs: tuple[Positive, ...] = ()


class Transfer(Section):
    """Routers run on every benchmark with the parameters fitted on each of the others.

    Attributes:
        routers: the routers' names.
    """

    routers: tuple[Name, ...] = ()


class Granularity(Section):
    """TRIM-Thr with steps other than paragraphs.

    Attributes:
        benchmarks: the benchmarks to run on.
        steps: definitions of a step: "sentence", or a number of tokens.
        thresholds: TRIM-Thr's thresholds.
    """

    benchmarks: tuple[Name, ...] = ()
    steps: tuple[Definition, ...] = ()
    thresholds: tuple[Share, ...] = ()

    def names(self) -> list[str]:
        """Definitions of a step to compare, paragraphs first."""
        return ["paragraph", *(str(step) for step in self.steps if step != "paragraph")] if self.benchmarks else []


class Training(Section):
    """How one embedded language model is trained.

    Attributes:
        hidden, layers, heads, intermediate: the model's size.
        updates: number of updates of the weights.
        batch_tokens: approximate tokens of a batch.
        learning_rate: Muon's learning rate, for the matrices.
        embedding_rate: AdamW's learning rate, for embeddings, norms and biases.
        mistaken: share of the training solutions whose author takes 0 - N for N; see `generated.misapply`.
    """

    hidden: int = Field(ge=32, le=2**16)
    layers: int = Field(ge=1, le=1000)
    heads: int = Field(ge=1, le=1000)
    intermediate: int = Field(ge=32, le=2**16)
    updates: int = Field(ge=1, le=10**7)
    batch_tokens: int = Field(ge=256, le=10**7)
    learning_rate: Positive
    embedding_rate: Positive
    mistaken: Share = 0

    @model_validator(mode="after")
    def _head_size(self) -> Training:
        if self.hidden % self.heads or self.hidden // self.heads < 32:
            raise ValueError(f"hidden {self.hidden} over {self.heads} heads: a head needs a size of at least 32")
        return self


class RewardTraining(Section):
    """How the embedded reward model is trained, from the strong model's weights.

    Attributes:
        weak_problems: number of solutions sampled from the weak model.
        strong_problems: number of solutions sampled from the strong model.
        updates: number of updates on steps up to the first error, and then on all steps.
        blame: chance that the step after an error is labelled wrong although it follows correctly from it.
        memory: steps over which that chance falls to zero.
        batch_tokens: approximate tokens of a batch.
        learning_rate: Muon's learning rate, for the matrices.
        head_rate: AdamW's learning rate, for the score head.
    """

    weak_problems: int = Field(ge=10, le=10**7)
    strong_problems: int = Field(ge=10, le=10**7)
    updates: tuple[int, int]
    blame: Share
    memory: int = Field(ge=1, le=1000)
    batch_tokens: int = Field(ge=256, le=10**7)
    learning_rate: Positive
    head_rate: Positive


class Pretrain(Section):
    """`make pretrain`: the embedded models from scratch.

    Attributes:
        out: the folder to write the models into.
        seed: seed of the problems and of the training.
        shares: share of each family among the training problems.
        probe: number of problems for the model cards' measurements.
        weak, strong: how the language models are trained.
        prm: how the reward model is trained.
    """

    out: PathText
    seed: Seed = 0
    shares: dict[str, Positive]
    probe: int = Field(ge=10, le=10**7)
    weak: Training
    strong: Training
    prm: RewardTraining
