"""A policy with reading as an action, by fitted policy iteration on the situations of whole trees.

The value of each choice under the current policy is computed exactly by backward induction and regressed on the
observations where that policy goes, at all prices at once; the greedy policy of the regressions is next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from trim.engine.actions import Action
from trim.reading import ActionName
from trim.reading.situations import Choices, Situations

if TYPE_CHECKING:
    from lightgbm import Booster

# Targets of the regressions: gains of choices over drafting, over keeping the draft, and over keeping a verified one.
GAINS = ("delegate", "verify", "rewrite", "rewrite_verified")
_ITERATIONS = 4
_EXPLORED = 0.05  # share of random choices in the policy that weights the regressions
_BOOSTING = {
    "objective": "regression", "learning_rate": 0.1, "num_leaves": 15, "min_data_in_leaf": 200, "verbosity": -1,
    "deterministic": True, "force_row_wise": True, "seed": 0, "num_threads": 1,
}  # fmt: skip
_ROUNDS = 60
_RARE = 1e-3  # probability; less likely situations are no examples


class Gains:
    """Regressions of the choices' gains, with the price as an input.

    Attributes:
        texts: LightGBM's text of each of `GAINS`.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        from lightgbm import Booster

        self.texts = dict(texts)
        self._boosters = {name: Booster(model_str=text) for name, text in self.texts.items()}

    def __call__(self, gain: str, seen: np.ndarray, price: float) -> np.ndarray:
        """The gain of a choice at a price, by the observations, shape (n, F) -> (n,)."""
        return np.asarray(self._boosters[gain].predict(_with_price(seen, price), num_threads=1))

    def delegate(self, seen: np.ndarray, price: float, actions: Sequence[ActionName]) -> np.ndarray:
        """True to let the strong model write without a draft, by the observations before it, shape (n,)."""
        return self("delegate", seen, price) > 0 if "delegate" in actions else np.zeros(len(seen), dtype=bool)

    def action(self, seen: np.ndarray, price: float, actions: Sequence[ActionName]) -> np.ndarray:
        """The best of the allowed actions on drafts, by their observations: `Action`, shape (n,).

        Args:
            seen: shape (n, F).
            price: see `fit`.
            actions: see `fit`.
        """
        ways = {"accept": np.zeros(len(seen)), "verify": self("verify", seen, price)}
        ways["rewrite"] = self("rewrite", seen, price)
        allowed = np.array([name in actions for name in ways])[:, None]
        return np.where(allowed, np.stack(list(ways.values())), -np.inf).argmax(axis=0) + Action.ACCEPT

    def choices(
        self, situations: Situations, price: float, actions: Sequence[ActionName], explored: float = 0.0
    ) -> Choices:
        """The policy's choices in the situations that it reaches; with `explored`, also in those after random choices.

        Args:
            situations: the situations.
            price: see `fit`.
            actions: see `fit`.
            explored: share of random choices.
        """
        chosen = Choices.none(len(situations))
        followed, reached = np.zeros((2, len(situations)))
        followed[situations.roots] = reached[situations.roots] = 1
        for level in situations.levels:
            here = level[followed[level] > 0]
            chosen.delegate[here] = self.delegate(situations.before[here], price, actions)
            chosen.action[here] = self.action(situations.draft[here], price, actions)
            chosen.rewrite[here] = self("rewrite_verified", situations.opinion[here], price) > 0
            situations.go_on(here, chosen, 0.0, followed)
            if explored:
                situations.go_on(here, chosen, explored, reached)
                followed[situations.after(here[reached[here] > _RARE])] = 1
        return chosen


def fit(
    situations: Situations, validation: Situations, prices: Sequence[float], actions: Sequence[ActionName]
) -> tuple[Gains, np.ndarray]:
    """Fitted policy iteration, at all prices at once.

    Args:
        situations: situations of the problems to fit on.
        validation: situations for choosing the iteration: the one of the highest mean return over the prices.
        prices: loss from spending as much as always-strong does on a problem; a right solution is worth 1.
        actions: the allowed actions; a verified draft may always be judged.

    Returns:
        The regressions, and the return on validation at each price.
    """
    best, reached = None, np.full(len(prices), -np.inf)
    verify = "verify" in actions
    chosen = [_first(situations, price, verify) for price in prices]
    for _ in range(_ITERATIONS):
        gains = _regress(situations, prices, chosen)
        chosen = [gains.choices(situations, price, actions, _EXPLORED) for price in prices]
        held_out = [gains.choices(validation, price, actions) for price in prices]
        value = np.array(
            [validation.worth(p, c).value[validation.roots].mean() for p, c in zip(prices, held_out, strict=True)]
        )
        if value.mean() > reached.mean():
            best, reached = gains, value
    assert best
    return best, reached


def action_sets(actions: Sequence[ActionName]) -> dict[str, Sequence[ActionName]]:
    """Sets of actions of separately fitted policies: all actions, and, if drafts need not be read, all but reading."""
    never = [action for action in actions if action != "verify"]
    return {"all": actions} | ({"never read": never} if "verify" in actions and "accept" in actions else {})


def fit_sets(
    situations: Situations, validation: Situations, prices: Sequence[float], actions: Sequence[ActionName]
) -> tuple[dict[str, Gains], list[str], np.ndarray]:
    """Fit for each set of actions, and take for each price the one that is worth more on validation; see `fit`.

    Returns:
        The regressions by set, the set of each price, and its return on validation.
    """
    fits = {name: fit(situations, validation, prices, may) for name, may in action_sets(actions).items()}
    returns = np.stack([reached for _, reached in fits.values()])
    chosen = [list(fits)[best] for best in returns.argmax(axis=0)]
    return {name: gains for name, (gains, _) in fits.items()}, chosen, returns.max(axis=0)


def _first(situations: Situations, price: float, verify: bool) -> Choices:
    """A policy to begin with: the less is paid, the more drafts are looked at, least probable first."""
    draft, opinion = situations.draft[..., -2], situations.opinion[..., -1]
    doubted = draft < np.quantile(draft, min(0.5, 0.2 / price))
    action = np.where(doubted, Action.READ if verify else Action.REWRITE, Action.ACCEPT)
    return Choices(np.zeros(len(situations), dtype=bool), action, opinion < -3)


def _regress(situations: Situations, prices: Sequence[float], chosen: Sequence[Choices]) -> Gains:
    rows: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {gain: [] for gain in GAINS}
    for price, choices in zip(prices, chosen, strict=True):
        worth = situations.worth(price, choices)
        reached, drafted, verified = situations.visits(choices, _EXPLORED)
        examples = [
            ("delegate", situations.before, reached, worth.delegate - worth.draft),
            ("verify", situations.draft, drafted, worth.verify - worth.keep),
            ("rewrite", situations.draft, drafted, worth.rewrite - worth.keep),
            ("rewrite_verified", situations.opinion, verified, worth.rewrite_verified - worth.keep_verified),
        ]
        for gain, seen, weight, target in examples:
            there = weight > _RARE
            rows[gain].append((_with_price(seen[there], price), target[there], weight[there]))
    return Gains(
        {gain: _boosted(*map(np.concatenate, zip(*parts, strict=True))) for gain, parts in rows.items() if parts}
    )


def _boosted(seen: np.ndarray, target: np.ndarray, weight: np.ndarray) -> str:
    from lightgbm import Dataset, train

    booster: Booster = train(_BOOSTING, Dataset(seen, target, weight=weight / weight.mean()), _ROUNDS)
    return booster.model_to_string()


def _with_price(seen: np.ndarray, price: float) -> np.ndarray:
    return np.column_stack([seen, np.full(len(seen), np.log(price))])
