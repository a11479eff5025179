"""Proximal policy optimisation (Schulman et al., 2017) of many routers at once, on explored trees.

One loop, to be read from top to bottom; the details are those of CleanRL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trim.rl.environment import features
from trim.rl.networks import ActorCritic
from trim.rl.settings import FEATURES, Hyperparameters
from trim.rl.tree import FINISHED, Tree


@dataclass(frozen=True)
class Member:
    """One policy of the ensemble: what a strong token costs it, and its seed."""

    cost: float
    seed: int


class Rollout(NamedTuple):
    """Solutions of n problems by each of M members over T steps; arrays of shape (T, M, n) unless said.

    Attributes:
        features: shape (T, M, n, F).
        actions: 1 to regenerate.
        log_odds, values: of the policy that acted.
        rewards: of each step.
        live: whether the solution was still open.
        correct, paid: whether it ended right, and its strong tokens, shape (M, n).
    """

    features: Tensor
    actions: Tensor
    log_odds: Tensor
    values: Tensor
    rewards: Tensor
    live: Tensor
    correct: np.ndarray
    paid: np.ndarray


@torch.no_grad()
def play(
    model: ActorCritic,
    tree: Tree,
    problems: np.ndarray,
    costs: np.ndarray,
    draw: Sequence[Callable[[int], np.ndarray]] = (),
) -> Rollout:
    """Let every member solve its problems.

    Args:
        model: the ensemble.
        tree: of the problems.
        problems: indices, shape (M, n).
        costs: of a strong token, shape (M, 1).
        draw: for each member, gives so many numbers in [0, 1) to sample by; without it the likelier
            action is taken.
    """
    points, state = tree.roots[problems], model.start(problems.shape[1])
    live = np.ones(points.shape, dtype=bool)
    correct, paid = np.zeros(points.shape, dtype=bool), np.zeros(points.shape, dtype=np.int64)
    steps = []
    while live.any():
        seen = torch.from_numpy(features(tree, points.ravel()).reshape(*points.shape, -1))
        logits, values, state = model.step(seen, state)
        threshold = np.stack([numbers(points.shape[1]) for numbers in draw]) if draw else 0.5
        actions = (torch.sigmoid(logits).numpy() > threshold).astype(np.int64)
        after, right, tokens = np.full(points.shape, FINISHED), np.zeros_like(live), np.zeros_like(paid)
        after[live], right[live], tokens[live] = tree.follow(points[live], actions[live])
        rewards = right - costs * tokens
        steps.append((seen, actions, logits, values, rewards, live))
        correct |= right
        paid += tokens
        live = live & (after != FINISHED)
        points = np.where(live, after, points)
    inputs, chosen, logits_, values_, rewards_, open_ = (
        torch.stack([torch.as_tensor(step[i]) for step in steps]) for i in range(6)
    )
    return Rollout(inputs, chosen, logits_, values_, rewards_.float(), open_, correct, paid)


def advantages(rollout: Rollout, discount: float, trace: float) -> Tensor:
    """Generalised advantage estimates (Schulman et al., 2016), shape (T, M, n)."""
    found = torch.zeros_like(rollout.values)
    running = following = torch.zeros_like(rollout.values[0])
    for t in reversed(range(len(found))):
        live = rollout.live[t]
        delta = rollout.rewards[t] + discount * following - rollout.values[t]
        running = torch.where(live, delta + discount * trace * running, torch.zeros_like(running))
        following = torch.where(live, rollout.values[t], torch.zeros_like(following))
        found[t] = running
    return found


def update(
    model: ActorCritic, optimiser: torch.optim.Optimizer, rollout: Rollout, settings: Hyperparameters, entropy: float,
    generator: torch.Generator,
) -> None:  # fmt: skip
    """Several passes over a rollout in minibatches of problems."""
    gains = advantages(rollout, settings.discount, settings.trace)
    returns, n = gains + rollout.values, gains.shape[2]
    old = _log_probability(rollout.log_odds, rollout.actions)
    model.train()
    for _ in range(settings.passes):
        for chosen in torch.randperm(n, generator=generator).chunk(settings.minibatches):
            live = rollout.live[:, :, chosen]
            count = live.sum(dim=(0, 2)).clamp(min=1)

            def mean(x: Tensor, live: Tensor = live, count: Tensor = count) -> Tensor:
                return torch.where(live, x, 0).sum(dim=(0, 2)) / count

            gain = gains[:, :, chosen]
            centre = mean(gain)[None, :, None]
            spread = mean((gain - centre) ** 2).sqrt()[None, :, None]
            gain = (gain - centre) / (spread + 1e-8)
            logits, values = model(rollout.features[:, :, chosen])
            ratio = (_log_probability(logits, rollout.actions[:, :, chosen]) - old[:, :, chosen]).exp()
            policy = -torch.minimum(gain * ratio, gain * ratio.clamp(1 - settings.clip, 1 + settings.clip))
            before, target = rollout.values[:, :, chosen], returns[:, :, chosen]
            near = before + (values - before).clamp(-settings.clip, settings.clip)
            error = torch.maximum((values - target) ** 2, (near - target) ** 2) / 2
            surprise = torch.distributions.Bernoulli(logits=logits).entropy()
            loss = mean(policy + settings.value * error - entropy * surprise).sum()
            optimiser.zero_grad()
            loss.backward()
            _clip(model, settings.gradient_norm)
            optimiser.step()
    model.eval()


def _log_probability(logits: Tensor, actions: Tensor) -> Tensor:
    return torch.nn.functional.logsigmoid(torch.where(actions == 1, logits, -logits))


def _clip(model: ActorCritic, largest: float) -> None:
    """Clip each member's gradient by its own norm."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norms = torch.stack([g.flatten(1).pow(2).sum(dim=1) for g in gradients]).sum(dim=0).sqrt()
    scale = (largest / norms.clamp(min=1e-8)).clamp(max=1)
    for gradient in gradients:
        gradient *= scale.view(-1, *(1,) * (gradient.ndim - 1))


def train(
    members: Sequence[Member],
    tree: Tree,
    validation: Tree,
    settings: Hyperparameters,
    recurrent: bool = False,
    report: Callable[[int, dict[str, np.ndarray]], None] | None = None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Train an ensemble, and keep each member as it was after its best epoch.

    Args:
        members: what tells the policies apart.
        tree: of the problems to train on.
        validation: of the problems to choose the epoch on.
        settings: hyper-parameters.
        recurrent: whether policies remember earlier steps.
        report: told after each epoch its number and, by member, return, accuracy and tokens on validation.

    Returns:
        Parameters by name, a leading axis for the members, and each one's best return on validation.
    """
    m, n = len(members), len(tree.roots)
    torch.manual_seed(members[0].seed)
    model = ActorCritic(m, len(FEATURES), settings.hidden, recurrent, settings.dropout).eval()
    optimiser = torch.optim.Adam(
        model.parameters(), settings.learning_rate, eps=1e-5, weight_decay=settings.weight_decay
    )
    streams = [np.random.default_rng([member.seed, 1]) for member in members]
    generator = torch.Generator().manual_seed(members[0].seed)
    costs = np.array([[member.cost] for member in members])
    everything = np.tile(np.arange(len(validation.roots)), (m, 1))
    best = {name: p.detach().clone() for name, p in model.named_parameters()}
    highest = np.full(m, -np.inf)
    batches = -(-n // settings.batch)
    for epoch in range(settings.epochs):
        order = np.stack([stream.permutation(n) for stream in streams])
        for index in range(batches):
            done = (epoch + index / batches) / settings.epochs
            problems = order[:, index * settings.batch : (index + 1) * settings.batch]
            rollout = play(model, tree, problems, costs, [stream.random for stream in streams])
            for group in optimiser.param_groups:
                group["lr"] = settings.learning_rate * (1 - done)
            first, last = settings.entropy
            update(model, optimiser, rollout, settings, first + (last - first) * done, generator)
        held_out = play(model, validation, everything, costs)
        value = held_out.correct.mean(axis=1) - costs[:, 0] * held_out.paid.mean(axis=1)
        better = value > highest
        highest = np.where(better, value, highest)
        for name, parameter in model.named_parameters():
            best[name][better] = parameter.detach()[better]
        if report:
            accuracy, tokens = held_out.correct.mean(axis=1), held_out.paid.mean(axis=1)
            report(epoch, {"return": value, "accuracy": accuracy, "tokens": tokens})
    return {name: p.numpy() for name, p in best.items()}, highest
