"""The text format of step-by-step solutions: prompts, separator, end of a solution."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from trim.answers import is_boxed

SEPARATOR = "\n\n"
BOX = "boxed{"
PRM_TAG = "<extra_0>"
INSTRUCTION = "Solve the problem step by step and put the final answer in \\boxed{}."

_PLACE = re.compile(r"\{question\}|\{instruction\}")
_CONTENT = re.compile(r"\w")
_SENTENCE = re.compile(r"[.!?]\s|\n\n")
_BLANK_LINE = re.compile(r"\n[^\S\n]+(?=\n)")


Ends = Literal["stop", "box"]  # of solutions; see `trim.engine.rounds.goes_on`


class ChatFormat(NamedTuple):
    """The prompt format of a solution (design, section 1).

    Attributes:
        instruction: the instruction in the user turn.
        template: the user turn, with {question} and {instruction} in it; the question alone without an instruction.
        opening: beginning of the assistant's turn before the first step.
        reopening: beginning of the assistant's turn before later steps.
        system: the system turn, if any.
    """

    instruction: str = INSTRUCTION
    template: str = "{question}\n{instruction}"
    opening: str = ""
    reopening: str = ""
    system: str = ""

    def messages(
        self, question: str, instruction: str | None = None, before: Sequence[tuple[str, str]] = ()
    ) -> list[dict[str, str]]:
        """The turns before the assistant's.

        Args:
            question: the question of the last turn.
            instruction: replaces the format's own.
            before: role and content of each earlier turn; the format's own system turn replaces theirs.
        """
        parts = {"{question}": question, "{instruction}": self.instruction if instruction is None else instruction}
        template = self.template if parts["{instruction}"] else "{question}"
        content = _PLACE.sub(lambda place: parts[place[0]], template)
        system = [("system", self.system)] if self.system and instruction is None else []
        earlier = [turn for turn in before if not (system and turn[0] == "system")]
        return [{"role": role, "content": text} for role, text in (*system, *earlier, ("user", content))]

    def turn(self, steps: bool, instruction: str | None = None) -> str:
        """Beginning of the assistant's turn, with or without earlier steps; empty under another instruction."""
        if instruction is not None:
            return ""
        return self.reopening if steps else self.opening


PLAIN = ChatFormat()


def join(steps: Sequence[str], separator: str = SEPARATOR) -> str:
    """An open assistant turn of `steps`, each ended by `separator`."""
    return "".join(step + separator for step in steps)


def tagged(steps: Sequence[str], separator: str = SEPARATOR) -> str:
    """The assistant turn for a reward model: a tag after every step, and no others.

    Steps with their own ending lose the blanks around them, as paragraphs have none.
    """
    texts = (step.replace(PRM_TAG, "") for step in steps)
    return "".join((text if separator else text.strip()) + PRM_TAG for text in texts)


def approximate_tokens(text: str) -> int:
    """Estimated number of tokens of a text, by its characters."""
    return -(-len(text) // 4)


def ends_sentence(text: str) -> bool:
    """True if a sentence ends in a text: by its mark and a blank, or by a blank line."""
    return bool(_SENTENCE.search(text))


def first(text: str) -> str:
    """The text before the first separator."""
    return text.split(SEPARATOR)[0]


def separated(text: str) -> str:
    """The text with every blank line as a separator, whatever its blanks and line ends."""
    return _BLANK_LINE.sub("\n", text.replace("\r\n", "\n"))


def split(solution: str) -> tuple[str, ...]:
    """The steps of a whole solution; pieces without content belong to the step after them.

    `split(join(steps))` returns steps that have content and contain no separator.
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
    """True for a step of only blanks, punctuation or Markdown rules, which has no content."""
    return not _CONTENT.search(text.replace("_", " "))


def is_final(text: str) -> bool:
    """True for a step that gives the final answer; one that only mentions the box does not."""
    return is_boxed(text)
