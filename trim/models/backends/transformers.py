"""The `transformers` backend: batched generation and scoring on CPU or GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

from trim.answers import is_open
from trim.errors import TrimError
from trim.models.base import (
    MOST_PROBABLE,
    Draft,
    KeepDraft,
    KeepScores,
    Prefix,
    StepScore,
    StepStates,
    Stop,
    entropy,
)
from trim.models.files import folder, identity
from trim.models.prefix_cache import PrefixCache, Text, alike
from trim.models.prm import Qwen2ForProcessRewardModel
from trim.models.prompt import Prompt, read_tokenizer, step_tag
from trim.models.sampler import penalise, sample
from trim.models.settings import Dtype, Model, Sampling
from trim.models.weights import load_whole
from trim.rng import seeds, uniforms
from trim.steps import PLAIN, SEPARATOR, ChatFormat, ends_sentence, first, tagged

logging.disable_progress_bar()
logging.set_verbosity_error()  # faults of a load report are refused here, by name
_HALF_EMPTY = 0.6  # share of open rows below which closed ones are dropped from a batch


@dataclass
class _Prompt(Text):
    """A text to be continued by one step.

    Attributes:
        sampling: sampling of its tokens.
        key: key of the text's random stream.
        written: tokens of the step.
        stop: the reason for the step's end; "length" while it is open.
    """

    sampling: Sampling = field(default_factory=Sampling)
    key: bytes = b""
    written: list[int] = field(default_factory=list)
    stop: Stop = "length"


def _load(cls: type[Any], folder: Path, dtype: Dtype, what: str) -> tuple[Any, PreTrainedTokenizerFast]:
    model, tokenizer = load_whole(cls, folder, getattr(torch, dtype), what), read_tokenizer(folder)
    rows = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        raise TrimError(f"{folder}: its tokenizer has {len(tokenizer)} tokens and its model {rows}; restore the folder")
    return model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer


class TransformersLM:
    """A causal language model from a Hugging Face folder.

    Args:
        folder: config, tokenizer with chat template, and safetensors.
        sampling: sampling of tokens.
        chat: prompt format of a solution.
        dtype: float32 or bfloat16.
        thinking: let the model think first, for chat templates with this switch.
    """

    def __init__(
        self,
        folder: Path,
        sampling: Sampling,
        chat: ChatFormat = PLAIN,
        dtype: Dtype = "float32",
        thinking: bool | None = None,
    ) -> None:
        self.id, self.sampling = identity(folder), sampling
        self.model, self.tokenizer = _load(AutoModelForCausalLM, folder, dtype, "language model")
        self.parameters = self.model.num_parameters()
        self.prompt = Prompt(self.tokenizer, chat, thinking)
        ends = self.model.generation_config.eos_token_id
        self._ends = {self.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}
        # One token can contain the separator (".\n\n"), so tokens are tested by their text.
        # A model may have more rows than its tokenizer has tokens (Qwen2.5 has), and those have no text.
        vocabulary, rows = len(self.tokenizer), self.model.get_input_embeddings().num_embeddings
        pieces = self.tokenizer.batch_decode([[i] for i in range(vocabulary)]) + [""] * (rows - vocabulary)
        self._separates = [SEPARATOR in piece for piece in pieces]
        self._newline = [piece.endswith("\n") for piece in pieces]
        self.context: int | None = getattr(self.model.config, "max_position_embeddings", None)
        self._cache = PrefixCache(self.model)
        self.claim_memory = self._cache.claim

    def prompt_tokens(self, prefixes: Sequence[Prefix]) -> list[int]:
        """See `LanguageModel.prompt_tokens`."""
        return self.prompt.lengths(prefixes)

    @torch.inference_mode()
    def next_steps(
        self, prefixes: Sequence[Prefix], keys: Sequence[bytes], keep: KeepDraft | None = None
    ) -> list[Draft]:
        """See `LanguageModel.next_steps`."""
        if not prefixes:
            return []
        ids = self.prompt.ids(prefixes, [p.text for p in prefixes])
        prompts = [
            _Prompt(p, np.array(i, dtype=np.int32), sampling=self.sampling.of(p), key=key)
            for p, i, key in zip(prefixes, ids, keys, strict=True)
        ]
        self._cache.find(prompts)
        for unread in alike(prompts)[1:]:
            self._prefill(unread)
        self._decode(prompts)
        texts = self.tokenizer.batch_decode([p.written for p in prompts], skip_special_tokens=True)
        return [
            Draft(first(text) if p.stop == "separator" and self.sampling.separator else text, len(p.written), p.stop)
            for text, p in zip(texts, prompts, strict=True)
        ]

    @torch.inference_mode()
    def mean_logprobs(self, solutions: Sequence[Prefix], keep: KeepScores | None = None) -> list[StepScore]:
        """See `LanguageModel.mean_logprobs`."""
        if not solutions:
            return []
        ids, starts = self.prompt.last_steps(solutions)
        texts = [Text(solution, np.array(i, dtype=np.int32)) for solution, i in zip(solutions, ids, strict=True)]
        self._cache.find(texts)
        for text, start in zip(texts, starts, strict=True):
            text.slots = text.slots[: start - 1]
        means: dict[int, float] = {}
        at = dict(zip(map(id, texts), starts, strict=True))
        for batch in alike(texts):
            tokens, positions, seen, cache = self._cache.load(batch)
            logits = self.model(input_ids=tokens, attention_mask=seen, position_ids=positions, past_key_values=cache)
            logs = logits.logits[:, :-1].float().log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0].cpu().numpy()
            self._cache.save(cache, range(len(batch)), batch)
            for text, row in zip(batch, logs, strict=True):
                means[id(text)] = float(row[len(row) - (len(text.ids) - at[id(text)]) :].mean())
        return [StepScore(means[id(text)], len(text.ids) - at[id(text)]) for text in texts]

    @torch.inference_mode()
    def first_entropies(self, prefixes: Sequence[Prefix], keep: KeepScores | None = None) -> list[StepScore]:
        """See `LanguageModel.first_entropies`."""
        if not prefixes:
            return []
        ids = self.prompt.ids(prefixes, [p.text for p in prefixes])
        texts = [Text(p, np.array(i, dtype=np.int32)) for p, i in zip(prefixes, ids, strict=True)]
        self._cache.find(texts)
        entropies: dict[int, float] = {}
        for batch in alike(texts):
            tokens, positions, seen, cache = self._cache.load(batch)
            logits = self.model(
                input_ids=tokens, attention_mask=seen, position_ids=positions, past_key_values=cache, logits_to_keep=1
            ).logits[:, -1]
            self._cache.save(cache, range(len(batch)), batch)
            most = logits.float().topk(min(MOST_PROBABLE, logits.shape[-1]), dim=-1).values.cpu().numpy()
            entropies |= {id(text): entropy(row) for text, row in zip(batch, most, strict=True)}
        return [StepScore(entropies[id(text)], 0) for text in texts]

    @torch.inference_mode()
    def states(self, solutions: Sequence[Prefix], batch_size: int = 256) -> StepStates:
        """The model's states at the last step of each solution."""
        ids, starts = self.prompt.last_steps(solutions)
        statistics = np.zeros((len(ids), 4), dtype=np.float32)
        hidden = np.zeros((len(ids), self.model.config.hidden_size), dtype=np.float32)
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        for rows in (order[i : i + batch_size] for i in range(0, len(order), batch_size)):
            lengths = torch.tensor([len(ids[row]) for row in rows])
            tokens = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
            for place, row in enumerate(rows):
                tokens[place, : len(ids[row])] = torch.tensor(ids[row])
            seen = torch.arange(tokens.shape[1]) < lengths[:, None]
            output = self.model(
                tokens.to(self.model.device), attention_mask=seen.to(self.model.device), output_hidden_states=True
            )
            logs = output.logits[:, :-1].float().log_softmax(-1).cpu()
            chosen = logs.gather(-1, tokens[:, 1:, None])[..., 0].numpy()
            most = logs.topk(min(MOST_PROBABLE, logs.shape[-1]), dim=-1).values
            first, second = most[..., :2].exp().unbind(-1)
            margins, most = (first - second).numpy(), most.numpy()
            last = output.hidden_states[-1].float().cpu()
            for place, row in enumerate(rows):
                step = slice(starts[row] - 1, len(ids[row]) - 1)
                logprobs, margin = chosen[place, step], margins[place, step].min()
                statistics[row] = logprobs.mean(), logprobs.min(), margin, entropy(most[place, step.start])
                hidden[row] = last[place, len(ids[row]) - 1].numpy()
        return StepStates(statistics, hidden)

    def _prefill(self, texts: Sequence[Text]) -> None:
        """Read all but the last token of each text, so that it continues in one batch with texts read before."""
        heads = [Text(text.prefix, text.ids[:-1], text.slots) for text in texts]
        tokens, positions, seen, cache = self._cache.load(heads)
        self.model(
            input_ids=tokens, attention_mask=seen, position_ids=positions, past_key_values=cache, logits_to_keep=1
        )
        for text, slots in zip(texts, self._cache.save(cache, range(len(heads)), heads), strict=True):
            text.slots = slots

    def _decode(self, rows: list[_Prompt]) -> None:
        """Write the next step of each prompt, all in one batch."""
        tokens, positions, seen, cache = self._cache.load(rows)
        streams, penalty = seeds([prompt.key for prompt in rows]), self.sampling.repetition_penalty
        for step in range(self.sampling.max_step_tokens):
            logits = self.model(
                input_ids=tokens, attention_mask=seen, position_ids=positions, past_key_values=cache, logits_to_keep=1
            ).logits[:, -1]
            if penalty != 1:
                logits = penalise(logits, self._standing(rows, logits), penalty)
            tokens = self._sample(rows, logits, uniforms(streams, step))
            for prompt, token in zip(rows, tokens.tolist(), strict=True):
                if prompt.stop == "length":
                    prompt.written.append(token)
                    prompt.stop = self._stop(prompt.written)
            going = np.array([p.stop == "length" for p in rows])
            last = not going.any() or step + 1 == self.sampling.max_step_tokens
            if last or going.mean() < _HALF_EMPTY:
                ended = np.flatnonzero(~going | last).tolist()
                for prompt in (rows[i] for i in ended):
                    prompt.ids = np.append(prompt.ids, np.array(prompt.written[:-1], dtype=np.int32))
                self._cache.save(cache, ended, [rows[i] for i in ended])
                if last:
                    return
                left = torch.from_numpy(np.flatnonzero(going)).to(tokens.device)
                cache.batch_select_indices(left)
                rows, streams = [rows[i] for i in left.tolist()], streams[going]
                tokens, seen, positions = tokens[left], seen[left], positions[left]
            tokens, positions = tokens[:, None], positions[:, -1:] + 1
            seen = torch.cat([seen, seen.new_ones(len(rows), 1)], dim=1)

    def _sample(self, rows: Sequence[_Prompt], logits: torch.Tensor, uniform: np.ndarray) -> torch.Tensor:
        """The next token of each row, under its request's sampling."""
        if all(prompt.sampling is rows[0].sampling for prompt in rows):
            return sample(logits, uniform, rows[0].sampling)
        members: dict[Sampling, list[int]] = {}
        for row, prompt in enumerate(rows):
            members.setdefault(prompt.sampling, []).append(row)
        tokens = torch.empty(len(rows), dtype=torch.long, device=logits.device)
        for sampling, places in members.items():
            tokens[places] = sample(logits[places], uniform[places], sampling)
        return tokens

    @staticmethod
    def _standing(rows: Sequence[_Prompt], logits: torch.Tensor) -> torch.Tensor:
        """Masks of the tokens in each prompt and in the text written after it."""
        mask = torch.zeros_like(logits, dtype=torch.bool)
        for row, prompt in enumerate(rows):
            mask[row, [*prompt.ids.tolist(), *prompt.written]] = True
        return mask

    def _stop(self, written: list[int]) -> Stop:
        """The reason for the end of a step with these tokens; "length" while it is open."""
        if written[-1] in self._ends:
            return "end"
        if self.sampling.step == "sentence":
            return "separator" if ends_sentence(self.tokenizer.decode(written[-8:])) else "length"
        if self.sampling.step != "paragraph":
            return "separator" if len(written) >= self.sampling.step and self._closed(written) else "length"
        if self._separates[written[-1]] or (
            self._newline[written[-1]] and SEPARATOR in self.tokenizer.decode(written[-8:])
        ):
            return "separator"
        return "length"

    def _closed(self, written: list[int]) -> bool:
        """True if no box is open; an open one would be cut in two."""
        return not is_open(self.tokenizer.decode(written))


class TransformersPRM:
    """A process reward model in the format of Qwen2.5-Math-PRM.

    Args:
        folder: a `Qwen2ForProcessRewardModel` with its tokenizer.
        chat: prompt format of a solution.
        dtype: float32 or bfloat16.
    """

    def __init__(self, folder: Path, chat: ChatFormat = PLAIN, dtype: Dtype = "float32") -> None:
        self.id = identity(folder)
        self.model, self.tokenizer = _load(Qwen2ForProcessRewardModel, folder, dtype, "reward model")
        self.parameters = self.model.num_parameters()
        self.prompt = Prompt(self.tokenizer, chat)
        self.tag = step_tag(self.tokenizer, folder)
        self.context: int | None = getattr(self.model.config, "max_position_embeddings", None)
        self._cache = PrefixCache(self.model)
        self.claim_memory = self._cache.claim

    def prompt_tokens(self, prefixes: Sequence[Prefix]) -> list[int]:
        """See `RewardModel.prompt_tokens`."""
        return self.prompt.lengths(prefixes)

    @torch.inference_mode()
    def score(
        self,
        solutions: Sequence[Prefix],
        last: Sequence[int],
        keep: KeepScores | None = None,
    ) -> list[list[StepScore]]:
        """See `RewardModel.score`."""
        if not solutions:
            return []
        ids = self.prompt.ids(solutions, [tagged(s.steps, s.separator) for s in solutions])
        texts = [Text(solution, np.array(i, dtype=np.int32)) for solution, i in zip(solutions, ids, strict=True)]
        tags = [np.flatnonzero(text.ids == self.tag) for text in texts]
        self._cache.find(texts)
        for text, places, count in zip(texts, tags, last, strict=True):
            text.slots = text.slots[: places[-count]]
        scores: dict[int, np.ndarray] = {}
        for batch in alike(texts):
            tokens, positions, seen, cache = self._cache.load(batch)
            logits = self.model(tokens, seen, positions, cache).logits
            values = logits.float().softmax(-1)[..., 1].cpu().numpy()
            self._cache.save(cache, range(len(batch)), batch)
            scores |= {id(text): row[len(row) - text.unread :] for text, row in zip(batch, values, strict=True)}
        return [
            [
                StepScore(float(scores[id(text)][place - len(text.slots)]), int(read))
                for place, read in zip(places[-count:], np.diff(places, prepend=prompt - 1)[-count:], strict=True)
            ]
            for text, places, count, prompt in zip(texts, tags, last, self.prompt_tokens(solutions), strict=True)
        ]


ANY_STEP = True


def language_model(model: Model, sampling: Sampling, chat: ChatFormat, spending: Path | None = None) -> TransformersLM:
    """See `trim.models.backends`."""
    return TransformersLM(folder(model), sampling, chat, model.dtype, model.thinking)


def step_states(model: Model, chat: ChatFormat, solutions: Sequence[Prefix]) -> StepStates:
    """See `trim.models.backends`."""
    return language_model(model, Sampling(), chat).states(solutions)


def reward_model(model: Model, chat: ChatFormat, spending: Path | None = None) -> TransformersPRM:
    """See `trim.models.backends`."""
    return TransformersPRM(folder(model), chat, model.dtype)
