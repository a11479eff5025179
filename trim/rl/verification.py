"""Verification as an action: at each step, what to write and what to read, each at its price, on whole solution trees.

A situation is a decision point of a tree and how far the strong model has read or written the solution, since what
it has not read yet must be read, and paid for, when it is asked next. Before a draft the policy may have the strong
model write the step unseen. A draft comes with evidence: the weak model's own mean log-probability, which costs
nothing, the reward model's score, or both. It may then be accepted, verified (the strong model reads it, and its mean
log-probability of the draft is seen) or rewritten; after verification, accepted or rewritten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trim.models.cost import ModelCost
from trim.rl.settings import Currency, Evidence
from trim.rl.tree import ACCEPT, FINISHED, REGENERATE, Tree

if TYPE_CHECKING:
    from trim.engine.policy import Decisions

KEEP, VERIFY, REWRITE = range(3)
ASKED = 2  # the column of `observe` that says whether the strong model was asked before
NO_EVIDENCE = 1.0  # above any log-probability, and as good as any score


class TokenPrices(NamedTuple):
    """What a model's tokens cost: read, found in its cache, written."""

    read: float
    cached: float
    written: float


def token_prices(costs: Mapping[str, ModelCost], currency: Currency) -> dict[str, TokenPrices]:
    """What the tokens of each model cost, in a currency, by role."""
    if currency == "strong_tokens":
        return {role: TokenPrices(0, 0, float(role == "strong")) for role in costs}
    if currency == "flops":
        return {role: TokenPrices(cost.flops(1.0), 0, cost.flops(1.0)) for role, cost in costs.items()}
    return {
        role: TokenPrices(cost.money(1, 0, 0), cost.money(0, 1, 0), cost.money(0, 0, 1)) for role, cost in costs.items()
    }


class Choices(NamedTuple):
    """What is chosen in each of N situations; what is chosen in those that cannot be reached counts for nothing.

    Attributes:
        delegate: whether the strong model writes the step unseen, shape (N,).
        action: `KEEP`, `VERIFY` or `REWRITE` once there is a draft, shape (N,).
        rewrite: whether the draft is rewritten once it is verified, shape (N,).
    """

    delegate: np.ndarray
    action: np.ndarray
    rewrite: np.ndarray


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
    """All situations of the trees of n problems.

    Attributes:
        point: decision point of each of N situations, shape (N,).
        known: number of steps that the strong model has read or written, 0 if it was never asked, shape (N,).
        kept, verified, rewritten: the situation after the draft is kept unread, kept after verification, and rewritten
            by the strong model, or `FINISHED`, shape (N,).
        right: whether a solution that finishes with the draft, and with the rewrite, is right, shape (N, 2).
        prices: what it costs to have the strong model write unseen, to draft, verify, rewrite, and rewrite after
            verification, in units of what always-strong spends on a problem, shape (N,) each.
        seen: what a policy sees before a draft, of a draft, and of a verified one, shape (N, F) each; see `observe`.
        roots: the first situation of each problem, shape (n,).
        reachable: whether any policy can come into it, shape (N,).

    Args:
        tree: whole trees.
        costs: what each model's use costs, by role.
        currency: what is spent.
        evidence: what is seen of a draft before it is verified, k kinds; see `Evidence`.
    """

    def __init__(
        self, tree: Tree, costs: Mapping[str, ModelCost], currency: Currency, evidence: Sequence[Evidence] = ("weak",)
    ) -> None:
        self.tree, self._scored, depth = tree, "prm" in evidence, tree.depth
        start = np.concatenate([[0], np.cumsum(depth + 1)])
        self.point = np.repeat(np.arange(len(tree)), depth + 1)
        self.known = np.arange(start[-1]) - start[self.point]
        self.roots = start[tree.roots]
        self._levels = [np.flatnonzero(depth[self.point] == k) for k in range(int(depth.max()) + 1)]

        def after(action: int, known: np.ndarray) -> np.ndarray:
            child = tree.child[self.point, action]
            return np.where(child == FINISHED, FINISHED, start[child] + known)

        here = depth[self.point]
        self.kept, self.verified = after(ACCEPT, self.known), after(ACCEPT, here + 1)
        self.rewritten = after(REGENERATE, here + 1)
        self.right = tree.correct[self.point]
        seen = np.column_stack([tree.score if kind == "prm" else tree.logprobs("weak") for kind in evidence])
        standing, (unread, least) = self._standing()[self.point], self._unread(seen)
        length = np.array([len(problem.question) for problem in tree.problems])[tree.problem[self.point]]
        draft, opinion = [seen[self.point], tree.tokens[self.point]], tree.logprobs("strong")[self.point]
        before = observe(here, length, self.known, unread, least)
        self.seen = (before, np.column_stack([before, *draft]), np.column_stack([before, *draft, opinion]))
        self.prices = self._priced(token_prices(costs, currency), standing, unread)
        anything = Choices(*(np.zeros(len(self), dtype=kind) for kind in (bool, np.int64, bool)))
        self.reachable = self.visits(anything, explored=0.5)[0] > 0

    def __len__(self) -> int:
        return len(self.point)

    def _standing(self) -> np.ndarray:
        """Tokens of the steps that stand before each decision point, shape (V,)."""
        tree = self.tree
        found = np.zeros(len(tree), dtype=np.int64)
        for depth in range(int(tree.depth.max())):
            points = np.flatnonzero(tree.depth == depth)
            for action, tokens in ((REGENERATE, tree.strong_tokens), (ACCEPT, tree.tokens)):
                on = points[tree.child[points, action] != FINISHED]
                found[tree.child[on, action]] = found[on] + tokens[on]
        return found

    def _unread(self, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tokens that stand and that the strong model has not read, and the least evidence of their drafts.

        Args:
            seen: evidence of each draft, shape (V, k).

        Returns:
            Shapes (N,) and (N, k).
        """
        unread, least = np.zeros(len(self), dtype=np.int64), np.full((len(self), seen.shape[1]), NO_EVIDENCE)
        for level in self._levels:
            here = level[self.kept[level] != FINISHED]
            unread[self.kept[here]] = unread[here] + self.tree.tokens[self.point[here]]
            least[self.kept[here]] = np.minimum(least[here], seen[self.point[here]])
        return unread, least

    def _priced(
        self, prices: Mapping[str, TokenPrices], standing: np.ndarray, unread: np.ndarray
    ) -> dict[str, np.ndarray]:
        """See `prices`."""
        tree, problem = self.tree, self.tree.problem[self.point]
        prompt = {role: lengths[problem] for role, lengths in tree.prompt_tokens().items()}
        draft, rewrite = tree.tokens[self.point], tree.strong_tokens[self.point]
        weak, strong = prices["weak"], prices["strong"]
        whole = prompt["strong"] + standing
        fresh = unread + np.where(self.known == 0, prompt["strong"], 0)
        reading = strong.read * fresh + strong.cached * (whole - fresh)
        depth, scored = self.tree.depth[self.point], self._scored
        first = depth == 0
        # The strong model goes on in one call where it knows all that stands: nearly always because it wrote the last.
        going_on = np.where(first | (self.known < depth), reading, 0)
        also_read = weak.read + scored * prices["prm"].read  # a rewrite, by the others

        def beginning(role: str) -> np.ndarray:
            cached = prices[role].cached * (prompt[role] + standing)
            return np.where(first, prices[role].read * prompt[role], cached)

        found = {
            "delegate": going_on + (strong.written + also_read) * rewrite,
            "draft": beginning("weak")
            + weak.written * draft
            + scored * (beginning("prm") + prices["prm"].read * draft),
            "verify": reading + strong.read * draft + strong.written,
            "rewrite": reading + (strong.written + also_read) * rewrite,
            "rewrite_verified": strong.cached * whole + (strong.written + also_read) * rewrite,
        }
        unit = self._always_strong(strong, prompt["strong"])
        return {name: price / unit for name, price in found.items()}

    def _always_strong(self, strong: TokenPrices, prompt: np.ndarray) -> float:
        """What always-strong spends on a problem, on average: it reads the prompt once and writes the rest."""
        at, spent = self.roots, strong.read * prompt[self.roots].sum()
        while len(at):
            spent += strong.written * self.tree.strong_tokens[self.point[at]].sum()
            at = self.rewritten[at]
            at = at[at != FINISHED]
        return float(spent / len(self.roots))

    def worth(self, price: float, choices: Choices | None = None) -> Worth:
        """Return of every choice, by backward induction; a right solution is worth 1.

        Args:
            price: what is lost by spending as much as always-strong does on a problem.
            choices: what is chosen afterwards; None for the best, known beforehand (a clairvoyant router).
        """
        found = Worth(*np.zeros((8, len(self))))
        cost = {name: price * amount for name, amount in self.prices.items()}
        for level in reversed(self._levels):

            def goes_on(after: np.ndarray, action: int, level: np.ndarray = level) -> np.ndarray:
                on = after[level]
                return np.where(on == FINISHED, self.right[level, action], found.value[on])

            rewritten = goes_on(self.rewritten, REGENERATE)
            found.keep[level] = goes_on(self.kept, ACCEPT)
            found.delegate[level] = rewritten - cost["delegate"][level]
            found.rewrite[level] = rewritten - cost["rewrite"][level]
            found.keep_verified[level] = goes_on(self.verified, ACCEPT)
            found.rewrite_verified[level] = rewritten - cost["rewrite_verified"][level]
            both = found.keep_verified[level], found.rewrite_verified[level]
            opinion = np.maximum(*both) if choices is None else np.where(choices.rewrite[level], *both[::-1])
            found.verify[level] = opinion - cost["verify"][level]
            ways = np.stack([found.keep[level], found.verify[level], found.rewrite[level]])
            chosen = ways.argmax(axis=0) if choices is None else choices.action[level]
            drafted = np.take_along_axis(ways, chosen[None], axis=0)[0] - cost["draft"][level]
            found.draft[level] = drafted
            unseen = found.delegate[level]
            found.value[level] = (
                np.maximum(drafted, unseen) if choices is None else np.where(choices.delegate[level], unseen, drafted)
            )
        return found

    def visits(self, choices: Choices, explored: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Probability of each situation, of a draft there, and of a verified one, shape (N,) each.

        Args:
            choices: what is chosen.
            explored: share of the choices that are made at random.
        """
        reached = np.zeros(len(self))
        drafted, verified = np.zeros(len(self)), np.zeros(len(self))
        reached[self.roots] = 1
        delegate, rewrite = (np.where(c, 1 - explored, explored) for c in (choices.delegate, choices.rewrite))
        action = np.full((len(self), 3), explored / 2)
        np.put_along_axis(action, choices.action[:, None], 1 - explored, axis=1)
        for level in self._levels:
            drafted[level] = reached[level] * (1 - delegate[level])
            verified[level] = drafted[level] * action[level, VERIFY]
            again = reached[level] * delegate[level] + drafted[level] * action[level, REWRITE]
            for after, share in (
                (self.kept, drafted[level] * action[level, KEEP]),
                (self.verified, verified[level] * (1 - rewrite[level])),
                (self.rewritten, again + verified[level] * rewrite[level]),
            ):
                on = after[level] != FINISHED
                np.add.at(reached, after[level][on], share[on])
        return reached, drafted, verified


def observe(
    steps: np.ndarray, length: np.ndarray, known: np.ndarray, unread: np.ndarray, least: np.ndarray
) -> np.ndarray:
    """What a policy sees before a draft, shape (N, 5 + k).

    Args:
        steps: number of steps that stand.
        length: characters of the question.
        known: number of them that the strong model has read or written.
        unread: tokens of the others.
        least: least evidence of the others' drafts, of each kind, shape (N, k); `NO_EVIDENCE` if there are none.
    """
    return np.column_stack([steps, length, known > 0, steps - known, unread, least]).astype(np.float32)


def observe_decisions(
    seen: Decisions, evidence: Sequence[Evidence] = ("weak",)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of episodes: what is seen before the draft, of the draft, and of a verified one; see `Situations`."""
    steps = seen.strong.shape[1]
    asked = seen.strong | np.isfinite(seen.seconds[:, :steps])
    known = np.where(asked, np.arange(1, steps + 1), 0).max(axis=1, initial=0)
    since = np.arange(steps) >= known[:, None]
    unread = np.where(since, seen.tokens[:, :steps], 0).sum(axis=1)
    told = np.stack([seen.drafts if kind == "prm" else seen.logprobs for kind in evidence], axis=-1)
    standing = np.where(since[..., None] & np.isfinite(told[:, :steps]), told[:, :steps], NO_EVIDENCE)
    least = standing.min(axis=1, initial=NO_EVIDENCE)
    length = np.array([len(problem.question) for problem in seen.problems])
    before = observe(np.full(len(seen), steps), length, known, unread, least)
    if told.shape[1] == steps:
        return before, before, before
    draft = np.column_stack([before, told[:, -1], seen.draft_tokens[:, -1]])
    return before, draft, np.column_stack([draft, seen.seconds[:, -1]])
