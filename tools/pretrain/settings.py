"""The settings of the training, tools/pretrain/settings.yaml, as typed models."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError, model_validator

from trim.errors import TrimError
from trim.experiment.strict_yaml import read_yaml
from trim.problems.generated import FAMILIES
from trim.section import PathText, Positive, Section, Seed, Share, explain


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
    """The training of all three embedded models.

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

    @model_validator(mode="after")
    def _shares_are_families(self) -> Pretrain:
        if unknown := self.shares.keys() - FAMILIES.keys():
            raise ValueError(f"shares: {sorted(unknown)} found, allowed {sorted(FAMILIES)}")
        return self


def read_settings(path: Path) -> Pretrain:
    """Read and check the settings.

    Raises:
        TrimError: one line with the file, the key, the value found and the values allowed.
    """
    try:
        return Pretrain.model_validate(read_yaml(path))
    except ValidationError as error:
        raise TrimError(f"{path}: {explain(error)}") from error
