"""The `openai` backend: any OpenAI-compatible server; reward models through the pooling endpoint of a vLLM server."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from trim.errors import TrimError
from trim.models.base import (
    IMPOSSIBLE,
    MOST_PROBABLE,
    Draft,
    KeepDraft,
    KeepScores,
    Prefix,
    StepScore,
    Stop,
    entropy,
)
from trim.models.connection import Connection, Malformed, Refused, usage
from trim.models.files import folder
from trim.models.prompt import Prompt, at_tags, cut_to, read_tokenizer, step_tag
from trim.models.refusals import NoStep, concern
from trim.models.replies import LostToReasoning, read_reply
from trim.models.settings import Model, Sampling
from trim.rng import seed
from trim.section import shown
from trim.steps import SEPARATOR, ChatFormat, approximate_tokens, tagged

_NEXT = (
    "Write only the next step of this solution: one paragraph without a blank line. "
    "Only if that step ends the solution, put the final answer in \\boxed{}."
)
_TEMPLATE = 1024  # tokens that a chat template may add
_LEAST = 16  # fewest tokens worth requesting when the context is nearly full
_DOUBT = 3  # texts refused for no named reason before any is answered, after which the request may be at fault
_TEXTS = {"messages", "prompt", "model"}  # of a request; its other fields are parameters
_log = logging.getLogger(__name__)


class ServedLM:
    """A language model behind a server.

    Args:
        model: the model, with its server.
        sampling: sampling of tokens; top-k goes to servers that continue a turn (vLLM's parameter).
        chat: prompt format of a solution.
        spending: folder of the ledger.

    Attributes:
        full, refused: number of requests with a full context, or a refused text; their steps are empty and end the
            solution.
    """

    def __init__(self, model: Model, sampling: Sampling, chat: ChatFormat, spending: Path | None = None) -> None:
        self._connection = Connection(model, spending)
        self._sampling, self._chat, self._api = sampling, chat, self._connection.server.api
        asked = {"enable_thinking": model.thinking}
        self._template = {} if model.thinking is None else {"chat_template_kwargs": asked}
        self._limit = "max_tokens"  # the server's name for it
        self._prompt = None
        self._probed, self._probing = self._api != "prefill", threading.Lock()
        self.full = self.refused = 0
        self._answered = False
        if self._api == "completions":
            self._prompt = Prompt(read_tokenizer(folder(model)), chat, model.thinking)

    def next_steps(
        self, prefixes: Sequence[Prefix], keys: Sequence[bytes], keep: KeepDraft | None = None
    ) -> list[Draft]:
        """See `LanguageModel.next_steps`; a prefix that fills the context or is refused gets an empty draft.

        Raises:
            TrimError: if the server fails for good, spends the cap, or trims the turn that it should continue.
        """
        with self._probing:
            if not self._probed:
                self._connection.each([self._probe])
                self._probed = True
        requests = [partial(self._ask, prefix, key) for prefix, key in zip(prefixes, keys, strict=True)]
        return self._connection.each(requests, keep)

    def mean_logprobs(self, solutions: Sequence[Prefix], keep: KeepScores | None = None) -> list[StepScore]:
        """See `LanguageModel.mean_logprobs`.

        Raises:
            TrimError: if `server.api` is not completions, the only API that reports them.
        """
        if not self._prompt:
            raise TrimError(f"{self._connection.name}: log-probabilities of a step need server.api: completions (vLLM)")
        ids, starts = self._prompt.last_steps(solutions)
        requests = [partial(self._rate, tokens, start) for tokens, start in zip(ids, starts, strict=True)]
        return self._connection.each(requests, _one_by_one(keep))

    async def _rate(self, tokens: list[int], start: int) -> StepScore:
        def read(answer: Any) -> StepScore:
            try:
                entries = answer["choices"][0]["prompt_logprobs"][start:]
                pairs = zip(entries, tokens[start:], strict=True)
                logs = [float(entry[str(token)]["logprob"]) for entry, token in pairs]
            except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
                raise Malformed(f"an answer without prompt_logprobs ({error})") from error
            if not np.isfinite(logs).all():
                raise Malformed("log-probabilities that are no numbers")
            return StepScore(sum(logs) / len(logs), len(logs), usage=usage(answer))

        return await self._one_token(tokens, {"prompt_logprobs": 0}, read, full=StepScore(IMPOSSIBLE, 0))

    def first_entropies(self, prefixes: Sequence[Prefix], keep: KeepScores | None = None) -> list[StepScore]:
        """See `LanguageModel.first_entropies`.

        Raises:
            TrimError: if `server.api` is not completions.
        """
        if not self._prompt:
            raise TrimError(f"{self._connection.name}: entropies of tokens need server.api: completions (vLLM)")
        requests = [partial(self._glimpse, tokens) for tokens in self._prompt.ids(prefixes, [p.text for p in prefixes])]
        return self._connection.each(requests, _one_by_one(keep))

    async def _glimpse(self, tokens: list[int]) -> StepScore:
        def read(answer: Any) -> StepScore:
            try:
                most = sorted(answer["choices"][0]["logprobs"]["top_logprobs"][0].values(), reverse=True)
                first_entropy = entropy(np.array(most[:MOST_PROBABLE], dtype=float))
            except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
                raise Malformed(f"an answer without top_logprobs ({error})") from error
            if not np.isfinite(first_entropy):
                raise Malformed("log-probabilities that are no numbers")
            return StepScore(first_entropy, 0, usage=usage(answer))

        asked = {"logprobs": MOST_PROBABLE, "temperature": 0}
        return await self._one_token(tokens, asked, read, full=StepScore(0.0, 0))

    async def _one_token(
        self, tokens: list[int], asked: dict[str, Any], read: Callable[[Any], StepScore], full: StepScore
    ) -> StepScore:
        """The score in the answer to a prompt continued by one token; `full` if there is no room."""
        context = self._connection.server.context
        if context and len(tokens) >= context:
            return full
        body = {"model": self._connection.name, "prompt": tokens, "max_tokens": 1, **asked}
        try:
            return await self._post("/completions", body, self._connection.prices(len(tokens), 1), read)
        except Refused as error:
            if concern(error.status, error.message, asked) is None:
                raise self._connection.failure(error) from None
            return full

    def prompt_tokens(self, prefixes: Sequence[Prefix]) -> list[int]:
        """See `LanguageModel.prompt_tokens`; estimated as characters / 4 without a tokenizer."""
        if self._prompt:
            return self._prompt.lengths(prefixes)
        return [sum(approximate_tokens(turn["content"]) for turn in self.chat(prefix)) for prefix in prefixes]

    def chat(self, prefix: Prefix) -> list[dict[str, str]]:
        """The messages that request the next step.

        A server that can continue the assistant's turn gets the steps so far as that turn. For any
        other they are in the user's turn, which requests only the next step.
        """
        chat = self._chat.messages(prefix.question, prefix.instruction, prefix.before)
        if self._api != "chat" or prefix.instruction is not None:
            turn = self._chat.turn(bool(prefix.steps), prefix.instruction) + prefix.text
            return [*chat, {"role": "assistant", "content": turn}] if turn else chat
        so_far = f"The solution so far:\n\n{prefix.text}" if prefix.steps else "The solution is still empty.\n\n"
        return [*chat[:-1], {"role": "user", "content": f"{chat[-1]['content']}\n\n{so_far}{_NEXT}"}]

    async def _ask(self, prefix: Prefix, key: bytes) -> Draft:
        asked = self._sampling.of(prefix)
        sampling: dict[str, Any] = {"temperature": asked.temperature, "top_p": asked.top_p}
        body: dict[str, Any] = {"model": self._connection.name}
        if self._connection.server.seed:
            body["seed"] = seed(key) >> 32  # some servers take 31 bits at most
        room, length = self._sampling.max_step_tokens, 0
        if self._api != "chat":
            # Sent even if it changes nothing: a server fills missing values from the model's generation_config.
            sampling |= {"top_k": self._sampling.top_k, "repetition_penalty": self._sampling.repetition_penalty}
            body["stop"] = [SEPARATOR]
        if self._prompt:
            ids = self._prompt.ids([prefix], [prefix.text])[0]
            body["prompt"], length, path = ids, len(ids), "/completions"
            if self._connection.server.context:
                room = min(room, self._connection.server.context - length)
        else:
            chat, path = self.chat(prefix), "/chat/completions"
            body["messages"] = chat
            length = len(json.dumps(chat, ensure_ascii=False).encode()) + _TEMPLATE  # a token has a byte at least
            body |= self._template
            if self._api == "prefill":
                continued = chat[-1]["role"] == "assistant"
                body |= {"continue_final_message": continued, "add_generation_prompt": not continued}
        # Null values are left to the server; some servers refuse unknown parameters.
        body |= {name: value for name, value in sampling.items() if value is not None}
        try:
            return await self._within(room, path, body, length)
        except NoStep as reason:
            return self._nothing(prefix, reason)
        except LostToReasoning:
            raise self._connection.failure(
                "the answer was lost to reasoning, nothing "
                f"else came in {room} tokens; raise generation.sampling.max_step_tokens, or set thinking: false"
            ) from None

    async def _within(self, room: int, path: str, body: Mapping[str, Any], length: int) -> Draft:
        """The draft, of fewer tokens if the context has no room for all.

        Raises:
            NoStep: if it has no room at all, or the server refuses the text.
        """
        while room >= 1:
            most, limit = self._connection.prices(length, room), self._limit
            try:
                draft: Draft = await self._post(path, {**body, limit: room}, most, lambda a: read_reply(a, self._api))
                self._answered = True
                return draft
            except Refused as error:
                if (
                    limit == "max_tokens"
                    and "max_completion_tokens" in error.message
                    and "context" not in error.message
                ):
                    self._limit = "max_completion_tokens"
                    continue
                reason = concern(error.status, error.message, body.keys() - _TEXTS)
                doubtful = error.status == 422 and not self._answered and self.refused >= _DOUBT
                if reason is None or (reason == "refused" and doubtful):
                    raise self._connection.failure(error) from None
                if reason == "refused" or room <= _LEAST:
                    raise NoStep(reason, str(error)) from None
                room //= 4
        raise NoStep("full", "the prompt takes all of server.context")

    def _nothing(self, prefix: Prefix, reason: NoStep) -> Draft:
        """The empty step that ends a solution; stored, so that no later run requests it again."""
        self.full += reason.concern == "full"
        self.refused += reason.concern == "refused"
        _log.warning(
            "%s: the solution of %s %s and ends there (%s; so far %d are full, %d refused)",
            self._connection.name,
            shown(prefix.question),
            "fills the context" if reason.concern == "full" else "is refused by the server",
            reason,
            self.full,
            self.refused,
        )
        stop: Stop = "length" if reason.concern == "full" else "refused"
        return Draft("", reason.usage.written if reason.usage else 0, stop, reason.usage)

    async def _post(self, path: str, body: Mapping[str, Any], most: float, read: Any) -> Any:
        return await self._connection.post(self._connection.address(path), body, most, read)

    async def _probe(self) -> None:
        """Check once that a blank line at the end of an open turn reaches the model.

        Raises:
            TrimError: if it does not: the server's chat template trims it, and every step would begin within the last.
        """
        chat = self._chat.messages("How much is 1 + 1?")
        counts = []
        for turn in ("1 + 1 = 2", f"1 + 1 = 2{SEPARATOR}"):
            body: dict[str, Any] = {
                "model": self._connection.name,
                "messages": [*chat, {"role": "assistant", "content": turn}],
                "continue_final_message": True,
                "add_generation_prompt": False,
                "max_tokens": 1,
            }
            body |= self._template
            most = self._connection.prices(len(json.dumps(body).encode()) + _TEMPLATE, 1)
            try:
                counts.append(await self._post("/chat/completions", body, most, lambda a: usage(a).read))
            except Refused as error:
                raise self._connection.failure(error) from None
        if counts[0] == counts[1]:
            raise self._connection.failure(
                "its chat template trims the turn that should be continued; use server.api: completions (vLLM) or chat"
            )


def _one_by_one(keep: KeepScores | None) -> Callable[[int, StepScore], None]:
    """An adapter that passes single scores to `KeepScores`, in lists."""
    return lambda index, score: keep(index, [score]) if keep else None


class ServedPRM:
    """A process reward model behind vLLM's pooling endpoint.

    Args:
        model: the model, with its server; its tokenizer is read from `path`.
        chat: how a solution is asked for.
        spending: folder of the ledger.
    """

    def __init__(self, model: Model, chat: ChatFormat, spending: Path | None = None) -> None:
        self._connection = Connection(model, spending)
        tokenizer = read_tokenizer(folder(model))
        self._prompt = Prompt(tokenizer, chat)
        self._tag = step_tag(tokenizer, folder(model))
        self._url = self._connection.address("/pooling", beside="/v1")

    def score(
        self,
        solutions: Sequence[Prefix],
        last: Sequence[int],
        keep: KeepScores | None = None,
    ) -> list[list[StepScore]]:
        """See `RewardModel.score`; longer texts than the server's context are cut from the left (`cut_to`)."""
        whole = self._prompt.ids(solutions, [tagged(s.steps) for s in solutions])
        ids = cut_to(whole, self._connection.server.context, self._connection.name)
        counts = zip(last, self.prompt_tokens(solutions), strict=True)
        requests = [partial(self._ask, *three) for three in zip(ids, whole, counts, strict=True)]
        return self._connection.each(requests, keep)

    def prompt_tokens(self, prefixes: Sequence[Prefix]) -> list[int]:
        """See `RewardModel.prompt_tokens`."""
        return self._prompt.lengths(prefixes)

    async def _ask(self, tokens: list[int], whole: list[int], counts: tuple[int, int]) -> list[StepScore]:
        body = {
            "model": self._connection.name,
            "input": tokens,
            "task": "token_classify",
            "use_activation": False,
            "encoding_format": "float",
        }
        tags = [i for i, token in enumerate(tokens) if token == self._tag]

        def read(answer: Any) -> list[StepScore]:
            try:
                logits = np.asarray(answer["data"][0]["data"], dtype=float)
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise Malformed(f"an answer without scores ({error})") from error
            if logits.ndim == 2 and len(logits) == len(tokens):
                logits = logits[tags]
            if logits.shape != (len(tags), 2) or not np.isfinite(logits).all():
                raise Malformed(
                    f"scores of shape {logits.shape} for {len(tags)} steps; serve the model with its step tag"
                )
            *before, last = at_tags(softmax(logits, axis=-1)[:, 1].tolist(), whole, self._tag, *counts)
            return [*before, last._replace(usage=usage(answer))]

        try:
            return await self._connection.post(self._url, body, self._connection.prices(len(tokens), 0), read)
        except Refused as error:
            full = concern(error.status, error.message) == "full"
            raise self._connection.failure(f"{error}; set server.context" if full else error) from None


ANY_STEP = False


def language_model(model: Model, sampling: Sampling, chat: ChatFormat, spending: Path | None = None) -> ServedLM:
    """See `trim.models.backends`."""
    return ServedLM(model, sampling, chat, spending)


def reward_model(model: Model, chat: ChatFormat, spending: Path | None = None) -> ServedPRM:
    """See `trim.models.backends`."""
    return ServedPRM(model, chat, spending)
