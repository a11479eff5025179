"""Prompts of models: their own chat template, with the assistant's turn left open."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerFast

from trim.errors import TrimError, first_line
from trim.models.base import Prefix, StepScore
from trim.steps import PRM_TAG, ChatFormat

_KEPT = 2048  # cached prompts
_log = logging.getLogger(__name__)


def read_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a model.

    Raises:
        TrimError: if it cannot be read.
    """
    try:
        # tokenizer.json as it is: the automatic class would replace its rules by those of Qwen2.
        return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise TrimError(f"{folder}: holds no readable tokenizer ({first_line(error)})") from error


def step_tag(tokenizer: PreTrainedTokenizerFast, folder: Path) -> int:
    """The id of the token after each step that a reward model reads.

    Raises:
        TrimError: if the tokenizer has none.
    """
    tag = tokenizer.get_vocab().get(PRM_TAG)
    if tag is None:
        raise TrimError(f"{folder}: not a reward model: its tokenizer has no token {PRM_TAG}")
    return int(tag)


class Prompt:
    """Prompts of one model.

    Args:
        tokenizer: the tokenizer, with a chat template.
        chat: prompt format of a solution.
        thinking: let the model think first, for chat templates with this switch.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, chat: ChatFormat, thinking: bool | None = None) -> None:
        asked = {} if thinking is None else {"enable_thinking": thinking}

        @lru_cache(maxsize=_KEPT)
        def opened(question: str, instruction: str | None, before: tuple[tuple[str, str], ...]) -> str:
            turns = chat.messages(question, instruction, before)
            try:
                return tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, **asked)
            except Exception as error:  # a template is a program and may raise anything
                reason = first_line(error)
                raise TrimError(f"{tokenizer.name_or_path}: its chat template fails ({reason})") from error

        @lru_cache(maxsize=_KEPT)
        def length(prefix: Prefix) -> int:
            return len(self.ids([prefix], [""])[0])

        self._tokenizer, self._opened, self._length, self._chat = tokenizer, opened, length, chat

    def __call__(self, prefix: Prefix, turn: str) -> str:
        """The prompt's text, with an assistant's turn that begins with `turn`."""
        opening = self._chat.turn(bool(prefix.steps), prefix.instruction)
        return self._opened(prefix.question, prefix.instruction, prefix.before) + opening + turn

    def ids(self, prefixes: Sequence[Prefix], turns: Sequence[str]) -> list[list[int]]:
        """The same as token ids, for each question and turn."""
        texts = [self(prefix, turn) for prefix, turn in zip(prefixes, turns, strict=True)]
        return self._tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []

    def lengths(self, prefixes: Sequence[Prefix]) -> list[int]:
        """Tokens of each prompt before the first step."""
        return [self._length(prefix._replace(steps=())) for prefix in prefixes]

    def last_steps(self, solutions: Sequence[Prefix]) -> tuple[list[list[int]], list[int]]:
        """Token ids of whole solutions, and the place where the last step of each begins."""
        before = [s._replace(steps=s.steps[:-1]) for s in solutions]
        turns = [prefix.text for prefix in before]
        whole = self.ids(before, [turn + s.steps[-1] for turn, s in zip(turns, solutions, strict=True)])
        return whole, [_apart(*both) for both in zip(whole, self.ids(before, turns), strict=True)]


def _apart(ids: Sequence[int], before: Sequence[int]) -> int:
    """The place after a text's beginning, whose last token may have changed."""
    common = next((i for i, (one, other) in enumerate(zip(ids, before)) if one != other), len(before))
    return max(1, min(common, len(ids) - 1))


def cut_to(ids: Sequence[list[int]], context: int | None, who: str) -> list[list[int]]:
    """Prompts of a reward model, cut from the left to its context, as the paper's reference code does.

    Steps whose tags are cut off count as right (`at_tags`).
    """
    longer = sum(context is not None and len(tokens) > context for tokens in ids)
    if longer:
        _log.warning("%s: %d of %d solutions are longer than the context of %d and cut", who, longer, len(ids), context)
    return [tokens if context is None else tokens[-context:] for tokens in ids]


def at_tags(scores: Sequence[float], ids: Sequence[int], tag: int, last: int, prompt: int) -> list[StepScore]:
    """The last scores, each with its step's tokens, tag included; 1.0 and no tokens for tags that were cut off.

    Args:
        scores: scores at the tags that were read, in order.
        ids: tokens of the whole text.
        tag: token after each step.
        last: number of scores requested.
        prompt: tokens before the first step.
    """
    read = np.diff(np.flatnonzero(np.asarray(ids) == tag), prepend=prompt - 1)
    kept = min(last, len(scores))
    rated = zip(scores[len(scores) - kept :], read[len(read) - kept :], strict=True)
    return [StepScore(1.0, 0)] * (last - kept) + [StepScore(float(score), int(n)) for score, n in rated]
