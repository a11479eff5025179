"""The `transformers` backend: batched generation and scoring on CPU or GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoModelForCausalLM, DynamicCache, PreTrainedTokenizerFast

from trim.errors import TrimError
from trim.models.base import Draft, Prefix, Sampling, StepScore, Stop
from trim.models.folder import identity
from trim.models.reward import Qwen2ForProcessRewardModel
from trim.models.sampler import sample, seeds, uniforms
from trim.steps import INSTRUCTION, PRM_TAG, SEPARATOR, join, messages


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
        self._separates = torch.tensor([SEPARATOR in piece for piece in pieces])
        self._newline = torch.tensor([piece.endswith("\n") for piece in pieces])
        self._prompts: dict[str, str] = {}

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
        prompts = self.tokenizer([self.prompt(p) for p in prefixes], add_special_tokens=False)["input_ids"]
        return self._decode(prompts, list(keys))

    def _decode(self, prompts: list[list[int]], keys: list[bytes]) -> list[Draft]:
        device, pad = self.model.device, self.tokenizer.pad_token_id or 0
        width = max(map(len, prompts))
        ids = torch.tensor([[pad] * (width - len(p)) + p for p in prompts], device=device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
        streams, active = seeds(keys), list(range(len(prompts)))
        written: list[list[int]] = [[] for _ in prompts]
        stops: list[Stop] = ["length"] * len(prompts)
        cache = DynamicCache(config=self.model.config)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        for step in range(self.sampling.max_step_tokens):
            out = self.model(
                input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, logits_to_keep=1
            )
            tokens = sample(out.logits[:, -1], uniforms(streams[active], step), self.sampling)
            going = []
            for row, (index, token) in enumerate(zip(active, tokens.tolist(), strict=True)):
                text = written[index]
                text.append(token)
                if token in self._ends:
                    stops[index] = "end"
                elif self._separates[token] or (self._newline[token] and SEPARATOR in self.tokenizer.decode(text[-8:])):
                    stops[index] = "separator"
                else:
                    going.append(row)
            if not going:
                break
            if len(going) < len(active):
                keep = torch.tensor(going, device=device)
                cache.batch_select_indices(keep)
                mask, positions, tokens = mask[keep], positions[keep], tokens[keep]
                active = [active[row] for row in going]
            ids = tokens[:, None]
            positions = positions[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones(len(active), 1)], dim=-1)
        texts = self.tokenizer.batch_decode(written, skip_special_tokens=True)
        return [
            Draft(text.split(SEPARATOR)[0] if stop == "separator" else text, len(tokens), stop)
            for text, tokens, stop in zip(texts, written, stops, strict=True)
        ]


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
    def score(self, solutions: Sequence[Prefix]) -> list[list[StepScore]]:
        """See `RewardModel.score`."""
        if not solutions:
            return []
        texts = self.tokenizer([self.text(s) for s in solutions], add_special_tokens=False)["input_ids"]
        width = max(map(len, texts))
        # Attention is causal, so padding on the right changes no score and needs no mask.
        ids = torch.tensor([text + [0] * (width - len(text)) for text in texts], device=self.model.device)
        values = self.model(input_ids=ids).logits.float().softmax(-1)[..., 1].tolist()
        scores = []
        for row, text in zip(values, texts, strict=True):
            tags = [position for position, token in enumerate(text) if token == self.tag]
            reads = [after - before for before, after in zip([-1, *tags], tags, strict=False)]
            scores.append([StepScore(row[tag], read) for tag, read in zip(tags, reads, strict=True)])
        return scores
