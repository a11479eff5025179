"""The text of an answer, as it grows by steps and is cut where the client asked for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Finish = Literal["stop", "length", "content_filter"]


class Text:
    """An answer while it is made.

    Args:
        separator: what stands between two steps.
        stops: texts that the answer ends before.
        most_tokens: the answer ends before the step that passes it, None for no limit.

    Attributes:
        tokens: tokens of the steps in it.
        finish: why the answer ended, None as long as it goes on.
    """

    def __init__(self, separator: str, stops: Sequence[str] = (), most_tokens: int | None = None) -> None:
        self._separator, self._stops, self._most = separator, [_Stop(stop) for stop in stops], most_tokens
        self._whole, self._begun, self._given, self.tokens = "", False, 0, 0
        self.finish: Finish | None = None

    @property
    def sent(self) -> str:
        """The text that was given out."""
        return self._whole[: self._given]

    def add(self, step: str, tokens: int) -> str:
        """One more step; returns what of the text can be given out now."""
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
        """The answer is finished; returns what was held back of it."""
        self.finish = finish
        return self._give(len(self._whole))

    def _give(self, until: int) -> str:
        given = self._whole[self._given : until]
        self._given = max(until, self._given)
        return given


class _Stop:
    """A text that is looked for in another one that grows, in linear time (Knuth, Morris and Pratt, 1977).

    Attributes:
        begun: characters at the end of the other text that may be its beginning.
    """

    def __init__(self, text: str) -> None:
        self._text, self.begun = text, 0
        self._shorter = [0]  # after so many of its characters: how many of the last ones are its beginning too
        for character in text[1:]:
            self._shorter.append(self._next(self._shorter[-1], character))

    def find(self, more: str) -> int | None:
        """Where it begins, counted from the beginning of the added text, once it is complete; else None."""
        for place, character in enumerate(more, start=1):
            self.begun = self._next(self.begun, character)
            if self.begun == len(self._text):
                return place - self.begun
        return None

    def _next(self, begun: int, character: str) -> int:
        while begun and self._text[begun] != character:
            begun = self._shorter[begun - 1]
        return begun + (self._text[begun] == character)
