"""Settings of trained reward models; a separate module, so that reading it needs no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from trim.section import Cost, Name, Positive, Section, Seed, Share

Start = Literal["weak", "strong", "prm"]
# See `trim.reward_models.examples`.
Labelling = Literal["steps", "success", "agreement", "scores"]


class TrainedRewardModel(Section):
    """A process reward model trained on an experiment's own solutions.

    Attributes:
        start: the model whose weights it starts from; its reading has this model's prices.
        fit_on: the benchmark whose train split it learns from; by default the first.
        labels: label of a step: correctness of the solution so far by the problems' own step checkers (steps), success
            rate of its continuations in the solution trees (success), equality with the strong model's step
            (agreement), or the score of the experiment's reward model, which is distilled (scores).
        tune: the trained weights: all, those of the score head, or low-rank adapters of all others beside them.
        rank: rank of the adapters.
        solutions: maximum of solutions to learn from.
        updates: number of updates of the weights.
        batch_tokens: approximate tokens of a batch.
        learning_rate: AdamW's learning rate, after a warm-up and before it falls along a cosine.
        smoothing: share of a label spread over right and wrong.
        heads: number of score heads, trained separately and averaged.
        noise: standard deviation of noise on the score's logit while it learns, as in `robustness`.
        seed: seed of the examples, the batches, new heads and the noise.
    """

    start: Start = "strong"
    fit_on: Name | None = None
    labels: Labelling = "steps"
    tune: Literal["all", "head", "lora"] = "all"
    rank: int = Field(8, ge=1, le=1024)
    solutions: int = Field(8000, ge=10, le=10**7)
    updates: int = Field(1000, ge=1, le=10**7)
    batch_tokens: int = Field(8192, ge=256, le=10**7)
    learning_rate: Positive = 1e-3
    smoothing: Share = 0
    heads: int = Field(1, ge=1, le=64)
    noise: Cost = 0
    seed: Seed = 0
