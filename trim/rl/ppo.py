"""Proximal policy optimisation (Schulman et al., 2017) of many routers at once, on explored trees.

One loop, to be read from top to bottom; the details are those of CleanRL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trim.rl.environment import features
from trim.rl.features import condition, surprise
from trim.rl.hyperparameters import Hyperparameters
from trim.rl.networks import ActorCritic
from trim.rl.tree import FINISHED, Tree


class Rollout(NamedTuple):
    """Solutions of n problems by each of M members over T steps; arrays of shape (T, M, n) unless said.

    Attributes:
        features: shape (T, M, n, F).
        actions: 1 to rewrite.
        log_odds, values: log-odds and values by the policy that acted.
        rewards: reward of each step.
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
        tree: the trees of the problems.
        problems: indices, shape (M, n).
        costs: costs of a strong token, shape (M, n).
        draw: gives each member so many numbers in [0, 1) to sample by; without it the likelier
            action is taken.
    """
    points, state = tree.roots[problems], model.start(problems.shape[1])
    live, last = np.ones(points.shape, dtype=bool), np.zeros(points.shape, dtype=np.int64)
    correct, paid = np.zeros(points.shape, dtype=bool), np.zeros(points.shape, dtype=np.int64)
    steps = []
    while live.any():
        others = [surprise(tree.weak_logprobs[points])] if model.informed else []
        others += [tree.before[points], last] if model.recurrent else []
        others += [condition(costs)] if model.conditioned else []
        seen = torch.from_numpy(features(tree, points, *others))
        logits, values, state = model.step(seen, state)
        threshold = np.stack([numbers(points.shape[1]) for numbers in draw]) if draw else 0.5
        actions = (torch.sigmoid(logits).numpy() > threshold).astype(np.int64)
        after, right, tokens = np.full(points.shape, FINISHED), np.zeros_like(live), np.zeros_like(paid)
        after[live], right[live], tokens[live] = tree.follow(points[live], actions[live])
        steps.append((seen, actions, logits, values, right - costs * tokens, live))
        correct |= right
        paid += tokens
        live = live & (after != FINISHED)
        points, last = np.where(live, after, points), actions
    inputs, chosen, logits_, values_, rewards, open_ = (
        torch.stack([torch.as_tensor(step[i]) for step in steps]) for i in range(6)
    )
    return Rollout(inputs, chosen, logits_, values_, rewards.float(), open_, correct, paid)


def advantages(rollout: Rollout, discount: float, gae_lambda: float) -> Tensor:
    """Generalised advantage estimates (Schulman et al., 2016), shape (T, M, n)."""
    estimates = torch.zeros_like(rollout.values)
    running = following = torch.zeros_like(rollout.values[0])
    # Each estimate is the step's own error plus the discounted next estimate; after the last step both are 0.
    for t in reversed(range(len(estimates))):
        live = rollout.live[t]
        delta = rollout.rewards[t] + discount * following - rollout.values[t]
        running = torch.where(live, delta + discount * gae_lambda * running, torch.zeros_like(running))
        following = torch.where(live, rollout.values[t], torch.zeros_like(following))
        estimates[t] = running
    return estimates


def update(
    model: ActorCritic, optimiser: torch.optim.Optimizer, rollout: Rollout, settings: Hyperparameters, entropy: float,
    generator: torch.Generator,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Several passes over a rollout in minibatches of problems.

    Returns:
        Entropy of the policies in the last pass, and their KL divergence from those that acted, in nats, shape (M,).
    """
    all_advantages = advantages(rollout, settings.discount, settings.gae_lambda)
    old = _log_probability(rollout.log_odds, rollout.actions)
    whole = (rollout.actions, old, rollout.values, all_advantages)
    model.train()
    for _ in range(settings.update_epochs):
        seen = []
        for chosen in torch.randperm(all_advantages.shape[2], generator=generator).chunk(settings.minibatches):
            places, live = _live(rollout.live[:, :, chosen])
            actions, before, value, advantage = (_at(x[:, :, chosen], places) for x in whole)
            target = advantage + value

            def mean(x: Tensor, live: Tensor = live) -> Tensor:
                return (x * live).sum(dim=1, keepdim=True) / live.sum(dim=1, keepdim=True)

            advantage = advantage - mean(advantage)
            advantage = advantage / (mean(advantage**2).sqrt() + 1e-8)
            logits, values = model(rollout.features[:, :, chosen], places)
            change = _log_probability(logits, actions) - before
            ratio = change.exp()
            policy = -torch.minimum(advantage * ratio, advantage * ratio.clamp(1 - settings.clip, 1 + settings.clip))
            # The value, too, moves by at most `clip`; the larger error counts, as in CleanRL.
            near = value + (values - value).clamp(-settings.clip, settings.clip)
            error = torch.maximum((values - target) ** 2, (near - target) ** 2) / 2
            policy_entropy = torch.distributions.Bernoulli(logits=logits).entropy()
            # The members share no parameter, so the gradient of the sum is each one's own.
            loss = mean(policy + settings.vf_coef * error - entropy * policy_entropy).sum()
            optimiser.zero_grad()
            loss.backward()
            _clip(model, settings.gradient_norm)
            optimiser.step()
            # r - 1 - log r with r = new/old: an estimate of the KL divergence that is never negative.
            seen.append(torch.cat([mean(policy_entropy), mean(ratio - 1 - change)], dim=1).detach())
    model.eval()
    surprised, diverged = torch.stack(seen).mean(dim=0).T.numpy()
    return surprised, diverged


def _live(live: Tensor) -> tuple[Tensor, Tensor]:
    """Where each member's solutions are open, (T, M, n) -> places in T * n and whether they are, (M, L) both.

    Members have different numbers of open places; L is the largest of them.
    """
    flat = live.transpose(0, 1).flatten(1)
    places = flat.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, : int(flat.sum(dim=1).max())]
    return places, flat.gather(1, places)


def _at(x: Tensor, places: Tensor) -> Tensor:
    """Entries of (T, M, n) at places (M, L)."""
    return x.transpose(0, 1).flatten(1).gather(1, places)


def _log_probability(logits: Tensor, actions: Tensor) -> Tensor:
    return torch.nn.functional.logsigmoid(torch.where(actions == 1, logits, -logits))


def _clip(model: ActorCritic, largest: float) -> None:
    """Clip each member's gradient by its own norm."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norms = torch.stack([g.flatten(1).pow(2).sum(dim=1) for g in gradients]).sum(dim=0).sqrt()
    scale = (largest / norms.clamp(min=1e-8)).clamp(max=1)
    for gradient in gradients:
        gradient *= scale.view(-1, *(1,) * (gradient.ndim - 1))
