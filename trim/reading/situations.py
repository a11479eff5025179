"""Verification as an action: writing and reading at each step, each at its price, on whole solution trees.

A situation is a decision point of a tree together with the number of steps that the strong model has read or written,
since it must read the rest, at a price, when it is called next. Before a draft the policy may let the strong model
write the step without one. A draft comes with evidence: the weak model's own mean log-probability (free), the reward
model's score, or both. It may then be accepted, verified (the strong model reads it and gives its mean log-probability
of the draft) or rewritten; after verification, accepted or rewritten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from trim.engine.actions import Action
from trim.ledger.units import TokenPrices, token_prices
from trim.models.cost import ModelCost
from trim.reading import Currency, Evidence
from trim.reading.observations import NO_EVIDENCE, observe
from trim.rl.tree import ACCEPT, FINISHED, REWRITE, Tree

_NEGLIGIBLE = 1e-6  # probability of a situation, over the share of random choices


class Choices(NamedTuple):
    """Choices in each of N situations; those in unreachable situations have no effect.

    Attributes:
        delegate: True if the strong model writes the step without a draft, shape (N,).
        action: `Action.ACCEPT`, `READ` or `REWRITE` of a draft, shape (N,).
        rewrite: True if the draft is rewritten after verification, shape (N,).
    """

    delegate: np.ndarray
    action: np.ndarray
    rewrite: np.ndarray

    @classmethod
    def none(cls, situations: int) -> Choices:
        """Keep every draft unread."""
        never = np.zeros(situations, dtype=bool)
        return cls(never, np.full(situations, Action.ACCEPT), never.copy())


@dataclass(frozen=True)
class Worth:
    """Return of each choice in each of N situations, shape (N,) each.

    Attributes:
        draft, delegate: before there is a draft.
        keep, verify, rewrite: once there is one.
        keep_verified, rewrite_verified: once it is verified.
        value: of the choices that are made.
    """

    draft: np.ndarray
    delegate: np.ndarray
    keep: np.ndarray
    verify: np.ndarray
    rewrite: np.ndarray
    keep_verified: np.ndarray
    rewrite_verified: np.ndarray
    value: np.ndarray


class Situations:
    """The situations of the trees of n problems.

    Attributes:
        point: decision point of each of N situations, shape (N,).
        known: number of steps that the strong model has read or written, 0 if it was never called, shape (N,).
        kept, verified: the situation after the draft is kept unread, and after verification, or `FINISHED`, shape
            (N,).
        rewritten: the situation after the strong model has written, shape (N,).
        right: True if a solution that finishes with the draft is right, shape (N,).
        rewrite_right: True if one that finishes with the strong model's step is right, shape (N,).
        prices: prices of delegating, drafting, verifying, rewriting and rewriting after verification; of the other
            models' reading of a delegated step (catch_up), or of one that replaces a draft, which it may repeat
            (catch_up_drafted); and, at a first step, of the question (begin). In units of always-strong's spending on
            a problem; shape (N,) each.
        before: the observation before a draft, shape (N, F); see `observe`.
        draft, opinion: the observation of a draft, and of a verified one, shape (N, F) each.
        roots: the first situation of each problem, shape (n,).
        levels: the situations by the number of accepted steps.

    Args:
        tree: whole trees.
        costs: prices of the models, by role.
        currency: unit of spending.
        evidence: observation of a draft before it is verified, k kinds; see `Evidence`.
    """

    def __init__(
        self,
        tree: Tree,
        costs: Mapping[str, ModelCost],
        currency: Currency,
        evidence: Sequence[Evidence] = ("weak",),
    ) -> None:
        self.tree, depth = tree, tree.depth
        self._scored = "prm" in evidence
        # A point after d steps has d + 1 situations in a row, with 0 to d known steps: number start[point] + known.
        start = np.concatenate([[0], np.cumsum(depth + 1)])
        self.point = np.repeat(np.arange(len(tree)), depth + 1)
        self.known = np.arange(start[-1]) - start[self.point]
        self.roots = start[tree.roots]
        self.levels = [np.flatnonzero(depth[self.point] == k) for k in range(int(depth.max()) + 1)]

        def after(action: int, known: np.ndarray) -> np.ndarray:
            child = tree.child[self.point, action]
            return np.where(child == FINISHED, FINISHED, start[child] + known)

        here = depth[self.point]
        self.kept, self.verified = after(ACCEPT, self.known), after(ACCEPT, here + 1)
        self.rewritten = after(REWRITE, here + 1)
        self.right, self.rewrite_right = tree.correct[self.point, ACCEPT], tree.correct[self.point, REWRITE]
        drafted = np.column_stack([tree.score if kind == "prm" else tree.weak_logprobs for kind in evidence])
        unread, least = self._unread(drafted)
        length = np.array([len(problem.question) for problem in tree.problems])[tree.problem[self.point]]
        self.before = observe(here, length, self.known, unread, least)
        self.draft = np.column_stack([self.before, drafted[self.point], tree.tokens[self.point]])
        self.opinion = np.column_stack([self.draft, tree.logprobs("strong")[self.point]])
        self.prices = self._priced(token_prices(costs, currency), self._accepted_tokens()[self.point], unread)

    def __len__(self) -> int:
        return len(self.point)

    def _accepted_tokens(self) -> np.ndarray:
        """Tokens of the accepted steps before each decision point, shape (V,)."""
        tree = self.tree
        total = np.zeros(len(tree), dtype=np.int64)
        for depth in range(int(tree.depth.max())):
            points = np.flatnonzero(tree.depth == depth)
            for action, written in ((REWRITE, tree.strong_tokens), (ACCEPT, tree.tokens)):
                goes_on = points[tree.child[points, action] >= 0]
                total[tree.child[goes_on, action]] = total[goes_on] + written[goes_on]
        return total

    def _unread(self, evidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Accepted tokens that the strong model has not read, and the least evidence of their drafts.

        Args:
            evidence: of each decision point's draft, shape (V, k).

        Returns:
            Shapes (N,) and (N, k).
        """
        unread, least = np.zeros(len(self), dtype=np.int64), np.full((len(self), evidence.shape[1]), NO_EVIDENCE)
        for level in self.levels:
            here = level[self.kept[level] != FINISHED]
            unread[self.kept[here]] = unread[here] + self.tree.tokens[self.point[here]]
            least[self.kept[here]] = np.minimum(least[here], evidence[self.point[here]])
        return unread, least

    def _priced(
        self, prices: Mapping[str, TokenPrices], accepted: np.ndarray, unread: np.ndarray
    ) -> dict[str, np.ndarray]:
        """See `prices`; `accepted`: tokens of the accepted steps; `unread`: those that are new to the strong model."""
        tree, problem = self.tree, self.tree.problem[self.point]
        prompt = {role: lengths[problem] for role, lengths in tree.prompt_tokens().items()}
        draft, rewrite = tree.tokens[self.point], tree.strong_tokens[self.point]
        weak, strong = prices["weak"], prices["strong"]
        whole = prompt["strong"] + accepted
        fresh = unread + np.where(self.known == 0, prompt["strong"], 0)
        reading = strong.read * fresh + strong.cached * (whole - fresh)
        depth, scored = self.tree.depth[self.point], self._scored
        first = depth == 0
        # The strong model continues in one call if it knows the whole solution: nearly always after its own step.
        going_on = np.where(first | (self.known < depth), reading, 0)

        def prefix(role: str) -> np.ndarray:
            return prices[role].cached * (prompt[role] + accepted)

        # A draft's price assumes that the whole solution is cached.
        new = {role: prices[role].read - prices[role].cached for role in ("weak", "prm")[: 1 + scored]}
        begin = np.where(first, sum(price * prompt[role] for role, price in new.items()), 0)
        amounts = {
            "delegate": going_on + strong.written * rewrite,
            "draft": begin
            + prefix("weak")
            + weak.written * draft
            + scored * (prefix("prm") + prices["prm"].read * draft),
            "verify": reading + strong.read * draft + strong.written,
            "rewrite": reading + strong.written * rewrite,
            "rewrite_verified": strong.cached * whole + strong.written * rewrite,
            "catch_up": sum(new.values()) * rewrite,
            "catch_up_drafted": sum(new.values()) * rewrite * ~tree.unchanged()[self.point],
            "begin": begin,
        }
        unit = self._always_strong(strong, prompt["strong"])
        return {name: price / unit for name, price in amounts.items()}

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
        returns = Worth(*np.zeros((8, len(self))))
        cost = {name: price * amount for name, amount in self.prices.items()}
        alone = np.full(len(self), -np.inf)  # return if the strong model writes all the rest, which no model reads
        for level in reversed(self.levels):

            def goes_on(after: np.ndarray, right: np.ndarray, level: np.ndarray = level) -> np.ndarray:
                on = after[level]
                return np.where(on == FINISHED, right[level], returns.value[on])

            after = self.rewritten[level]
            ends = after == FINISHED
            last = np.where(ends, self.rewrite_right[level], alone[after])
            more = np.where(ends, -np.inf, returns.value[after])
            unread = cost["catch_up"][level] + cost["begin"][level]
            rewritten = np.maximum(last, more - cost["catch_up_drafted"][level])
            returns.keep[level] = goes_on(self.kept, self.right)
            returns.delegate[level] = np.maximum(last, more - unread) - cost["delegate"][level]
            returns.rewrite[level] = rewritten - cost["rewrite"][level]
            returns.keep_verified[level] = goes_on(self.verified, self.right)
            returns.rewrite_verified[level] = rewritten - cost["rewrite_verified"][level]
            both = returns.keep_verified[level], returns.rewrite_verified[level]
            opinion = np.maximum(*both) if choices is None else np.where(choices.rewrite[level], *both[::-1])
            returns.verify[level] = opinion - cost["verify"][level]
            ways = np.stack([returns.keep[level], returns.verify[level], returns.rewrite[level]])
            chosen = np.argmax(ways, axis=0) if choices is None else choices.action[level] - Action.ACCEPT
            judged = np.take_along_axis(ways, chosen[None], axis=0)[0]
            drafted, unseen = judged - cost["draft"][level], returns.delegate[level]
            returns.draft[level] = drafted
            delegated = unseen > drafted if choices is None else choices.delegate[level]
            returns.value[level] = np.where(delegated, unseen, drafted)
            unaided = last if choices is None else np.where(delegated, last, -np.inf)
            alone[level] = unaided - cost["delegate"][level]
        return returns

    def visits(self, choices: Choices, explored: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Probability of each situation, of a draft in it, and of a verified one, shape (N,) each.

        Args:
            choices: the choices.
            explored: share of random choices.
        """
        reached = np.zeros(len(self))
        drafted, verified = np.zeros((2, len(self)))
        reached[self.roots] = 1
        for level in self.levels:
            here = level[reached[level] > _NEGLIGIBLE * explored]
            drafted[here], verified[here] = self.go_on(here, choices, explored, reached)
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
            Probability of a draft in these situations, and of a verified one, shape (n,) each.
        """
        delegate, rewrite = (
            np.where(c, 1 - explored, explored) for c in (choices.delegate[here], choices.rewrite[here])
        )
        drafted = reached[here] * (1 - delegate)
        share = np.full((len(here), 3), explored / 2)  # of each action on a draft, where some choices are random
        np.put_along_axis(share, choices.action[here, None] - Action.ACCEPT, 1 - explored, axis=1)
        accepted, read, unread_rewrite = share.T * drafted
        _arrive(reached, self.kept[here], accepted)
        _arrive(reached, self.verified[here], read * (1 - rewrite))
        _arrive(reached, self.rewritten[here], reached[here] * delegate + unread_rewrite + read * rewrite)
        return drafted, read

    def after(self, here: np.ndarray) -> np.ndarray:
        """The direct successors of situations."""
        successors = np.concatenate([self.kept[here], self.verified[here], self.rewritten[here]])
        return successors[successors != FINISHED]


def _arrive(reached: np.ndarray, after: np.ndarray, share: np.ndarray) -> None:
    on = after != FINISHED
    np.add.at(reached, after[on], share[on])
