"""What a model is to the rest of the system: two small protocols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

Stop = Literal["separator", "end", "length"]
Dtype = Literal["float32", "bfloat16"]


class Sampling(BaseModel):
    """How the next step is sampled (paper, section 5: 0.7, 0.8, 20)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(0.7, ge=0, le=10)
    top_p: float = Field(0.8, gt=0, le=1)
    top_k: int = Field(20, ge=1)
    max_step_tokens: int = Field(2048, ge=1)


class Prefix(NamedTuple):
    """A question and the steps that stand so far."""

    question: str
    steps: tuple[str, ...] = ()


class Draft(NamedTuple):
    """A generated step: its text without separator, its length in tokens, why it stopped."""

    text: str
    tokens: int
    stop: Stop


class StepScore(NamedTuple):
    """Probability in [0, 1] that a step is right, and the tokens the reward model read for it."""

    score: float
    tokens: int


class LanguageModel(Protocol):
    """Writes the next step of a solution.

    Attributes:
        id: name and revision; the same id gives the same text for the same key.
        parameters: number of weights, for FLOPs.
    """

    id: str
    parameters: int

    def next_steps(self, prefixes: Sequence[Prefix], keys: Sequence[bytes]) -> list[Draft]:
        """One draft per prefix; `keys` (16 bytes each) seed each draft's own random stream."""
        ...


class RewardModel(Protocol):
    """Scores the steps of a solution so far."""

    id: str
    parameters: int

    def score(self, solutions: Sequence[Prefix], last: Sequence[int]) -> list[list[StepScore]]:
        """Scores of the last `last[i]` steps (one at least) of each solution; none depends on a later step."""
        ...
