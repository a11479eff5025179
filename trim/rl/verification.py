"""Verification as an action: writing and reading at each step, each at its price, on whole solution trees.

A situation is a decision point of a tree together with the number of steps that the strong model has read or written,
since it must read the rest, at a price, when it is called next. Before a draft the policy may let the strong model
write the step without one. A draft comes with evidence: the weak model's own mean log-probability (free), the reward
model's score, or both. It may then be accepted, verified (the strong model reads it and gives its mean log-probability
of the draft) or rewritten; after verification, accepted or rewritten. Or the weak model retries, once, and the better
of its two drafts by the evidence is judged like the first one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from trim.models.cost import ModelCost
from trim.rl.observations import NO_EVIDENCE, NO_RETRY, deciding, observe
from trim.rl.settings import Currency, Evidence
from trim.rl.tree import ACCEPT, FINISHED, REGENERATE, RETRY, UNKNOWN, Tree

KEEP, VERIFY, REWRITE, TRY_AGAIN = range(4)
_NEGLIGIBLE = 1e-6  # probability of a situation, over the share of random choices


class TokenPrices(NamedTuple):
    """Prices of a model's tokens: read, found in its cache, written."""

    read: float
    cached: float
    written: float


def token_prices(costs: Mapping[str, ModelCost], currency: Currency) -> dict[str, TokenPrices]:
    """Prices of each model's tokens, in a currency, by role."""
    if currency == "strong_tokens":
        return {role: TokenPrices(0, 0, float(role == "strong")) for role in costs}
    if currency == "flops":
        return {role: TokenPrices(cost.flops(1.0), 0, cost.flops(1.0)) for role, cost in costs.items()}
    return {
        role: TokenPrices(cost.money(1, 0, 0), cost.money(0, 1, 0), cost.money(0, 0, 1)) for role, cost in costs.items()
    }


class Choices(NamedTuple):
    """Choices in each of N situations; those in unreachable situations have no effect.

    On axes of drafts, the first entry is the first draft, the second the better of two drafts.

    Attributes:
        delegate: True if the strong model writes the step without a draft, shape (N,).
        action: `KEEP`, `VERIFY`, `REWRITE` or, once, `TRY_AGAIN`, for a draft, shape (T, N).
        rewrite: True if the draft is rewritten after verification, shape (T, N).
    """

    delegate: np.ndarray
    action: np.ndarray
    rewrite: np.ndarray

    @classmethod
    def none(cls, tries: int, situations: int) -> Choices:
        """Keep every draft unread."""
        shape = tries, situations
        return cls(np.zeros(situations, dtype=bool), np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool))


@dataclass(frozen=True)
class Worth:
    """Return of each choice in each of N situations.

    Attributes:
        draft, delegate: before there is a draft, shape (N,).
        keep, verify, rewrite: once there is one, and once there are two, shape (T, N).
        keep_verified, rewrite_verified: once it is verified, shape (T, N).
        retry: in place of the first, shape (N,); 0 where there are no second ones.
        value: of the choices that are made, shape (N,).
    """

    draft: np.ndarray
    delegate: np.ndarray
    keep: np.ndarray
    verify: np.ndarray
    rewrite: np.ndarray
    keep_verified: np.ndarray
    rewrite_verified: np.ndarray
    retry: np.ndarray
    value: np.ndarray


class Situations:
    """The situations of the trees of n problems.

    Attributes:
        point: decision point of each of N situations, shape (N,).
        known: number of steps that the strong model has read or written, 0 if it was never called, shape (N,).
        tries: T, the maximal number of drafts of a step, 1 or 2.
        kept, verified: the situation after the draft, or the better of two, is kept unread, and after verification, or
            `FINISHED`, shape (T, N).
        rewritten: the situation after the strong model has written, shape (N,).
        right: True if a solution that finishes with the draft, or the better of two, is right, shape (T, N).
        rewrite_right: True if one that finishes with the strong model's step is right, shape (N,).
        prices: prices of delegating, drafting, verifying, rewriting, rewriting after verification and drafting again;
            of the other models' reading of a delegated step (catch_up), or of one that replaces a draft, which it may
            repeat (catch_up_drafted); and, at a first step, of the question (begin). In units of always-strong's
            spending on a problem; shape (N,) each, `verify` and `catch_up_drafted` (T, N).
        before: the observation before a draft, shape (N, F); see `observe`.
        draft, opinion: the observation of a draft, and of a verified one, shape (T, N, F) each.
        may_retry: True if the weak model may retry, shape (N,).
        roots: the first situation of each problem, shape (n,).
        levels: the situations by the number of accepted steps.

    Args:
        tree: whole trees, with second drafts if `retries`.
        costs: prices of the models, by role.
        currency: unit of spending.
        evidence: observation of a draft before it is verified, k kinds; see `Evidence`.
        retries: True if the weak model may retry.
    """

    def __init__(
        self,
        tree: Tree,
        costs: Mapping[str, ModelCost],
        currency: Currency,
        evidence: Sequence[Evidence] = ("weak",),
        retries: bool = False,
    ) -> None:
        self.tree, self.tries, depth = tree, 1 + retries, tree.depth
        self._scored = "prm" in evidence
        start = np.concatenate([[0], np.cumsum(depth + 1)])
        self.point = np.repeat(np.arange(len(tree)), depth + 1)
        self.known = np.arange(start[-1]) - start[self.point]
        self.roots = start[tree.roots]
        self.levels = [np.flatnonzero(depth[self.point] == k) for k in range(int(depth.max()) + 1)]
        drafts = _Drafts.of(tree, evidence, retries)

        def after(child: np.ndarray, known: np.ndarray) -> np.ndarray:
            child = child[..., self.point]
            return np.where(child == FINISHED, FINISHED, start[child] + known)

        here = depth[self.point]
        self.kept, self.verified = after(drafts.child, self.known), after(drafts.child, here + 1)
        self.rewritten = after(tree.child[:, REGENERATE], here + 1)
        self.may_retry = (tree.child[:, RETRY] != UNKNOWN)[self.point]
        self.right, self.rewrite_right = drafts.correct[:, self.point], tree.correct[self.point, REGENERATE]
        standing, (unread, least) = self._standing()[self.point], self._unread(drafts)
        length = np.array([len(problem.question) for problem in tree.problems])[tree.problem[self.point]]
        self.before = observe(here, length, self.known, unread, least)
        self.draft = np.stack([np.column_stack([self.before, told[self.point]]) for told in drafts.told()])
        self.opinion = np.concatenate([self.draft, drafts.opinion[:, self.point, None]], axis=2)
        self.prices = self._priced(token_prices(costs, currency), standing, unread, drafts)

    def __len__(self) -> int:
        return len(self.point)

    def _standing(self) -> np.ndarray:
        """Tokens of the accepted steps before each decision point, shape (V,)."""
        tree = self.tree
        found = np.zeros(len(tree), dtype=np.int64)
        written = {RETRY: tree.retry_tokens, REGENERATE: tree.strong_tokens, ACCEPT: tree.tokens}
        for depth in range(int(tree.depth.max())):
            points = np.flatnonzero(tree.depth == depth)
            for action in list(written)[2 - self.tries :]:
                on = points[tree.child[points, action] >= 0]
                found[tree.child[on, action]] = found[on] + written[action][on]
        return found

    def _unread(self, drafts: _Drafts) -> tuple[np.ndarray, np.ndarray]:
        """Accepted tokens that the strong model has not read, and the least evidence of their drafts.

        Returns:
            Shapes (N,) and (N, k).
        """
        unread = np.zeros(len(self), dtype=np.int64)
        least = np.full((len(self), drafts.evidence.shape[2]), NO_EVIDENCE)
        for level in self.levels:
            for kept, tokens, evidence in zip(self.kept, drafts.tokens, drafts.evidence, strict=True):
                here = level[kept[level] != FINISHED]
                unread[kept[here]] = unread[here] + tokens[self.point[here]]
                least[kept[here]] = np.minimum(least[here], evidence[self.point[here]])
        return unread, least

    def _priced(
        self, prices: Mapping[str, TokenPrices], standing: np.ndarray, unread: np.ndarray, drafts: _Drafts
    ) -> dict[str, np.ndarray]:
        """See `prices`."""
        tree, problem = self.tree, self.tree.problem[self.point]
        prompt = {role: lengths[problem] for role, lengths in tree.prompt_tokens().items()}
        draft, rewrite = tree.tokens[self.point], tree.strong_tokens[self.point]
        again, differs = tree.retry_tokens[self.point], ~tree.repeats[self.point]
        weak, strong = prices["weak"], prices["strong"]
        whole = prompt["strong"] + standing
        fresh = unread + np.where(self.known == 0, prompt["strong"], 0)
        reading = strong.read * fresh + strong.cached * (whole - fresh)
        depth, scored = self.tree.depth[self.point], self._scored
        first = depth == 0
        # The strong model continues in one call if it knows the whole solution: nearly always after its own step.
        going_on = np.where(first | (self.known < depth), reading, 0)

        def known(role: str) -> np.ndarray:
            return prices[role].cached * (prompt[role] + standing)

        # A draft's price assumes that the whole solution is cached.
        new = {role: prices[role].read - prices[role].cached for role in ("weak", "prm")[: 1 + scored]}
        begin = np.where(first, sum(price * prompt[role] for role, price in new.items()), 0)
        found = {
            "delegate": going_on + strong.written * rewrite,
            "draft": begin
            + known("weak")
            + weak.written * draft
            + scored * (known("prm") + prices["prm"].read * draft),
            "verify": reading + strong.read * drafts.tokens[:, self.point] + strong.written,
            "rewrite": reading + strong.written * rewrite,
            "rewrite_verified": strong.cached * whole + strong.written * rewrite,
            "retry": known("weak")
            + weak.written * again
            + scored * differs * (known("prm") + prices["prm"].read * again),
            "catch_up": sum(new.values()) * rewrite,
            "catch_up_drafted": sum(new.values()) * rewrite * ~tree.unchanged()[: self.tries, self.point],
            "begin": begin,
        }
        unit = self._always_strong(strong, prompt["strong"])
        return {name: price / unit for name, price in found.items()}

    def _always_strong(self, strong: TokenPrices, prompt: np.ndarray) -> float:
        """Always-strong's mean spending on a problem: it reads the prompt once and writes the rest."""
        at, spent = self.roots, strong.read * prompt[self.roots].sum()
        while len(at):
            spent += strong.written * self.tree.strong_tokens[self.point[at]].sum()
            at = self.rewritten[at]
            at = at[at != FINISHED]
        return float(spent / len(self.roots))

    def worth(self, price: float, choices: Choices | None = None) -> Worth:
        """Return of every choice, by backward induction; a right solution is worth 1.

        Args:
            price: loss from spending as much as always-strong does on a problem.
            choices: the later choices; None for the best ones in hindsight (a clairvoyant router).
        """
        many, one = (self.tries, len(self)), (len(self),)
        found = Worth(*(np.zeros(shape) for shape in (one, one, many, many, many, many, many, one, one)))
        cost = {name: price * amount for name, amount in self.prices.items()}
        alone = np.full(len(self), -np.inf)  # return if the strong model writes all the rest, which no model reads
        for level in reversed(self.levels):

            def goes_on(after: np.ndarray, right: np.ndarray, level: np.ndarray = level) -> np.ndarray:
                on = after[..., level]
                return np.where(on == FINISHED, right[..., level], found.value[on])

            after = self.rewritten[level]
            ends = after == FINISHED
            last = np.where(ends, self.rewrite_right[level], alone[after])
            more = np.where(ends, -np.inf, found.value[after])
            unread = cost["catch_up"][level] + cost["begin"][level]
            rewritten = np.maximum(last, more - cost["catch_up_drafted"][:, level])
            found.keep[:, level] = goes_on(self.kept, self.right)
            found.delegate[level] = np.maximum(last, more - unread) - cost["delegate"][level]
            found.rewrite[:, level] = rewritten - cost["rewrite"][level]
            found.keep_verified[:, level] = goes_on(self.verified, self.right)
            found.rewrite_verified[:, level] = rewritten - cost["rewrite_verified"][level]
            both = found.keep_verified[:, level], found.rewrite_verified[:, level]
            opinion = np.maximum(*both) if choices is None else np.where(choices.rewrite[:, level], *both[::-1])
            found.verify[:, level] = opinion - cost["verify"][:, level]
            judged = np.zeros(len(level))
            for tried in reversed(range(self.tries)):
                ways = [found.keep[tried, level], found.verify[tried, level], found.rewrite[tried, level]]
                if tried + 1 < self.tries:
                    found.retry[level] = judged - cost["retry"][level]
                    ways.append(np.where(self.may_retry[level], found.retry[level], -np.inf))
                chosen = np.argmax(ways, axis=0) if choices is None else choices.action[tried, level]
                judged = np.take_along_axis(np.stack(ways), chosen[None], axis=0)[0]
            drafted, unseen = judged - cost["draft"][level], found.delegate[level]
            found.draft[level] = drafted
            delegated = unseen > drafted if choices is None else choices.delegate[level]
            found.value[level] = np.where(delegated, unseen, drafted)
            unaided = last if choices is None else np.where(delegated, last, -np.inf)
            alone[level] = unaided - cost["delegate"][level]
        return found

    def visits(self, choices: Choices, explored: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Probability of each situation, shape (N,), and of a draft and a verified draft in it, shape (T, N) each.

        Args:
            choices: the choices.
            explored: share of random choices.
        """
        reached = np.zeros(len(self))
        drafted, verified = np.zeros((2, self.tries, len(self)))
        reached[self.roots] = 1
        for level in self.levels:
            here = level[reached[level] > _NEGLIGIBLE * explored]
            drafted[:, here], verified[:, here] = self.go_on(here, choices, explored, reached)
        return reached, drafted, verified

    def go_on(
        self, here: np.ndarray, choices: Choices, explored: float, reached: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Add the contributions of n situations of one level to the probabilities of their successors.

        Args:
            here: the situations, shape (n,).
            choices: the choices there.
            explored: share of random choices.
            reached: probability of each situation, shape (N,); changed in place.

        Returns:
            Probability of a draft in these situations, and of a verified one, shape (T, n) each.
        """
        delegate, rewrite = (
            np.where(c, 1 - explored, explored) for c in (choices.delegate[here], choices.rewrite[:, here])
        )
        arriving, again = reached[here] * (1 - delegate), reached[here] * delegate
        drafted, verified = np.zeros((2, self.tries, len(here)))
        for tried in range(self.tries):
            may_retry = self.may_retry[here] & (tried + 1 < self.tries)
            share = _spread(choices.action[tried, here], may_retry, explored)
            drafted[tried] = arriving
            verified[tried] = read = arriving * share[:, VERIFY]
            again = again + arriving * share[:, REWRITE] + read * rewrite[tried]
            _arrive(reached, self.kept[tried, here], arriving * share[:, KEEP])
            _arrive(reached, self.verified[tried, here], read * (1 - rewrite[tried]))
            arriving = arriving * share[:, TRY_AGAIN]
        _arrive(reached, self.rewritten[here], again)
        return drafted, verified

    def after(self, here: np.ndarray) -> np.ndarray:
        """The direct successors of situations."""
        found = np.concatenate([*self.kept[:, here], *self.verified[:, here], self.rewritten[here]])
        return found[found != FINISHED]


def _arrive(reached: np.ndarray, after: np.ndarray, share: np.ndarray) -> None:
    on = after != FINISHED
    np.add.at(reached, after[on], share[on])


@dataclass(frozen=True)
class _Drafts:
    """The draft at each of V points, and the better of it and a second one, which is the first where they are alike.

    Attributes:
        child, correct: see `Tree`, shape (T, V).
        tokens: length, shape (T, V).
        evidence: of k kinds, shape (T, V, k).
        advance: by how much the better one's evidence is above the other's, `NO_RETRY` where there is one, (T, V, k).
        opinion: the strong model's log-probability, shape (T, V).
    """

    child: np.ndarray
    correct: np.ndarray
    tokens: np.ndarray
    evidence: np.ndarray
    advance: np.ndarray
    opinion: np.ndarray

    @staticmethod
    def of(tree: Tree, evidence: Sequence[Evidence], retries: bool) -> _Drafts:
        """The drafts of whole trees."""
        told = np.stack([tree.score if kind == "prm" else tree.weak_logprobs for kind in evidence], axis=-1)
        first = _Drafts(
            tree.child[:, ACCEPT], tree.correct[:, ACCEPT], tree.tokens, told, np.zeros((len(tree), 0)),
            tree.logprobs("strong"),
        )  # fmt: skip
        if not retries:
            return _Drafts(*(value[None] for value in vars(first).values()))
        tried = np.flatnonzero(tree.child[:, RETRY] != UNKNOWN)

        def retried(role: Literal["weak", "strong"], once: np.ndarray) -> np.ndarray:
            found = once.copy()
            found[tried] = tree.logprobs(role, tried, retried=True)
            return found

        again = np.stack(
            [tree.retry_score if kind == "prm" else retried("weak", tree.weak_logprobs) for kind in evidence], axis=-1
        )
        second = _Drafts(
            tree.child[:, RETRY], tree.correct[:, RETRY], tree.retry_tokens, again, first.advance,
            retried("strong", first.opinion),
        )  # fmt: skip
        key, better = deciding(evidence), np.zeros(len(tree), dtype=bool)
        better[tried] = again[tried, key] > told[tried, key]
        best = {name: _where(better, getattr(second, name), value) for name, value in vars(first).items()}
        advance = np.stack([np.full_like(told, NO_RETRY), _where(better, again - told, told - again)])
        both = {name: np.stack([value, best[name]]) for name, value in vars(first).items()}
        return _Drafts(**both | {"advance": advance})

    def told(self) -> np.ndarray:
        """A policy's observations of drafts, beyond those before them, shape (T, V, F)."""
        return np.concatenate([self.advance, self.evidence, self.tokens[..., None]], axis=2)


def _where(better: np.ndarray, second: np.ndarray, first: np.ndarray) -> np.ndarray:
    return np.where(better.reshape(-1, *[1] * (first.ndim - 1)), second, first)


def _spread(chosen: np.ndarray, may_retry: np.ndarray, explored: float) -> np.ndarray:
    """Probability of each action where a share of the choices is made at random, shape (N, 4)."""
    found = np.repeat((explored / (2 + may_retry))[:, None], 4, axis=1)
    found[~may_retry, TRY_AGAIN] = 0
    np.put_along_axis(found, chosen[:, None], 1 - explored, axis=1)
    return found
