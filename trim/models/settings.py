"""Models in params.yaml: identity, engine, sampling and prices."""

from __future__ import annotations

import re
from pathlib import Path
from pkgutil import iter_modules
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from trim.models.base import Prefix
from trim.models.distortion import Distortion
from trim.section import Cost, OneOf, PathText, Section
from trim.steps import SEPARATOR, ChatFormat

Definition = Literal["paragraph", "sentence"] | Annotated[int, Field(ge=1)]
_COLDEST, _LEAST_SHARE = 1e-5, 1e-6  # lower values draw the most probable token, and a float may read them as 0
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
Dtype = Literal["float32", "bfloat16"]
_BACKENDS = sorted(module.name for module in iter_modules([str(Path(__file__).parent / "backends")]))
Backend = Annotated[str, OneOf(_BACKENDS)]


class Sampling(Section):
    """Sampling of the next step (paper, section 5: 0.7, 0.8, 20), and its end.

    Attributes:
        repetition_penalty: divides the positive logits of tokens in the prompt or the step, and multiplies the negative
            ones (Keskar et al., 2019); 1 changes nothing.
        temperature: temperature of the distribution; values below 1e-5 take the most probable token. `null` is not sent
            to servers.
        top_p: share of the probability to draw tokens from, most probable first. `null` is not sent to servers.
        top_k: number of most probable tokens to draw from. `null` is not sent to servers.
        max_step_tokens: maximum of tokens of a step.
        step: end of a step: at a blank line ("paragraph"), with a "sentence", or after a number of tokens.
    """

    temperature: float | None = Field(0.7, ge=0, le=10)
    top_p: float | None = Field(0.8, gt=0, le=1)
    top_k: int | None = Field(20, ge=1, le=10**6)
    repetition_penalty: float = Field(1.0, ge=0.01, le=10)
    max_step_tokens: int = Field(2048, ge=1, le=10**6)
    step: Definition = "paragraph"

    @field_validator("temperature")
    @classmethod
    def _not_too_cold(cls, temperature: float | None) -> float | None:
        return 0.0 if temperature is not None and temperature < _COLDEST else temperature

    @field_validator("top_p")
    @classmethod
    def _not_too_small(cls, top_p: float | None) -> float | None:
        return None if top_p is None else max(top_p, _LEAST_SHARE)

    def of(self, prefix: Prefix) -> Sampling:
        """The sampling of one request, which may set another temperature or top-p."""
        asked = {"temperature": prefix.temperature, "top_p": prefix.top_p}
        asked = {name: value for name, value in asked.items() if value is not None}
        return self.model_validate(self.model_dump() | asked) if asked else self

    @property
    def separator(self) -> str:
        """The text between two steps; empty for steps other than paragraphs, which include their own endings."""
        return SEPARATOR if self.step == "paragraph" else ""


class Engine(Section):
    """vLLM's settings for a model.

    Attributes:
        tensor_parallel: number of GPUs over which the model is split.
        memory: share of each GPU's memory for the model; models on one GPU must divide it.
        devices: indices of the model's GPUs; by default all visible ones.
        context: maximum of tokens of a prompt with its step; by default the model's own limit.
    """

    tensor_parallel: int = Field(1, ge=1, le=1024)
    memory: float = Field(0.9, gt=0, le=1)
    devices: tuple[int, ...] | None = None
    context: int | None = Field(None, ge=64, le=10**8)


class Server(Section):
    """An OpenAI-compatible server.

    Attributes:
        url: the server's address, such as http://127.0.0.1:8000/v1; a query, such as ?api-version=…, is kept.
        model: the model's name on the server; by default the model's `path`.
        key: name of the environment variable that holds the key.
        api: form of a request for a step. completions: the prompt ends with the steps so far, and is sent as
            token ids (vLLM; tokenizer and chat template are those of `path`); prefill: a chat whose last,
            open turn is continued (vLLM's continue_final_message); chat: a chat that requests only the next
            step (any server).
        concurrency: number of requests under way at once.
        timeout: seconds for one whole answer.
        retries: number of new tries of a request that was refused, lost or answered wrongly.
        cap: maximum of money that one folder of results may cost on this server.
        context: maximum of tokens of a prompt with its step; a reward model's longer prompt is cut from the left.
        seed: send a seed of 31 bits with each request; false for servers that refuse it.
    """

    url: str = Field(pattern=r"^https?://[^@#\s\x00-\x1f]+$", max_length=1000)
    model: PathText | None = None
    key: str | None = None
    api: Literal["completions", "prefill", "chat"] = "prefill"
    concurrency: int = Field(32, ge=1, le=4096)
    timeout: float = Field(120, gt=0, le=10**6)
    retries: int = Field(8, ge=0, le=100)
    cap: Cost | None = None
    context: int | None = Field(None, ge=64, le=10**8)
    seed: bool = True

    @field_validator("key", mode="before")
    @classmethod
    def _is_a_name(cls, key: Any) -> Any:
        if key is not None and not (isinstance(key, str) and _VARIABLE.fullmatch(key)):
            # The value may be the key itself by mistake, so it is not shown.
            raise ValueError("not the name of an environment variable, such as OPENAI_API_KEY; export the key in one")
        return key


class Model(Section):
    """A model and its prices.

    Attributes:
        backend: the backend that runs the model; vllm needs the extra of that name, openai is any compatible server.
        path: a Hugging Face folder; embedded/NAME, which comes with the package; or with `revision` a name on
            the hub. With the backend openai, the name on the server and, if a tokenizer is needed, its folder or
            name on the hub.
        revision: commit of a model on the hub; its draws are stored under it, so that they replay without the model.
        weights: number of parameters, for FLOPs; by default read from the model's files, 0 for a server.
        dtype: precision of the weights.
        batch_size: sequences in one batch; a kill loses at most one batch.
        price_in: money per million tokens read.
        price_cached: money per million tokens found in the model's prefix cache; by default `price_in`.
        price_out: money per million tokens written.
        latency_per_call: seconds per call, at any length.
        latency_per_token: seconds per written token.
        latency_per_read: seconds per token read that is not in the cache.
        repetition_penalty: this model's penalty, in place of `generation.sampling.repetition_penalty`.
        thinking: let the model think first, for chat templates with this switch (Qwen3).
        engine: settings of the backend vllm.
        server: the server of the backend openai.
    """

    backend: Backend = "transformers"
    path: PathText
    revision: str | None = Field(None, pattern=r"^[0-9A-Za-z._/-]{1,100}$")
    weights: int | None = Field(None, ge=1, le=10**15)
    dtype: Dtype = "float32"
    batch_size: int = Field(256, ge=1, le=10**6)
    price_in: Cost
    price_cached: Cost | None = None
    price_out: Cost
    latency_per_call: Cost
    latency_per_token: Cost
    latency_per_read: Cost
    repetition_penalty: float | None = Field(None, ge=0.01, le=10)
    thinking: bool | None = None
    engine: Engine = Engine()
    server: Server | None = None

    @model_validator(mode="after")
    def _has_its_server(self) -> Model:
        if (self.backend == "openai") != (self.server is not None):
            raise ValueError("server is for the backend openai, and needed there")
        return self


class RewardModel(Model):
    """A process reward model.

    Attributes:
        instruction: the instruction in the user turn after the question; by default `generation.instruction`.
        system: the system turn; by default none.
        distortion: a distortion of the scores, if any.
        evidence: a file written by `trim prm fuse`, which fuses scores with the weak model's log-probabilities.
    """

    instruction: str | None = None
    system: str = ""
    distortion: Distortion | None = None
    evidence: PathText | None = None

    def chat(self, instruction: str) -> ChatFormat:
        """Its prompt format; `instruction` is the other models'."""
        return ChatFormat(instruction if self.instruction is None else self.instruction, system=self.system)


class Models(Section):
    """The three models."""

    weak: Model
    strong: Model
    prm: RewardModel

    def gpus(self, *roles: str) -> int:
        """GPUs needed by a job that runs the models of these roles; models without `devices` share the first ones."""
        used: set[int] = set()
        for model in (getattr(self, role) for role in roles):
            if model.backend == "vllm":
                used |= set(model.engine.devices or range(model.engine.tensor_parallel))
            elif model.backend == "transformers" and model.revision:
                used.add(0)
        return len(used)


def backend_module(backend: str) -> str:
    """The module of a backend."""
    return f"{__package__}.backends.{backend}"
