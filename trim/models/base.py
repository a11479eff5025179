"""What a model is to the rest of the system: two small protocols."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Protocol

from pydantic import Field, field_validator

from trim.section import Cost, PathText, Section
from trim.steps import SEPARATOR, join

Definition = Literal["paragraph", "sentence"] | Annotated[int, Field(ge=1)]
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
IMPOSSIBLE = -100.0  # log-probability of a token that cannot be read
Stop = Literal["separator", "end", "length"]
Dtype = Literal["float32", "bfloat16"]


class Sampling(Section):
    """How the next step is sampled (paper, section 5: 0.7, 0.8, 20), and where it ends.

    Attributes:
        repetition_penalty: divides the positive logits of tokens that stand in the prompt or the step, and multiplies
            the negative ones (Keskar et al., 2019); 1 changes nothing.
        temperature, top_p, top_k: null is sent to no server, which then does as it likes; elsewhere it is 1, 1 and all.
        step: ends at a blank line ("paragraph"), with a "sentence", or after a number of tokens.
    """

    temperature: float | None = Field(0.7, ge=0, le=10)
    top_p: float | None = Field(0.8, gt=0, le=1)
    top_k: int | None = Field(20, ge=1, le=10**6)
    repetition_penalty: float = Field(1.0, gt=0, le=10)
    max_step_tokens: int = Field(2048, ge=1, le=10**6)
    step: Definition = "paragraph"

    @property
    def joint(self) -> str:
        """What stands between two steps; steps that are no paragraphs carry their own endings."""
        return SEPARATOR if self.step == "paragraph" else ""


class Engine(Section):
    """How vLLM runs a model.

    Attributes:
        tensor_parallel: GPUs that the model is spread over.
        memory: share of each GPU's memory that it may take; models on one GPU share it out.
        devices: GPUs that it is placed on, all that are visible by default.
        context: most tokens of a prompt with its step; None takes the model's own limit.
    """

    tensor_parallel: int = Field(1, ge=1, le=1024)
    memory: float = Field(0.9, gt=0, le=1)
    devices: tuple[int, ...] | None = None
    context: int | None = Field(None, ge=64, le=10**8)


class Server(Section):
    """An OpenAI-compatible server.

    Attributes:
        url: its address, such as http://127.0.0.1:8000/v1.
        model: the name that it knows the model by; the model's `path` by default.
        key: name of the environment variable that holds the key; the key itself stands nowhere.
        api: how a step is asked for. completions: the prompt ends with the steps so far, and is sent as
            token ids (vLLM; tokenizer and chat template are those of `path`); prefill: a chat whose last,
            open turn is continued (vLLM's continue_final_message); chat: a chat that asks for the next
            step only (any server).
        concurrency: requests under way at once.
        timeout: seconds for one whole answer.
        retries: of a request that was refused, lost, or answered with something else, with growing waits.
        cap: most money that one folder of results may cost on this server.
        context: most tokens of a prompt with its step; a reward model's longer prompt is cut from the left.
    """

    url: str = Field(pattern=r"^https?://[^@\s\x00-\x1f]+$", max_length=1000)
    model: PathText | None = None
    key: str | None = None
    api: Literal["completions", "prefill", "chat"] = "prefill"
    concurrency: int = Field(32, ge=1, le=4096)
    timeout: float = Field(120, gt=0, le=10**6)
    retries: int = Field(8, ge=0, le=100)
    cap: Cost | None = None
    context: int | None = Field(None, ge=64, le=10**8)

    @field_validator("key", mode="before")
    @classmethod
    def _is_a_name(cls, key: Any) -> Any:
        if key is not None and not (isinstance(key, str) and _VARIABLE.fullmatch(key)):
            # What stands here by mistake may be the key itself, so it is not shown.
            raise ValueError("not the name of an environment variable, such as OPENAI_API_KEY; export the key in one")
        return key


class Prefix(NamedTuple):
    """A question, the steps that stand so far, what is asked for in place of a solution, and what joins steps."""

    question: str
    steps: tuple[str, ...] = ()
    instruction: str | None = None
    joint: str = SEPARATOR

    @property
    def text(self) -> str:
        """The steps, to be continued."""
        return join(self.steps, self.joint)


class Usage(NamedTuple):
    """Tokens that a server bills for one call: of the prompt, of these from its cache, and written."""

    read: int
    cached: int
    written: int


def add_usages(usages: Sequence[Usage | None]) -> Usage | None:
    """What several calls were billed, None if none of them was."""
    billed = [usage for usage in usages if usage]
    return Usage(*map(sum, zip(*billed, strict=True))) if billed else None


class Draft(NamedTuple):
    """A generated step: its text without separator, its length in tokens, why it stopped, what a server billed."""

    text: str
    tokens: int
    stop: Stop
    usage: Usage | None = None


class StepScore(NamedTuple):
    """What a step is worth, and what that took to find out.

    Attributes:
        score: of a reward model, the probability in [0, 1] that the step is right; see `trim.scorers` for others.
        tokens: of the step itself, as the model that scores it reads it.
        written: tokens, by a language model that was asked.
        usage: what a server billed for the call that told it; of several steps, it stands with the last.
    """

    score: float
    tokens: int
    written: int = 0
    usage: Usage | None = None


KeepDraft = Callable[[int, Draft], None]
KeepScores = Callable[[int, list[StepScore]], None]


class LanguageModel(Protocol):
    """Writes the next step of a solution.

    The same model gives the same text for the same key.
    """

    def prompt_tokens(self, prefixes: Sequence[Prefix]) -> list[int]:
        """Tokens of each prompt before its first step: the question with all that stands around it."""
        ...

    def next_steps(
        self, prefixes: Sequence[Prefix], keys: Sequence[bytes], keep: KeepDraft | None = None
    ) -> list[Draft]:
        """One draft per prefix.

        Args:
            prefixes: to be continued by one step.
            keys: 16 bytes each; they seed each draft's own random stream.
            keep: told of a draft as soon as it is finished, where drafts are finished one at a time.
        """
        ...

    def likelihoods(self, solutions: Sequence[Prefix], keep: KeepScores | None = None) -> list[StepScore]:
        """Mean log-probability of the tokens of each solution's last step, at temperature 1, in nats.

        `keep` is told of each one, in a list, as soon as it is there, where they come one by one.
        """
        ...


class RewardModel(Protocol):
    """Scores the steps of a solution so far."""

    def prompt_tokens(self, prefixes: Sequence[Prefix]) -> list[int]:
        """Tokens of each prompt before its first step: the question with all that stands around it."""
        ...

    def score(
        self,
        solutions: Sequence[Prefix],
        last: Sequence[int],
        keep: KeepScores | None = None,
    ) -> list[list[StepScore]]:
        """Scores of the last `last[i]` steps (one at least) of each solution; none depends on a later step.

        `keep` is told of a solution's scores as soon as they are there, where they come one by one.
        """
        ...
