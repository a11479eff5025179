"""The text that each model of an episode knows: the only place that tells fresh tokens from cached ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from trim.ledger.calls import Call, Kind, Role
from trim.models.base import Usage


class Caches:
    """The text of an episode that each model has read or written; it makes the entries of the ledger.

    Two models share no cache. A model reads each token of an episode at most once, and none that it wrote itself: a
    rewrite in the words of a draft is known to the weak model, which wrote that, and to the reward model, if it read
    it. Consecutive steps of one model, with no call between them that could end its turn, are one call.

    Args:
        question: tokens of each model's prompt before the first step.
    """

    __slots__ = ("_accepted", "_called", "_last", "_new", "_question", "_read", "_repeated", "_scored", "_scored_draft")

    def __init__(self, question: Mapping[Role, float]) -> None:
        self._question, self._called = question, set[Role]()
        self.restart()

    def restart(self) -> None:
        """Begin another solution: of the earlier one only the question stays known."""
        self._accepted = 0.0  # tokens of the accepted steps, counted by their writers
        self._new: dict[Role, float] = {"weak": 0, "strong": 0}  # tokens of them that the model does not know
        self._scored = self._repeated = (
            0.0  # of the reward model's tokens: accepted, and those that it will not read again
        )
        self._last: Role | None = None  # the model that can go on without another call
        self._scored_draft, self._read = 0.0, False  # raters of the draft under judgement

    def draft(self, tokens: float, usage: Usage | None = None, judged: bool = True) -> Call:
        """The weak model writes a draft; it goes on from its last one if drafts are not `judged`."""
        goes_on = self._last == "weak"
        self._last = None if judged else "weak"
        return self._write("weak", "draft", tokens, usage, goes_on)

    def glimpse(self, usage: Usage | None = None) -> Call:
        """The weak model writes the first token of a draft that is then not written."""
        self._last = None
        return self._write("weak", "glimpse", 1, usage, False)

    def rewrite(self, tokens: float, usage: Usage | None = None, drafted: bool = True) -> Call:
        """The strong model writes a step; it goes on from its last one if there is no draft of this one."""
        goes_on = self._last == "strong" and not drafted
        self._last = "strong"
        return self._write("strong", "rewrite", tokens, usage, goes_on)

    def read(self, draft: float, written: float, usage: Usage | None = None) -> Call:
        """The strong model reads the draft, and all that is new to it before."""
        call = self._write("strong", "read", written, usage, False)
        self._read, self._last = True, None
        return call._replace(prompt=call.prompt + draft, fresh=call.fresh + draft)

    def score(self, draft: float, earlier: float, usage: Usage | None = None) -> Call:
        """The reward model reads the draft, and the `earlier` accepted steps that it has not scored, in its tokens."""
        fresh = draft + earlier - self._repeated + self._first("prm")
        prompt = self._question.get("prm", 0) + self._scored + earlier + draft
        self._scored, self._repeated, self._scored_draft, self._last = self._scored + earlier, 0, draft, None
        return Call("prm", "score", 1, prompt, fresh, 0, usage)

    def verdict(self, role: Role, asked: float, written: float, calls: int = 1, usage: Usage | None = None) -> Call:
        """A language model answers a question about the text, of `asked` tokens, several times."""
        self._last = None
        return Call(role, "verdict", calls, calls * asked, asked, written, usage)

    def accept(self, writer: Role, tokens: float, repeats: bool) -> None:
        """A step is accepted; `repeats`: it is a rewrite in the words of the draft."""
        self._accepted += tokens
        if writer == "weak":
            self._scored += self._scored_draft
            self._new["strong"] += 0 if self._read else tokens
        elif repeats:
            self._repeated += self._scored_draft
        else:
            self._new["weak"] += tokens
        self._scored_draft, self._read = 0.0, False

    def _write(
        self, role: Literal["weak", "strong"], kind: Kind, tokens: float, usage: Usage | None, goes_on: bool
    ) -> Call:
        if goes_on:
            return Call(role, kind, 0, 0, 0, tokens, usage)
        fresh, self._new[role] = self._new[role] + self._first(role), 0
        return Call(role, kind, 1, self._question.get(role, 0) + self._accepted, fresh, tokens, usage)

    def _first(self, role: Role) -> float:
        """Tokens of the question if the model has not read it yet."""
        if role in self._called:
            return 0
        self._called.add(role)
        return self._question.get(role, 0)
