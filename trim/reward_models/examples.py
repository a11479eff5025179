"""Examples for a reward model: solutions of the train split's trees, with a label at every step that has one.

A label is the probability that a solution is right so far. Its source is a function of the trees: exact checks; the
success of continuations, in which either model writes each later step with probability 1/2 (soft estimation of
Math-Shepherd, Wang et al., 2024); agreement with the strong model; or the scores of another reward model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from trim.engine.store import Node
from trim.models.base import Prefix
from trim.pomdp.model import S0, S1
from trim.reward_models.hyperparameters import Labelling
from trim.rl.tree import ACCEPT, FINISHED, REWRITE, UNKNOWN, Tree

Labels = dict[bytes, float]  # by the hash of the solution up to a step, `Node.path[-1]`


class Example(NamedTuple):
    """One solution.

    Attributes:
        problem: number of its problem.
        prefix: question and steps.
        labels: of each step, in [0, 1], NaN where it has none, shape (steps,).
    """

    problem: int
    prefix: Prefix
    labels: np.ndarray


class Edges(NamedTuple):
    """The successors of the trees' decision points.

    Attributes:
        points, actions: the decision points, and the actions taken there, shape (n,) each.
        nodes: the solutions after these actions.
        hashes: their hashes.
    """

    points: np.ndarray
    actions: np.ndarray
    nodes: list[Node]
    hashes: list[bytes]


def _steps(tree: Tree, edges: Edges) -> Labels:
    """1 for right steps, 0 for the first wrong one, and none after it, as in process supervision."""
    states = tree.states(edges.points, edges.actions).tolist()
    return {at: float(state == S0) for at, state in zip(edges.hashes, states, strict=True) if state != S1}


def _success(tree: Tree, edges: Edges) -> Labels:
    """Share of the continuations that are right."""
    after, value = np.zeros((len(tree), 2)), np.zeros(len(tree))
    for depth in range(int(tree.depth.max()), -1, -1):
        points = np.flatnonzero(tree.depth == depth)
        child = tree.child[points]
        after[points] = np.where(child == FINISHED, tree.correct[points], value[child])
        value[points] = after[points].mean(axis=1)
    return dict(zip(edges.hashes, after[edges.points, edges.actions].tolist(), strict=True))


def _agreement(tree: Tree, edges: Edges) -> Labels:
    """1 for the strong model's steps, and for drafts that equal them."""
    strong = {at for at, action in zip(edges.hashes, edges.actions.tolist(), strict=True) if action == REWRITE}
    return {at: float(at in strong) for at in edges.hashes}


def _scores(tree: Tree, edges: Edges) -> Labels:
    """The scores of drafts."""
    drafts = np.flatnonzero(edges.actions == ACCEPT)
    return {edges.hashes[i]: score for i, score in zip(drafts, tree.score[edges.points[drafts]].tolist(), strict=True)}


_LABELS: dict[Labelling, Callable[[Tree, Edges], Labels]] = {
    "steps": _steps,
    "success": _success,
    "agreement": _agreement,
    "scores": _scores,
}


def examples(tree: Tree, labels: Labelling, most: int, rng: np.random.Generator) -> list[Example]:
    """Finished solutions of the explored part of a tree, with labels.

    Args:
        tree: solution trees of the train split.
        labels: source of the labels; see `TrainedRewardModel`.
        most: maximum of solutions; every problem gives one before any gives two.
        rng: random generator for the choice.
    """
    points, actions = np.nonzero(tree.child != UNKNOWN)
    nodes = tree.after(points, actions)
    edges = Edges(points, actions, nodes, [node.path[-1] for node in nodes])
    label_of = _LABELS[labels](tree, edges)
    solutions = list[Example]()
    for i in rng.permutation(np.flatnonzero(tree.child[points, actions] == FINISHED)).tolist():
        way = np.array([label_of.get(at, np.nan) for at in nodes[i].path[1:]])
        solutions.append(Example(int(tree.problem[points[i]]), nodes[i].prefix, way))
    turn, taken = [], Counter[int]()
    for example in solutions:
        taken[example.problem] += 1
        turn.append(taken[example.problem])
    return [solutions[i] for i in np.argsort(turn, kind="stable")[:most]]
