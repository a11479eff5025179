"""Upper bounds on routing, by dynamic programming on whole solution trees.

A clairvoyant router knows every model's continuation and its outcome. A router of the five
features has TRIM-Agg's observations; the best one is found by fitted policy iteration: the
values of both actions at each decision point are computed exactly under the current policy,
regressed on the features where that policy goes, and the regression's greedy policy is next.
"""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from trim.engine.actions import Action, Phase
from trim.engine.policy import Observation, Policy
from trim.rl.environment import features
from trim.rl.features import decision_features
from trim.rl.tree import ACCEPT, FINISHED, REWRITE, Tree

_ITERATIONS = 5
_EXPLORED = 0.1  # share of random decisions in the policy that weights the regression


class Clairvoyant(Policy):
    """The best decision at each point, known beforehand."""

    def __init__(self, tree: Tree, cost: float) -> None:
        chosen = np.argmax(q_values(tree, cost), axis=1)
        self._chosen = dict(zip(tree.hashes(), (chosen == REWRITE).tolist(), strict=True))

    def decide(self, phase: Phase, observation: Observation) -> np.ndarray:
        """See `Policy.decide`."""
        if phase != Phase.DRAFTED:
            return super().decide(phase, observation)
        return np.where([self._chosen[node] for node in observation.nodes], Action.REWRITE, Action.ACCEPT)


class Fitted(Policy):
    """The greedy policy of a regression of the gain from rewriting, on the five features.

    Args:
        tree: whole trees of the problems to fit on.
        validation: the trees to choose the iteration on.
        cost: cost of a strong token, where a right solution is worth 1.
    """

    def __init__(self, tree: Tree, validation: Tree, cost: float) -> None:
        self._max_steps, highest = tree.max_steps, -np.inf
        explored, held_out = (features(t, np.arange(len(t))) for t in (tree, validation))
        chosen = tree.score < 0.5
        for _ in range(_ITERATIONS):
            both = q_values(tree, cost, chosen)
            visited = visit_probability(tree, (1 - _EXPLORED) * chosen + _EXPLORED / 2)
            model = HistGradientBoostingRegressor(
                learning_rate=0.15, max_iter=60, max_leaf_nodes=15, min_samples_leaf=200, random_state=0
            )
            model.fit(explored, both[:, REWRITE] - both[:, ACCEPT], sample_weight=visited)
            chosen = model.predict(explored) > 0
            greedy = model.predict(held_out) > 0
            value = value_of(q_values(validation, cost, greedy), greedy)[validation.roots].mean()
            if value > highest:
                highest, self._model = value, model

    def decide(self, phase: Phase, observation: Observation) -> np.ndarray:
        """See `Policy.decide`."""
        if phase != Phase.DRAFTED:
            return super().decide(phase, observation)
        gain = self._model.predict(decision_features(observation, self._max_steps)[:, -1])
        return np.where(gain > 0, Action.REWRITE, Action.ACCEPT)


def q_values(tree: Tree, cost: float, chosen: np.ndarray | None = None) -> np.ndarray:
    """Return of both actions at each of V points of whole trees, shape (V, 2), by backward induction.

    Args:
        tree: whole trees.
        cost: cost of a strong token, where a right solution is worth 1.
        chosen: True where a later draft is rewritten, shape (V,); None for the best decisions.
    """
    both, value = np.zeros((len(tree), 2)), np.zeros(len(tree))
    for points in reversed(_levels(tree)):
        after = tree.child[points]
        both[points] = np.where(after == FINISHED, tree.correct[points], value[after])
        both[points, REWRITE] -= cost * tree.strong_tokens[points]
        value[points] = both[points].max(axis=1) if chosen is None else value_of(both[points], chosen[points])
    return both


def visit_probability(tree: Tree, chance: np.ndarray) -> np.ndarray:
    """Probability of each of V points where each is rewritten with a chance, shape (V,); 1 at the roots."""
    probability = np.zeros(len(tree))
    probability[tree.roots] = 1
    for points in _levels(tree):
        for action, share in ((ACCEPT, 1 - chance[points]), (REWRITE, chance[points])):
            after = tree.child[points, action]
            np.add.at(probability, after[after != FINISHED], (probability[points] * share)[after != FINISHED])
    return probability


def value_of(q: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The value of the action that is chosen at each point: of q, shape (V, 2), those of `chosen`, shape (V,)."""
    return np.where(chosen, q[:, REWRITE], q[:, ACCEPT])


def _levels(tree: Tree) -> list[np.ndarray]:
    """Points by the number of steps before them."""
    return [np.flatnonzero(tree.depth == depth) for depth in range(int(tree.depth.max()) + 1)]
