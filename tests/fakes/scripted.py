"""Models whose steps and scores follow from hashes, or from one rule that routers can learn."""

from __future__ import annotations

import hashlib

from trim.engine.cached import CachedLM, CachedPRM
from trim.engine.store import Draws
from trim.models.base import Draft, StepScore
from trim.problems import Problem
from trim.rl.tree import Tree

# What the use of a model costs in a test that does not ask.
FREE = dict.fromkeys(("price_in", "price_out", "latency_per_call", "latency_per_token", "latency_per_read"), 0.0)


class Scripted:
    """Both protocols, for tests of the engine: a step is a hash of its key, a score of its text."""

    id = "scripted"
    parameters = 1

    def __init__(self, name: str = "a", length: int = 4) -> None:
        self.name, self.length = name, length
        self.requests: list = []

    def next_steps(self, prefixes, keys, keep=None):
        self.requests += zip(prefixes, keys, strict=True)
        drafts = []
        for prefix, key in zip(prefixes, keys, strict=True):
            word = hashlib.sha256(self.name.encode() + key).hexdigest()[:4]
            last = len(prefix.steps) + 1 >= self.length
            text = f"{word} \\boxed{{{int(word, 16) % 3}}}" if last else word
            drafts.append(Draft(text, 3 + int(word, 16) % 5, "end" if last else "separator"))
        return drafts

    def score(self, solutions, last, keep=None):
        self.requests += solutions
        return [
            [StepScore(self.value(step), len(step) + 1) for step in s.steps[-n:]]
            for s, n in zip(solutions, last, strict=True)
        ]

    def mean_logprobs(self, solutions, keep=None):
        return [StepScore(-self.value("p" + s.steps[-1]), 5) for s in solutions]

    @staticmethod
    def value(step: str) -> float:
        return int(hashlib.sha256(step.encode()).hexdigest()[:8], 16) / 16**8


class Repeating(Scripted):
    """A step is one of three, so that a model that tries again often writes the same; no two models share one.

    Attributes:
        words: what steps begin with; None for the model's name.
    """

    words: str | None = None

    def next_steps(self, prefixes, keys, keep=None):
        drafts = []
        for prefix, draft in zip(prefixes, super().next_steps(prefixes, keys, keep), strict=True):
            word = int(draft.text[:4], 16)
            last = draft.stop == "end"
            box = f" \\boxed{{{word % 3}}}" if last else ""
            drafts.append(
                Draft(
                    f"{self.name if self.words is None else self.words}{len(prefix.steps)}{word % 3}{box}",
                    3 + word % 3,
                    draft.stop,
                )
            )
        return drafts


class Telling(Scripted):
    """Two steps; the weak model is right half the time, the strong one always, and scores tell."""

    def next_steps(self, prefixes, keys, keep=None):
        drafts = []
        for prefix, key in zip(prefixes, keys, strict=True):
            right = self.name == "strong" or key[0] % 2
            wrong = not right or any("wrong" in step for step in prefix.steps)
            text = "wrong" if not right else "right"
            if len(prefix.steps) == 1:
                text += f" \\boxed{{{0 if wrong else 1}}}"
            drafts.append(Draft(text, 10, "end" if len(prefix.steps) == 1 else "separator"))
        return drafts

    @staticmethod
    def value(step):
        return 0.1 if "wrong" in step else 0.9


def telling_parts(n, name):
    """Problems, writers and scorer."""
    problems = [Problem(f"{name}{i}", f"{name} {i}", "1", "train") for i in range(n)]
    draws, models = Draws(), {role: Telling(role) for role in ("weak", "strong", "prm")}
    return (
        problems,
        CachedLM("weak", lambda: models["weak"], draws, 64),
        CachedLM("strong", lambda: models["strong"], draws, 64),
        CachedPRM("prm", lambda: models["prm"], draws, 64),
    )


def telling(n, name):
    return Tree(*telling_parts(n, name))
