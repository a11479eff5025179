"""Sections of params.yaml beside the main comparison: studies, and the training of the embedded models."""

from __future__ import annotations

from typing import get_args

from pydantic import Field

from trim.models.distortion import Distortion, DistortionType
from trim.models.settings import Definition
from trim.section import Cost, Name, Positive, Section, Seed, Share


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
