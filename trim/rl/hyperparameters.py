"""Names and hyper-parameters; kept apart so that reading them needs neither torch nor scikit-learn."""

from __future__ import annotations

from pydantic import Field

from trim.section import Section

VERSION = 2  # of the networks: a checkpoint of another one is refused
# `hindsight` is fitted on the problems of its own evaluation: an optimistic bound.
CEILINGS = {
    "features": "five features, fitted",
    "hindsight": "five features, in hindsight",
    "clairvoyant": "clairvoyant",
}


class Hyperparameters(Section):
    """The paper's, for TRIM-Agg.

    Attributes:
        hidden: units of each layer.
        dropout: share of units dropped in training.
        learning_rate: Adam's learning rate, falling to 0.
        weight_decay: Adam's weight decay.
        discount: discount of a step in the generalised advantage estimates.
        gae_lambda: lambda of the generalised advantage estimates.
        clip: how far the probability ratio and the values may change in an update.
        vf_coef: weight of the values' loss.
        entropy: weight of the entropy at the first and at the last update.
        gradient_norm: largest norm of a policy's gradient.
        update_epochs: number of passes over each batch.
        epochs: number of passes over the train split.
        batch: number of problems solved between two updates.
        minibatches: number of parts that a batch is divided into.
    """

    hidden: int = Field(64, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    learning_rate: float = Field(3e-4, gt=0)
    weight_decay: float = Field(1e-5, ge=0)
    discount: float = Field(1.0, gt=0, le=1)
    gae_lambda: float = Field(0.95, ge=0, le=1)
    clip: float = Field(0.2, gt=0)
    vf_coef: float = Field(0.5, ge=0)
    entropy: tuple[float, float] = (0.01, 0.001)
    gradient_norm: float = Field(0.5, gt=0)
    update_epochs: int = Field(3, ge=1)
    epochs: int = Field(10, ge=1)
    batch: int = Field(64, ge=1)
    minibatches: int = Field(4, ge=1)
