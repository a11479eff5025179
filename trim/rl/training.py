"""Training: epochs of PPO over the train split, each followed by a look at the validation split."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from trim.rl.checkpoint import Checkpoint, Trained
from trim.rl.features import feature_names
from trim.rl.hyperparameters import VERSION, Hyperparameters
from trim.rl.networks import ActorCritic
from trim.rl.ppo import Rollout, play, update
from trim.rl.tree import FINISHED, REWRITE, Tree

Log = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class Task:
    """A training task: one policy per cost and seed, or one per seed for all costs.

    Attributes:
        costs: K costs of a strong token, rising; a right solution is worth 1.
        seeds: S seeds.
        settings: hyper-parameters.
        recurrent, conditioned: see `ActorCritic`; a conditioned policy is trained at costs between
            the least and the largest, and evaluated on all of them.
        repeats: number of costs per problem of a batch, for a conditioned policy.
        informed: see `ActorCritic`.
    """

    costs: tuple[float, ...]
    seeds: tuple[int, ...]
    settings: Hyperparameters
    recurrent: bool = False
    conditioned: bool = False
    repeats: int = 1
    informed: bool = False

    @property
    def members(self) -> list[tuple[float | None, int]]:
        """Cost and seed of each of M policies; None for all costs."""
        return list(itertools.product([None] if self.conditioned else self.costs, self.seeds))

    def describe(self) -> dict[str, object]:
        """Everything that decides the result, except the data."""
        names = list(feature_names(self.recurrent, self.conditioned, self.informed))
        schedule = {"costs": self.costs, "seeds": self.seeds, "repeats": self.repeats}
        return schedule | {"features": names, "training": self.settings.model_dump()}


def train(task: Task, tree: Tree, validation: Tree, checkpoint: Path | None = None, log: Log | None = None) -> Trained:
    """Train an ensemble, and keep each member's best epoch.

    Args:
        task: the task.
        tree: the trees of the problems to train on.
        validation: the trees of the problems to choose the epoch on.
        checkpoint: file of the state after each epoch; training resumes from it if its task is the same.
        log: called after each update with the updates done, their total, and numbers by name; called
            again for all earlier updates when training resumes.

    Raises:
        TrimError: if the checkpoint is damaged.
    """
    settings, members, n = task.settings, task.members, len(tree.roots)
    torch.manual_seed(task.seeds[0])
    kind = task.recurrent, task.conditioned, task.informed
    model = ActorCritic(len(members), settings.hidden, *kind, settings.dropout).eval()
    optimiser = torch.optim.Adam(
        model.parameters(), settings.learning_rate, eps=1e-5, weight_decay=settings.weight_decay
    )
    streams = [np.random.default_rng([seed, 1]) for _, seed in members]
    shuffles = torch.Generator().manual_seed(task.seeds[0])
    nothing = np.full((len(members), len(task.costs) if task.conditioned else 1), -np.inf)
    parameters = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    state = Trained(parameters, nothing, nothing.copy(), nothing.copy())
    identity = task.describe() | {"version": VERSION, "trees": [tree.identity.hex(), validation.identity.hex()]}
    store = Checkpoint(checkpoint, identity, model, optimiser, streams, shuffles, state) if checkpoint else None
    if store:
        store.load()
    spent, batches = always_strong(tree), -(-n // settings.batch)
    updates = batches * settings.epochs
    if log:
        for step, figures in enumerate(state.logged, 1):
            log(step, updates, figures)
    for epoch in range(state.epoch, settings.epochs):
        order = np.stack([stream.permutation(n) for stream in streams])
        for index in range(batches):
            done = (epoch + index / batches) / settings.epochs
            problems = order[:, index * settings.batch : (index + 1) * settings.batch]
            problems, costs = _episodes(task, problems, streams)
            rollout = play(model, tree, problems, costs, [stream.random for stream in streams])
            for group in optimiser.param_groups:
                group["lr"] = settings.learning_rate * (1 - done)
            first, last = settings.entropy
            diagnostics = update(model, optimiser, rollout, settings, first + (last - first) * done, shuffles)
            figures = _figures(task, rollout, costs, spent[problems], *diagnostics)
            if index == batches - 1:
                figures |= {
                    "validation return/mean": _keep_better(state, model, evaluate_greedy(task, model, validation))
                }
            state.logged.append(figures)
            if log:
                log(len(state.logged), updates, figures)
        state.epoch = epoch + 1
        if store:
            store.save()
    return state


def _keep_better(state: Trained, model: ActorCritic, result: GreedyResult) -> float:
    """Keep the members that are better than ever before; returns the mean return of all as they are."""
    better = result.value.mean(axis=1) > state.value.mean(axis=1)
    for best, new in zip((state.accuracy, state.tokens, state.value), result, strict=True):
        best[better] = new[better]
    for name, parameter in model.named_parameters():
        state.parameters[name][better] = parameter.detach().numpy()[better]
    return float(result.value.mean())


class GreedyResult(NamedTuple):
    """Results of the greedy policies, each at its costs; see `Trained`."""

    accuracy: np.ndarray
    tokens: np.ndarray
    value: np.ndarray


def evaluate_greedy(task: Task, model: ActorCritic, tree: Tree) -> GreedyResult:
    """Play every problem once, or once at each cost if the cost is an input."""
    m, n = len(task.members), len(tree.roots)
    member_costs = np.array([task.costs if cost is None else [cost] for cost, _ in task.members])
    costs = np.repeat(member_costs, n, axis=1)
    rollout = play(model, tree, np.tile(np.arange(n), (m, member_costs.shape[1])), costs)
    accuracy = rollout.correct.reshape(m, -1, n).mean(axis=2)
    tokens = rollout.paid.reshape(m, -1, n).mean(axis=2)
    return GreedyResult(accuracy, tokens, accuracy - member_costs * tokens)


def always_strong(tree: Tree) -> np.ndarray:
    """Strong tokens of each problem where the strong model writes every step, shape (n,)."""
    points, total = tree.roots.copy(), np.zeros(len(tree.roots), dtype=np.int64)
    live = np.ones(len(points), dtype=bool)
    while live.any():
        after, _, paid = tree.follow(points[live], np.full(int(live.sum()), REWRITE))
        total[live] += paid
        points[live] = after
        live[live] = after != FINISHED
    return total


def _episodes(
    task: Task, problems: np.ndarray, streams: Sequence[np.random.Generator]
) -> tuple[np.ndarray, np.ndarray]:
    """Problems of a batch and their costs, shape (M, n) each: its own costs, or all of them on every problem."""
    if not task.conditioned:
        return problems, np.broadcast_to([[cost] for cost, _ in task.members], problems.shape)
    low, high = np.log(task.costs[0]), np.log(task.costs[-1])
    shape = problems.shape[1], task.repeats
    place = np.stack([(np.arange(task.repeats) + s.random(shape)) / task.repeats for s in streams])
    return np.repeat(problems, task.repeats, axis=1), np.exp(low + (high - low) * place).reshape(len(streams), -1)


def _figures(
    task: Task, rollout: Rollout, costs: np.ndarray, spent: np.ndarray, entropy: np.ndarray, divergence: np.ndarray
) -> dict[str, float]:
    """Log of an update by name: return, accuracy and strong fraction of the batch, entropy, KL; in all and by cost."""
    metrics = {
        "return": (rollout.correct - costs * rollout.paid).mean(axis=1),
        "accuracy": rollout.correct.mean(axis=1),
        "strong fraction": rollout.paid.sum(axis=1) / spent.sum(axis=1),
        "entropy": entropy,
        "kl": divergence,
    }
    logged = {f"{what}/mean": float(values.mean()) for what, values in metrics.items()}
    if not task.conditioned:
        for what, values in metrics.items():
            by_cost = values.reshape(len(task.costs), -1).mean(axis=1)
            logged |= {f"{what}/cost={cost:g}": float(v) for cost, v in zip(task.costs, by_cost, strict=True)}
    return logged
