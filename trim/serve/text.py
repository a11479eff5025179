"""The text of an answer: it grows by steps, and is cut at the client's limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Finish = Literal["stop", "length", "content_filter"]


class Text:
    """An answer in progress.

    Args:
        separator: the text between two steps.
        stops: the answer ends before any of these texts.
        most_tokens: the answer ends before the step that exceeds it, None for no limit.

    Attributes:
        tokens: tokens of the steps in it.
        finish: the answer's finish reason, None while it goes on.
    """

    def __init__(self, separator: str, stops: Sequence[str] = (), most_tokens: int | None = None) -> None:
        self._separator, self._stops, self._most = separator, [_Stop(stop) for stop in stops], most_tokens
        self._whole, self._begun, self._given, self.tokens = "", False, 0, 0
        self.finish: Finish | None = None

    @property
    def sent(self) -> str:
        """The text that was sent."""
        return self._whole[: self._given]

    def add(self, step: str, tokens: int) -> str:
        """Add a step; returns the text that can be sent now."""
        if self._most is not None and self.tokens + tokens > self._most:
            self.finish = "length"
            return self._give(len(self._whole))
        self.tokens += tokens
        before, more = len(self._whole), self._separator + step if self._begun else step
        self._whole += more
        self._begun = True
        cuts = [before + at for at in (stop.find(more) for stop in self._stops) if at is not None]
        if cuts:
            self.finish = "stop"
            return self._give(min(cuts))
        return self._give(len(self._whole) - max((stop.begun for stop in self._stops), default=0))

    def end(self, finish: Finish) -> str:
        """Finish the answer; returns the text that was held back."""
        self.finish = finish
        return self._give(len(self._whole))

    def _give(self, until: int) -> str:
        given = self._whole[self._given : until]
        self._given = max(until, self._given)
        return given


class _Stop:
    """A search for a text in a growing one, in linear time (Knuth, Morris and Pratt, 1977).

    Attributes:
        begun: characters at the end of the other text that may be its beginning.
    """

    def __init__(self, text: str) -> None:
        self._text, self.begun = text, 0
        self._shorter = [0]  # for each prefix, the length of its longest proper suffix that is a prefix too
        for character in text[1:]:
            self._shorter.append(self._next(self._shorter[-1], character))

    def find(self, more: str) -> int | None:
        """Its beginning, counted from the start of the added text, once it is complete; else None."""
        for place, character in enumerate(more, start=1):
            self.begun = self._next(self.begun, character)
            if self.begun == len(self._text):
                return place - self.begun
        return None

    def _next(self, begun: int, character: str) -> int:
        while begun and self._text[begun] != character:
            begun = self._shorter[begun - 1]
        return begun + (self._text[begun] == character)
