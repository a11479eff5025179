"""The text format of step-by-step solutions: prompts, separator, end of a solution."""

from __future__ import annotations

import re
from collections.abc import Sequence

from trim.answers import is_boxed

SEPARATOR = "\n\n"
PRM_TAG = "<extra_0>"
INSTRUCTION = "Solve the problem step by step and put the final answer in \\boxed{}."

_CONTENT = re.compile(r"\w")
_SENTENCE = re.compile(r"[.!?]\s|\n\n")


def messages(question: str, instruction: str = INSTRUCTION) -> list[dict[str, str]]:
    """The chat that asks for a solution: one user turn (design, section 1)."""
    return [{"role": "user", "content": f"{question}\n{instruction}" if instruction else question}]


def join(steps: Sequence[str], joint: str = SEPARATOR) -> str:
    """The assistant turn that holds `steps`, each ended by `joint`, and is to be continued."""
    return "".join(step + joint for step in steps)


def tagged(steps: Sequence[str], joint: str = SEPARATOR) -> str:
    """The assistant turn that a reward model reads: a tag after every step, and no other.

    Steps that carry their own ending lose the blanks around them, as there are none where steps are paragraphs.
    """
    texts = (step.replace(PRM_TAG, "") for step in steps)
    return "".join((text if joint else text.strip()) + PRM_TAG for text in texts)


def approximate_tokens(text: str) -> int:
    """About how many tokens a text has, told by its characters."""
    return -(-len(text) // 4)


def ends_sentence(text: str) -> bool:
    """Whether a sentence ends in a text: by its mark and a blank, or by a blank line."""
    return bool(_SENTENCE.search(text))


def first(text: str) -> str:
    """What stands before the first separator."""
    return text.split(SEPARATOR)[0]


def split(solution: str) -> tuple[str, ...]:
    """The steps of a whole solution; pieces without content belong to the step after them.

    `split(join(steps))` gives back steps that have content and hold no separator.
    """
    steps, pending = [], ""
    for piece in solution.split(SEPARATOR):
        if is_degenerate(piece):
            pending += piece + SEPARATOR
        else:
            steps.append(pending + piece)
            pending = ""
    return tuple(steps)


def is_degenerate(text: str) -> bool:
    """True for a step of only blanks, punctuation or Markdown rules: nothing was said yet."""
    return not _CONTENT.search(text.replace("_", " "))


def is_final(text: str) -> bool:
    """True for a step that gives the final answer; one that only mentions the box does not."""
    return is_boxed(text)
