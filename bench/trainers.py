"""Our training loop against the field's, on the same trees, episodes and hyper-parameters.

    pip install stable-baselines3 sb3-contrib
    python bench/trainers.py

Prints seconds for three seeds and the greedy policies' return on validation problems: ours after the best
epoch, theirs after the last.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from gymnasium.wrappers import TransformObservation
from rich.console import Console
from rich.progress import track
from rich.table import Table
from run import whole_tree
from sb3_contrib import RecurrentPPO
from scipy.special import logit
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

from trim.rl.environment import RoutingEnv, features
from trim.rl.hyperparameters import Hyperparameters
from trim.rl.training import Task, train
from trim.rl.tree import FINISHED, Tree

COST, SEEDS = 0.005, (0, 1, 2)
SETTINGS = Hyperparameters(learning_rate=0.002, epochs=3, entropy=(0.05, 0.05), dropout=0)


def encode(seen: np.ndarray) -> np.ndarray:
    """Scores by their logits, as our networks do."""
    scores = logit(np.clip(seen[..., :3], 1e-4, 1 - 1e-4)) / 4
    return np.concatenate([scores, seen[..., 3:]], axis=-1).astype(np.float32)


def environment(tree: Tree) -> TransformObservation:
    """One problem at a time, as Stable-Baselines3 wants it."""
    env = RoutingEnv(tree, COST)
    return TransformObservation(env, encode, env.observation_space)


def greedy(model: PPO | RecurrentPPO, tree: Tree) -> float:
    """Mean return over problems, each solved once by the likelier actions."""
    points, total, state = tree.roots.copy(), np.zeros(len(tree.roots)), None
    live = first = np.ones(len(points), dtype=bool)
    while live.any():
        seen = encode(features(tree, points))
        actions, state = model.predict(seen, state=state, episode_start=first, deterministic=True)
        after, right, paid = tree.follow(points, actions)
        total += np.where(live, right - COST * paid, 0)
        live, first = live & (after != FINISHED), np.zeros_like(live)
        points = np.where(live, after, points)
    return float(total.mean())


def steps_of(tree: Tree) -> int:
    """Decisions in one pass over the problems where every draft is accepted."""
    points, count = tree.roots, 0
    while len(points):
        count += len(points)
        after, _, _ = tree.follow(points, np.zeros(len(points), dtype=np.int64))
        points = after[after != FINISHED]
    return count


def theirs(kind: type, policy: str, tree: Tree, validation: Tree, steps: int) -> list[float]:
    """Train each seed with a library; returns on validation."""
    values = []
    for seed in track(SEEDS, description=kind.__name__):
        model = kind(
            policy, make_vec_env(lambda: environment(tree), 64, seed), seed=seed, device="cpu",
            learning_rate=lambda left: left * SETTINGS.learning_rate, gamma=1.0, gae_lambda=SETTINGS.gae_lambda,
            n_steps=8, batch_size=128, n_epochs=SETTINGS.update_epochs,
            clip_range=SETTINGS.clip, clip_range_vf=SETTINGS.clip,
            ent_coef=SETTINGS.entropy[0], vf_coef=SETTINGS.vf_coef, max_grad_norm=SETTINGS.gradient_norm,
        )  # fmt: skip
        model.learn(steps)
        values.append(greedy(model, validation))
    return values


def ours(recurrent: bool, costs: tuple[float, ...], tree: Tree, validation: Tree) -> list[float]:
    """Train all seeds and costs at once; returns on validation at `COST`."""
    found = train(Task(costs, SEEDS, SETTINGS, recurrent), tree, validation)
    return found.value.reshape(len(costs), len(SEEDS))[costs.index(COST)].tolist()


def main() -> None:
    """Print the comparison."""
    torch.set_num_threads(1)
    tree, validation = whole_tree(2000, 0), whole_tree(500, 1)
    several = (0.001, COST, 0.008, 0.01, 0.012, 0.016, 0.03)
    steps = SETTINGS.epochs * steps_of(tree)
    rows = {
        "ours, five features": lambda: ours(False, (COST,), tree, validation),
        "ours, five features, 7 costs at once": lambda: ours(False, several, tree, validation),
        "Stable-Baselines3 PPO": lambda: theirs(PPO, "MlpPolicy", tree, validation, steps),
        "ours, recurrent": lambda: ours(True, (COST,), tree, validation),
        "ours, recurrent, 7 costs at once": lambda: ours(True, several, tree, validation),
        "sb3-contrib RecurrentPPO": lambda: theirs(RecurrentPPO, "MlpLstmPolicy", tree, validation, steps),
    }
    table = Table("trainer", "seconds", "policies", "seconds / policy", "return of each seed")
    for name, work in rows.items():
        start = time.perf_counter()
        values = work()
        spent, count = time.perf_counter() - start, len(SEEDS) * (len(several) if "at once" in name else 1)
        table.add_row(name, f"{spent:.1f}", str(count), f"{spent / count:.1f}", ", ".join(f"{v:.3f}" for v in values))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
