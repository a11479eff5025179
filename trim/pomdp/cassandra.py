"""The POMDP in the field's standard text format, and policies of its solvers as alpha-vectors.

Format: Cassandra's .pomdp (pomdp.org), read by pomdp-solve, APPL (SARSOP) and others. The
step is part of the state, so that a solver for stationary problems finds the finite-horizon
policy; the draft's tokens are their mean, since the format knows no cost that is seen before
the decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from trim.errors import TrimError
from trim.files import replacing
from trim.pomdp.beliefs import TRACKERS, History
from trim.pomdp.calibration import STATES
from trim.pomdp.model import StepModel
from trim.pomdp.planner import Plan
from trim.pomdp.policy import Decide

ACTIONS = ("accept", "regenerate")
_FIRST = 2  # states "before" and "after" come before those of the steps
_NEVER = -1e9  # value of a plan for one step in the states of another


def state_names(model: StepModel) -> list[str]:
    """`before`, `after`, then step, class and hidden state in this order of nesting."""
    steps = (
        f"step{k}_class{z}_{state}" for k in range(1, model.steps + 1) for z in range(model.classes) for state in STATES
    )
    return ["before", "after", *steps]


def export_model(model: StepModel, cost: float, path: Path, discount: float = 0.99999) -> None:
    """Write the POMDP for one cost.

    Args:
        model: calibrated.
        cost: reward that a token of the strong model costs.
        path: where to.
        discount: below 1 because most solvers insist on it; the model itself has none.
    """
    with replacing(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in _lines(model, cost, discount))


def _lines(model: StepModel, cost: float, discount: float) -> Iterator[str]:
    names = state_names(model)
    bins = [f"least{a}_score{b}" for a, b in np.ndindex(*model.observation.shape[1:])]
    yield f"# TRIM-POMDP: {model.steps} steps, {model.classes} classes, cost {cost:.17g} per token"
    yield f"discount: {discount:.17g}"
    yield "values: reward"
    yield f"states: {' '.join(names)}"
    yield f"actions: {' '.join(ACTIONS)}"
    yield f"observations: none {' '.join(bins)}"
    yield f"start: 1 {' '.join('0' * (len(names) - 1))}"
    drafts = model.draft(model.start())
    for name, mass in zip(names[_FIRST:], drafts.ravel(), strict=False):
        yield f"T: * : before : {name} {mass:.17g}"
    yield "T: * : after : after 1"
    whole = np.eye(model.classes * 3).reshape(-1, model.classes, 3)
    standing = {"accept": model.accept(whole), "regenerate": model.regenerate(whole)}
    for k in range(model.steps):
        here, following = (_FIRST + (k + i) * len(whole) for i in range(2))
        for i, belief in enumerate(whole):
            hazard = belief.sum(axis=1) @ model.hazard[:, k]
            for action in ACTIONS:
                after = standing[action][i]
                yield f"T: {action} : {names[here + i]}  : after {hazard:.17g}"
                if k + 1 < model.steps:
                    onward = (1 - hazard) * model.draft(after)
                    for j in np.flatnonzero(onward):
                        yield f"T: {action} : {names[here + i]} : {names[following + j]} {onward.ravel()[j]:.17g}"
                paid = cost * model.tokens if action == "regenerate" else 0.0
                reward = model.reward * hazard * after[:, 0].sum() - paid
                yield f"R: {action} : {names[here + i]} : * : * {reward:.17g}"
    nothing = " ".join("0" * len(bins))
    for name in names[:_FIRST]:
        yield f"O: * : {name}\n1 {nothing}"
    rows = [" ".join(f"{mass:.17g}" for mass in density.ravel()) for density in model.observation]
    for index, name in enumerate(names[_FIRST:]):
        yield f"O: * : {name}\n0 {rows[index % 3]}"


@dataclass(frozen=True)
class AlphaPolicy:
    """Alpha-vectors over the exported states: act as the one with the largest value says.

    Attributes:
        actions: index into `ACTIONS` of each vector, shape (n,).
        vectors: shape (n, S).
    """

    actions: np.ndarray
    vectors: np.ndarray

    @classmethod
    def of_plan(cls, plan: Plan, cost: int, model: StepModel) -> AlphaPolicy:
        """Our plan for one of its costs and drafts of mean length."""
        size = model.classes * 3
        whole = np.eye(size).reshape(-1, model.classes, 3)
        paid = (0.0, plan.costs[cost] * model.tokens)
        actions, vectors = [], []
        for k, lower in enumerate(plan.vectors[cost]):
            for action, standing in enumerate((model.accept(whole), model.regenerate(whole))):
                local = np.unique((standing.reshape(size, -1) @ lower.T - paid[action]).T, axis=0)
                vector = np.full((len(local), _FIRST + model.steps * size), _NEVER)
                vector[:, _FIRST + k * size : _FIRST + (k + 1) * size] = local
                vectors.append(vector)
                actions += [action] * len(local)
        return cls(np.array(actions), np.concatenate(vectors))

    def write(self, path: Path) -> None:
        """Write in pomdp-solve's .alpha format: the action, then the vector."""
        with replacing(path) as partial, partial.open("w", encoding="utf-8") as file:
            for action, vector in zip(self.actions, self.vectors, strict=True):
                file.write(f"{action}\n{' '.join(f'{value:.17g}' for value in vector)}\n\n")

    @classmethod
    def read(cls, path: Path, model: StepModel) -> AlphaPolicy:
        """Read a policy for the exported `model`: pomdp-solve's .alpha or APPL's XML.

        Raises:
            TrimError: if the file is neither, or was made for another model.
        """
        try:
            text = path.read_text(encoding="utf-8")
            pairs = _xml(text) if text.lstrip().startswith("<") else _alpha(text)
            policy = cls(np.array([a for a, _ in pairs]), np.array([v for _, v in pairs], dtype=float))
        except (OSError, ValueError, TypeError, KeyError, ElementTree.ParseError) as error:
            raise TrimError(f"{path}: not an alpha-vector policy ({error})") from error
        states = len(state_names(model))
        if policy.vectors.ndim != 2 or policy.vectors.shape[1] != states or not set(policy.actions) <= {0, 1}:
            raise TrimError(f"{path}: not a policy for this model, which has {states} states and 2 actions")
        return policy

    def decide(self, model: StepModel, tracker: str = "filter") -> Decide:
        """The policy over tracked beliefs; see `trim.pomdp.policy.planned`."""
        size, track = model.classes * 3, TRACKERS[tracker]

        def decide(history: History, tokens: np.ndarray) -> np.ndarray:
            k = history.scores.shape[1] - 1
            here = self.vectors[:, _FIRST + k * size : _FIRST + (k + 1) * size]
            return self.actions[(track(model, history).reshape(-1, size) @ here.T).argmax(axis=1)] == 1

        return decide


def _alpha(text: str) -> list[tuple[int, list[float]]]:
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) % 2:
        raise ValueError("a vector is missing")
    return [(int(*action), list(map(float, vector))) for action, vector in zip(lines[::2], lines[1::2], strict=True)]


def _xml(text: str) -> list[tuple[int, list[float]]]:
    vectors = ElementTree.fromstring(text).iter("Vector")
    return [(int(v.attrib["action"]), list(map(float, (v.text or "").split()))) for v in vectors]
