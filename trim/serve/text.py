"""The text of an answer, as it grows by steps and is cut where the client asked for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Finish = Literal["stop", "length"]


class Text:
    """An answer while it is made.

    Args:
        separator: what stands between two steps.
        stops: texts that the answer ends before.
        most_tokens: the answer ends before the step that passes it, None for no limit.

    Attributes:
        sent: the text that was given out.
        tokens: tokens of the steps in it.
        finish: why the answer ended, None as long as it goes on.
    """

    def __init__(self, separator: str, stops: Sequence[str] = (), most_tokens: int | None = None) -> None:
        self._separator, self._stops, self._most = separator, tuple(stops), most_tokens
        self._whole, self._begun, self.sent, self.tokens = "", False, "", 0
        self.finish: Finish | None = None

    def add(self, step: str, tokens: int) -> str:
        """One more step; returns what of the text can be given out now."""
        if self._most is not None and self.tokens + tokens > self._most:
            self.finish = "length"
            return self._give(len(self._whole))
        self.tokens += tokens
        self._whole += self._separator + step if self._begun else step
        self._begun = True
        cuts = [at for at in map(self._whole.find, self._stops) if at >= 0]
        if cuts:
            self.finish = "stop"
            return self._give(min(cuts))
        return self._give(len(self._whole) - self._held())

    def end(self, finish: Finish) -> str:
        """The answer is finished; returns what was held back of it."""
        self.finish = finish
        return self._give(len(self._whole))

    def _give(self, until: int) -> str:
        given, self.sent = self._whole[len(self.sent) : until], self._whole[: max(until, len(self.sent))]
        return given

    def _held(self) -> int:
        """Characters at the end that may be the beginning of a stop."""
        lengths = (n for stop in self._stops for n in range(len(stop) - 1, 0, -1) if self._whole.endswith(stop[:n]))
        return max(lengths, default=0)
