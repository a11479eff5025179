"""The `transformers` backend: batched generation and scoring on CPU or GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

from trim.errors import TrimError
from trim.models.base import Draft, Prefix, Sampling, StepScore, Stop
from trim.models.folder import identity
from trim.models.prefix_cache import PrefixCache, Text, alike
from trim.models.reward import Qwen2ForProcessRewardModel
from trim.models.sampler import sample
from trim.steps import INSTRUCTION, PRM_TAG, SEPARATOR, join, messages
from trim.streams import seeds, uniforms

logging.disable_progress_bar()
_HALF_EMPTY = 0.6  # share of open rows below which closed ones are dropped from a batch


@dataclass
class _Prompt(Text):
    """A text to be continued by one step.

    Attributes:
        key: of its random stream.
        written: tokens of the step.
        stop: why the step ended; "length" while it is open.
    """

    key: bytes = b""
    written: list[int] = field(default_factory=list)
    stop: Stop = "length"


def _load(cls: type[Any], folder: Path, dtype: str) -> tuple[Any, PreTrainedTokenizerFast]:
    try:
        model = cls.from_pretrained(folder, dtype=getattr(torch, dtype), local_files_only=True)
        # tokenizer.json as it is: the automatic class would replace its rules by those of Qwen2.
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise TrimError(f"{folder}: not a readable model ({str(error).splitlines()[0]})") from error
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer


class TransformersLM:
    """A causal language model from a Hugging Face folder.

    Args:
        folder: config, tokenizer with chat template, and safetensors.
        sampling: how tokens are drawn.
        instruction: what the user turn asks for, after the question.
        dtype: float32 or bfloat16.
    """

    def __init__(
        self,
        folder: Path,
        sampling: Sampling,
        instruction: str = INSTRUCTION,
        dtype: Literal["float32", "bfloat16"] = "float32",
    ) -> None:
        self.id = identity(folder)
        self.sampling, self.instruction = sampling, instruction
        self.model, self.tokenizer = _load(AutoModelForCausalLM, folder, dtype)
        self.parameters = self.model.num_parameters()
        self._ends = {self.tokenizer.eos_token_id}
        # One token can carry the separator inside it (".\n\n"), so tokens are tested by their text.
        pieces = self.tokenizer.batch_decode([[i] for i in range(len(self.tokenizer))])
        self._separates = [SEPARATOR in piece for piece in pieces]
        self._newline = [piece.endswith("\n") for piece in pieces]
        self._prompts: dict[str, str] = {}
        self._cache = PrefixCache(self.model)

    def prompt(self, prefix: Prefix) -> str:
        """The text to be continued: the chat template, with the steps in an open assistant turn."""
        if prefix.question not in self._prompts:
            self._prompts[prefix.question] = self.tokenizer.apply_chat_template(
                messages(prefix.question, self.instruction), tokenize=False, add_generation_prompt=True
            )
        return self._prompts[prefix.question] + join(prefix.steps)

    @torch.inference_mode()
    def next_steps(self, prefixes: Sequence[Prefix], keys: Sequence[bytes]) -> list[Draft]:
        """See `LanguageModel.next_steps`."""
        if not prefixes:
            return []
        ids = self.tokenizer([self.prompt(p) for p in prefixes], add_special_tokens=False)["input_ids"]
        prompts = [_Prompt(p, np.array(i), key=key) for p, i, key in zip(prefixes, ids, keys, strict=True)]
        self._cache.find(prompts)
        for batch in alike(prompts):
            self._decode(batch)
        texts = self.tokenizer.batch_decode([p.written for p in prompts], skip_special_tokens=True)
        return [
            Draft(text.split(SEPARATOR)[0] if p.stop == "separator" else text, len(p.written), p.stop)
            for text, p in zip(texts, prompts, strict=True)
        ]

    def _decode(self, rows: list[_Prompt]) -> None:
        """Write the next step of each prompt, all in one batch."""
        tokens, positions, seen, cache = self._cache.load(rows)
        streams = seeds([prompt.key for prompt in rows])
        for step in range(self.sampling.max_step_tokens):
            logits = self.model(
                input_ids=tokens, attention_mask=seen, position_ids=positions, past_key_values=cache, logits_to_keep=1
            ).logits[:, -1]
            tokens = sample(logits, uniforms(streams, step), self.sampling)
            for prompt, token in zip(rows, tokens.tolist(), strict=True):
                if prompt.stop == "length":
                    prompt.written.append(token)
                    prompt.stop = self._stop(prompt.written)
            going = np.array([p.stop == "length" for p in rows])
            last = not going.any() or step + 1 == self.sampling.max_step_tokens
            if last or going.mean() < _HALF_EMPTY:
                ended = np.flatnonzero(~going | last).tolist()
                for prompt in (rows[i] for i in ended):
                    prompt.ids = np.append(prompt.ids, prompt.written[:-1])
                self._cache.save(cache, ended, [rows[i] for i in ended])
                if last:
                    return
                left = torch.from_numpy(np.flatnonzero(going)).to(tokens.device)
                cache.batch_select_indices(left)
                rows, streams = [rows[i] for i in left.tolist()], streams[going]
                tokens, seen, positions = tokens[left], seen[left], positions[left]
            tokens, positions = tokens[:, None], positions[:, -1:] + 1
            seen = torch.cat([seen, seen.new_ones(len(rows), 1)], dim=1)

    def _stop(self, written: list[int]) -> Stop:
        """Why a step that ends so is finished; "length" while it is not."""
        if written[-1] in self._ends:
            return "end"
        if self._separates[written[-1]] or (
            self._newline[written[-1]] and SEPARATOR in self.tokenizer.decode(written[-8:])
        ):
            return "separator"
        return "length"


class TransformersPRM:
    """A process reward model in the format of Qwen2.5-Math-PRM.

    Args:
        folder: a `Qwen2ForProcessRewardModel` with its tokenizer.
        instruction: what the user turn asks for, after the question.
        dtype: float32 or bfloat16.
    """

    def __init__(
        self,
        folder: Path,
        instruction: str = INSTRUCTION,
        dtype: Literal["float32", "bfloat16"] = "float32",
    ) -> None:
        self.id = identity(folder)
        self.instruction = instruction
        self.model, self.tokenizer = _load(Qwen2ForProcessRewardModel, folder, dtype)
        self.parameters = self.model.num_parameters()
        self.tag = self.tokenizer.convert_tokens_to_ids(PRM_TAG)
        self._prompts: dict[str, str] = {}
        self._cache = PrefixCache(self.model)

    def text(self, solution: Prefix) -> str:
        """The text that is read: a tag after every step."""
        if solution.question not in self._prompts:
            self._prompts[solution.question] = self.tokenizer.apply_chat_template(
                messages(solution.question, self.instruction), tokenize=False, add_generation_prompt=True
            )
        # A step that spells the tag would otherwise add scores of its own.
        return self._prompts[solution.question] + "".join(
            step.replace(PRM_TAG, "") + PRM_TAG for step in solution.steps
        )

    @torch.inference_mode()
    def score(self, solutions: Sequence[Prefix], last: Sequence[int]) -> list[list[StepScore]]:
        """See `RewardModel.score`."""
        if not solutions:
            return []
        ids = self.tokenizer([self.text(s) for s in solutions], add_special_tokens=False)["input_ids"]
        texts = [Text(solution, np.array(i)) for solution, i in zip(solutions, ids, strict=True)]
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
                for place, read in zip(places[-count:], np.diff(places, prepend=-1)[-count:], strict=True)
            ]
            for text, places, count in zip(texts, tags, last, strict=True)
        ]
