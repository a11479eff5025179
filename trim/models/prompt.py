"""What a model is given to read: its own chat template, with the assistant's turn left open."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerFast

from trim.errors import TrimError
from trim.models.base import StepScore
from trim.steps import messages


def read_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a model.

    Raises:
        TrimError: if it cannot be read.
    """
    try:
        # tokenizer.json as it is: the automatic class would replace its rules by those of Qwen2.
        return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise TrimError(f"{folder}: holds no readable tokenizer ({str(error).splitlines()[0]})") from error


class Prompt:
    """Prompts of one model.

    Args:
        tokenizer: with a chat template.
        instruction: what the user turn asks for, after the question.
        thinking: for chat templates that ask.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, instruction: str, thinking: bool | None = None) -> None:
        asked = {} if thinking is None else {"enable_thinking": thinking}

        @lru_cache(maxsize=100_000)
        def opened(question: str) -> str:
            chat = messages(question, instruction)
            return tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True, **asked)

        self._tokenizer, self._opened = tokenizer, opened

    def __call__(self, question: str, turn: str) -> str:
        """The text that is read, where the assistant's turn begins with `turn`."""
        return self._opened(question) + turn

    def ids(self, questions: Sequence[str], turns: Sequence[str]) -> list[list[int]]:
        """The same as token ids, for each question and turn."""
        texts = [self(question, turn) for question, turn in zip(questions, turns, strict=True)]
        return self._tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []


def at_tags(scores: Sequence[float], ids: Sequence[int], tag: int, last: int) -> list[StepScore]:
    """The last scores, each with the tokens that were read for it.

    Args:
        scores: at every tag, in order.
        ids: tokens of the text.
        tag: token after each step.
        last: how many are wanted.
    """
    read = np.diff(np.flatnonzero(np.asarray(ids) == tag), prepend=-1)
    return [StepScore(float(score), int(count)) for score, count in zip(scores[-last:], read[-last:], strict=True)]
