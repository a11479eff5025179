"""The `openai` backend: any OpenAI-compatible server; reward models through the pooling endpoint of a vLLM server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from json import JSONDecodeError
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError, AsyncOpenAI
from scipy.special import softmax
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from trim.errors import TrimError
from trim.models.base import Draft, KeepDraft, KeepScores, Prefix, Sampling, StepScore, Stop
from trim.models.ledger import Ledger
from trim.models.prompt import Prompt, asked_for, at_tags, read_tokenizer
from trim.steps import PRM_TAG, SEPARATOR, first, messages, tagged
from trim.streams import seed

if TYPE_CHECKING:
    from trim.config import Model

T = TypeVar("T")
_NEXT = (
    "Write only the next step of this solution: one paragraph without a blank line. "
    "Only if that step ends the solution, put the final answer in \\boxed{}."
)


class _Malformed(Exception):
    """An answer that is not what the interface promises."""


class Connection:
    """A server: bounded concurrency, retries with growing waits, and a cap on the cost.

    Args:
        model: with its server.
        spending: folder of the ledger.

    Raises:
        TrimError: if the key is not in the environment.
    """

    def __init__(self, model: Model, spending: Path | None) -> None:
        assert model.server
        self.server, self.price = model.server, model.price
        self.name = self.server.model or model.path
        key = os.environ.get(self.server.key, "") if self.server.key else "none"
        if not key:
            raise TrimError(f"server.key: the environment variable {self.server.key} is not set; export the key in it")
        self._key = key
        self.client = AsyncOpenAI(
            api_key=key, base_url=self.server.url, timeout=self.server.timeout, max_retries=self.server.retries
        )
        self._ledger = Ledger(spending, self.name, self.server.cap)
        self._runner = asyncio.Runner()

    def each(self, requests: Sequence[Callable[[], Awaitable[T]]], most: Sequence[float], keep: Any) -> list[T]:
        """The answers to all requests; `keep` is told of each one as it comes.

        Args:
            requests: to be sent, each when its turn comes.
            most: that each can cost.
            keep: called with index and answer, or None.

        Raises:
            TrimError: if one fails for good; those under way are waited for and kept.
        """
        return self._runner.run(self._each(requests, most, keep))

    async def _each(self, requests: Sequence[Callable[[], Awaitable[T]]], most: Sequence[float], keep: Any) -> list[T]:
        answers: dict[int, T] = {}
        failures: list[TrimError] = []
        waiting = iter(range(len(requests)))

        async def work() -> None:
            for index in waiting:
                try:
                    while not failures and not self._ledger.reserve(most[index]):
                        await asyncio.sleep(0.01)
                    if failures:
                        return
                    answers[index] = await self._once(requests[index], most[index])
                except TrimError as error:
                    failures.append(error)
                    return
                if keep:
                    keep(index, answers[index])

        await asyncio.gather(*(work() for _ in range(min(self.server.concurrency, len(requests)))))
        if failures:
            raise failures[0]
        return [answers[index] for index in range(len(requests))]

    async def _once(self, request: Callable[[], Awaitable[T]], most: float) -> T:
        tries = AsyncRetrying(
            stop=stop_after_attempt(self.server.retries + 1),
            wait=wait_random_exponential(multiplier=0.2, max=10),
            retry=retry_if_exception_type((_Malformed, JSONDecodeError)),
            reraise=True,
        )
        try:
            return await tries(request)
        except (_Malformed, JSONDecodeError, APIError) as error:
            raise TrimError(f"{self.server.url}, {self.name}: {self._reason(error)}") from None
        finally:
            self._ledger.release(most)

    def pay(self, read: int, written: int) -> None:
        """Write down the tokens of an answer."""
        self._ledger.pay((read * self.server.price_in + written * self.price) / 1e6)

    def most(self, text: str, written: int) -> float:
        """The most that a request can cost: a token has a character at least."""
        return (len(text) * self.server.price_in + written * self.price) / 1e6

    def _reason(self, error: Exception) -> str:
        if isinstance(error, APIStatusError) and error.status_code in (401, 403):
            return f"the key in {self.server.key or 'server.key (none is named)'} was refused"
        if isinstance(error, APITimeoutError):
            return f"no answer in {self.server.timeout:g} s, {self.server.retries + 1} times; raise server.timeout"
        if isinstance(error, APIConnectionError):
            return "cannot be reached; is the server running at server.url?"
        said = " ".join(str(error).split()).replace(self._key, "***")
        status = f"status {error.status_code}: " if isinstance(error, APIStatusError) else ""
        return f"{status}{said[:200]}"


class ServedLM:
    """A language model behind a server.

    Args:
        model: with its server.
        sampling: how tokens are drawn; top-k goes to servers that continue a turn (vLLM's parameter).
        instruction: what the user turn asks for, after the question.
        spending: folder of the ledger.
    """

    def __init__(self, model: Model, sampling: Sampling, instruction: str, spending: Path | None = None) -> None:
        from trim.models.load import folder

        self._connection = Connection(model, spending)
        self._sampling, self._instruction, self._api = sampling, instruction, self._connection.server.api
        self._template = {} if model.thinking is None else {"enable_thinking": model.thinking}
        self._prompt = None
        if self._api == "completions":
            self._prompt = Prompt(read_tokenizer(folder(model)), instruction, model.thinking)

    def next_steps(
        self, prefixes: Sequence[Prefix], keys: Sequence[bytes], keep: KeepDraft | None = None
    ) -> list[Draft]:
        """See `LanguageModel.next_steps`."""
        requests = [partial(self._ask, prefix, key) for prefix, key in zip(prefixes, keys, strict=True)]
        limit = self._sampling.max_step_tokens
        texts = [str(self.chat(prefix)) for prefix in prefixes]
        return self._connection.each(requests, [self._connection.most(text, limit) for text in texts], keep)

    def likelihoods(self, solutions: Sequence[Prefix], keep: KeepScores | None = None) -> list[StepScore]:
        """See `LanguageModel.likelihoods`.

        Raises:
            TrimError: if the server is not asked through completions, the one API that tells.
        """
        if not self._prompt:
            raise TrimError(f"{self._connection.name}: log-probabilities of a step need server.api: completions (vLLM)")
        ids, starts = self._prompt.last_steps(solutions)
        requests = [partial(self._rate, tokens, start) for tokens, start in zip(ids, starts, strict=True)]
        prices = [(len(tokens) * self._connection.server.price_in + self._connection.price) / 1e6 for tokens in ids]

        def kept(index: int, score: StepScore) -> None:
            if keep:
                keep(index, [score])

        return self._connection.each(requests, prices, kept)

    async def _rate(self, tokens: list[int], start: int) -> StepScore:
        answer: Any = await self._connection.client.completions.create(
            model=self._connection.name, prompt=tokens, max_tokens=1, extra_body={"prompt_logprobs": 0}
        )
        try:
            found = answer.choices[0].prompt_logprobs[start:]
            logs = [float(entry[str(token)]["logprob"]) for entry, token in zip(found, tokens[start:], strict=True)]
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise _Malformed(f"an answer without prompt_logprobs ({error})") from error
        self._connection.pay(len(tokens), 1)
        return StepScore(sum(logs) / len(logs), len(logs))

    def chat(self, prefix: Prefix) -> Any:
        """The messages that ask for the next step.

        A server that can continue the assistant's turn gets the steps so far as that turn. To any
        other the user shows them, and asks for the next step only.
        """
        chat = messages(prefix.question, asked_for(prefix, self._instruction))
        if self._api != "chat" or prefix.instruction is not None:
            return [*chat, {"role": "assistant", "content": prefix.text}] if prefix.steps else chat
        so_far = f"The solution so far:\n\n{prefix.text}" if prefix.steps else "The solution is still empty.\n\n"
        return [{"role": "user", "content": f"{chat[0]['content']}\n\n{so_far}{_NEXT}"}]

    async def _ask(self, prefix: Prefix, key: bytes) -> Draft:
        common: dict[str, Any] = {
            "model": self._connection.name,
            "max_tokens": self._sampling.max_step_tokens,
            "temperature": self._sampling.temperature,
            "top_p": self._sampling.top_p,
            "seed": seed(key),
        }
        client = self._connection.client
        if self._prompt:
            answer: Any = await client.completions.create(
                prompt=self._prompt.ids([prefix], [prefix.text])[0],
                stop=[SEPARATOR],
                extra_body={"top_k": self._sampling.top_k},
                **common,
            )
        elif self._api == "prefill":
            body = {
                "top_k": self._sampling.top_k,
                "continue_final_message": bool(prefix.steps),
                "add_generation_prompt": not prefix.steps,
                **({"chat_template_kwargs": self._template} if self._template else {}),
            }
            answer = await client.chat.completions.create(
                messages=self.chat(prefix), stop=[SEPARATOR], extra_body=body, **common
            )
        else:
            answer = await client.chat.completions.create(messages=self.chat(prefix), **common)
        return self._draft(answer)

    def _draft(self, answer: Any) -> Draft:
        try:
            choice = answer.choices[0]
            text = choice.text if self._prompt else choice.message.content or ""
            read, tokens = int(answer.usage.prompt_tokens), int(answer.usage.completion_tokens)
            reason = str(choice.finish_reason)
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise _Malformed(f"an answer without choices or usage ({error})") from error
        if not isinstance(text, str) or tokens < 0 or read < 0:
            raise _Malformed("an answer without text")
        self._connection.pay(read, tokens)
        stop: Stop = "length"
        if self._api == "chat":
            # It was asked for one step, so its end is the step's; a reply that says nothing ends the solution.
            stop = ("separator" if text.strip() else "end") if reason == "stop" else "length"
            return Draft(first(text.strip()), tokens, stop)
        if reason == "stop":
            # Only vLLM tells which stop it was; elsewhere a solution without its box goes on.
            matched = getattr(choice, "stop_reason", SEPARATOR)
            stop = "separator" if matched == SEPARATOR else "end"
        return Draft(first(text) if stop == "separator" else text, tokens, stop)


class ServedPRM:
    """A process reward model behind vLLM's pooling endpoint.

    Args:
        model: with its server; its tokenizer is read from `path`.
        instruction: what the user turn asks for, after the question.
        spending: folder of the ledger.
    """

    def __init__(self, model: Model, instruction: str, spending: Path | None = None) -> None:
        from trim.models.load import folder

        self._connection = Connection(model, spending)
        tokenizer = read_tokenizer(folder(model))
        self._prompt = Prompt(tokenizer, instruction)
        self._tag: int = tokenizer.convert_tokens_to_ids(PRM_TAG)
        self._url = self._connection.server.url.rstrip("/").removesuffix("/v1") + "/pooling"

    def score(
        self,
        solutions: Sequence[Prefix],
        last: Sequence[int],
        keep: KeepScores | None = None,
    ) -> list[list[StepScore]]:
        """See `RewardModel.score`."""
        ids = self._prompt.ids(solutions, [tagged(s.steps) for s in solutions])
        requests = [partial(self._ask, tokens, count) for tokens, count in zip(ids, last, strict=True)]
        prices = [len(tokens) * self._connection.server.price_in / 1e6 for tokens in ids]
        return self._connection.each(requests, prices, keep)

    async def _ask(self, tokens: list[int], last: int) -> list[StepScore]:
        body = {
            "model": self._connection.name,
            "input": tokens,
            "task": "token_classify",
            "use_activation": False,
            "encoding_format": "float",
        }
        answer: Any = await self._connection.client.post(self._url, cast_to=object, body=body)
        tags = [i for i, token in enumerate(tokens) if token == self._tag]
        try:
            logits = np.asarray(answer["data"][0]["data"], dtype=float)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise _Malformed(f"an answer without scores ({error})") from error
        if len(logits) == len(tokens):
            logits = logits[tags]
        if logits.shape != (len(tags), 2) or not np.isfinite(logits).all():
            raise _Malformed(f"scores of shape {logits.shape} for {len(tags)} steps; serve the model with its step tag")
        self._connection.pay(len(tokens), 0)
        return at_tags(softmax(logits, axis=-1)[:, 1].tolist(), tokens, self._tag, last)
