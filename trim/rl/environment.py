"""The routing of steps as Gymnasium environments over explored solution trees."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from trim.rl.features import FEATURES, stack_features
from trim.rl.tree import FINISHED, Tree

OBSERVATION = gym.spaces.Box(
    np.zeros(len(FEATURES), dtype=np.float32), np.array([1, 1, 1, np.inf, 1], dtype=np.float32), dtype=np.float32
)
ACTION = gym.spaces.Discrete(2)


def features(tree: Tree, points: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """`FEATURES` of decision points, and others beside them, shape (..., 5 or more); see `stack_features`."""
    return stack_features(
        tree.least[points],
        tree.product[points],
        tree.score[points],
        tree.tokens[points],
        tree.depth[points] / tree.max_steps,
        *others,
    )


class RoutingVectorEnv(VectorEnv):
    """n problems at a time; a finished one makes place for the next within the same step.

    Observations are `features`, actions 0 (accept) or 1 (rewrite). The reward of a step is
    1 if it finishes the solution and the answer is right, less `cost` for every strong token.
    Problems come in an order that is shuffled again in every epoch.

    Args:
        tree: the problems.
        num_envs: n.
        cost: λ, reward lost by a strong token (paper: 8e-4).
    """

    def __init__(self, tree: Tree, num_envs: int, cost: float = 8e-4) -> None:
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.num_envs, self.tree, self.cost = num_envs, tree, cost
        self.single_observation_space, self.single_action_space = OBSERVATION, ACTION
        self.observation_space = batch_space(OBSERVATION, num_envs)
        self.action_space = batch_space(ACTION, num_envs)
        self._order = np.zeros(0, dtype=np.int64)
        self.points = np.zeros(num_envs, dtype=np.int64)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start n problems; with a seed, from the beginning of a new order."""
        if seed is not None:
            self._np_random, self._np_random_seed = gym.utils.seeding.np_random(seed)
            self._order = self._order[:0]
        self.points = self._next(self.num_envs)
        return features(self.tree, self.points), self._info({})

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Accept or rewrite each draft; see Gymnasium's `VectorEnv.step`."""
        actions = np.asarray(actions, dtype=np.int64)
        left = self.points
        after, correct, paid = self.tree.follow(left, actions)
        done = after == FINISHED
        reward = correct - self.cost * paid
        self.points = after
        self.points[done] = self._next(int(done.sum()))
        info = self._info({"strong_tokens": paid})
        if done.any():
            last = features(self.tree, left)
            final = np.array([last[i] if ended else None for i, ended in enumerate(done)], dtype=object)
            info |= {"final_obs": final, "_final_obs": done, "correct": correct, "_correct": done}
        return features(self.tree, self.points), reward, done, np.zeros_like(done), info

    def _next(self, count: int) -> np.ndarray:
        """Roots of the next problems."""
        while len(self._order) < count:
            self._order = np.append(self._order, self.np_random.permutation(len(self.tree.roots)))
        chosen, self._order = self._order[:count], self._order[count:]
        return self.tree.roots[chosen]

    def _info(self, values: dict[str, np.ndarray]) -> dict[str, Any]:
        """Information on every environment, each value with the mask that Gymnasium requires."""
        values = values | {"problem": self.tree.problem[self.points]}
        return values | {f"_{name}": np.ones(self.num_envs, dtype=bool) for name in values}


class RoutingEnv(gym.Env):
    """One problem at a time; see `RoutingVectorEnv`."""

    observation_space, action_space = OBSERVATION, ACTION

    def __init__(self, tree: Tree, cost: float = 8e-4) -> None:
        self.tree, self.cost, self.point = tree, cost, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a problem at random."""
        super().reset(seed=seed)
        self.point = int(self.np_random.choice(self.tree.roots))
        return self._observe(), {"problem": int(self.tree.problem[self.point])}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Accept or rewrite the draft."""
        (after,), (correct,), (paid,) = self.tree.follow(np.array([self.point]), np.array([int(action)]))
        done = bool(after == FINISHED)
        self.point = self.point if done else int(after)
        reward = float(correct) - self.cost * float(paid)
        return self._observe(), reward, done, False, {"strong_tokens": int(paid)}

    def _observe(self) -> np.ndarray:
        return features(self.tree, np.array([self.point]))[0]
