"""The decision points of the problems' solution trees, as arrays that grow with exploration.

A decision point is an accepted prefix with a weak draft and its score. From there the router
accepts or rewrites. The models write each continuation once, and it is looked up afterwards,
so that an epoch over explored problems is almost free. Equal steps lead to the same point: a point
is identified by its prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trim.engine.cached import CachedLM, CachedPRM
from trim.engine.judge import AnswerJudge
from trim.engine.rounds import goes_on, write_steps
from trim.engine.store import Draws, Node
from trim.models.base import Draft
from trim.pomdp.model import S0, S1, S2
from trim.problems import Problem
from trim.problems.checks import first_error
from trim.rng import digest
from trim.steps import Ends

UNKNOWN, FINISHED = -2, -1
ACCEPT, REWRITE = range(2)


@dataclass(frozen=True)
class _Opening:
    """A prefix that is to become a decision point.

    Attributes:
        problem: index of the problem.
        node: the prefix.
        scores: scores of the prefix's steps; the last is missing as long as it was not scored.
    """

    problem: int
    node: Node
    scores: tuple[float, ...] = ()


class Tree:
    """Solution trees of n problems.

    Attributes:
        roots: the first decision point of each problem, shape (n,).
        problem: index of the problem of each of V points, shape (V,).
        depth: number of steps before each point, shape (V,).
        least, product, before: least, product and last of those steps' scores; 1 where there are none, shape (V,).
        score, tokens: score and length of the weak draft, shape (V,).
        strong_tokens: length of the strong model's step, 0 as long as it is not known, shape (V,).
        child: the point after accepting and after rewriting, `UNKNOWN` or `FINISHED`, shape (V, 2).
        correct: True if a solution that finishes with this action is right, shape (V, 2).

    Args:
        problems: the problems, in the order of `roots`.
        weak: writes the drafts.
        strong: rewrites them.
        scorer: scores them.
        max_steps: maximum of steps of a solution.
        ends: see `trim.engine.rounds.goes_on`.
        judge: the judge of the answers; without one, verdicts are kept with the tree.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        weak: CachedLM,
        strong: CachedLM,
        scorer: CachedPRM,
        max_steps: int = 30,
        ends: Ends = "stop",
        judge: AnswerJudge | None = None,
    ) -> None:
        self.problems, self.max_steps, self.ends = list(problems), max_steps, ends
        self._weak, self._strong, self._scorer, self._judge = weak, strong, scorer, judge or AnswerJudge(Draws())
        self._nodes: list[Node] = []
        self._points: dict[Node, int] = {}
        self._drafts: list[Draft] = []
        self._scores: list[tuple[float, ...]] = []
        self.problem, self.depth, self.tokens, self.strong_tokens = (np.zeros(0, dtype=np.int64) for _ in range(4))
        self.least, self.product, self.before, self.score = (np.zeros(0) for _ in range(4))
        self._weak_logprobs = np.zeros(0)
        self.child = np.zeros((0, 2), dtype=np.int64)
        self.correct = np.zeros((0, 2), dtype=bool)
        self.roots = np.arange(len(self.problems))
        self._open([_Opening(i, Node.root(p.question)) for i, p in enumerate(self.problems)])

    def __len__(self) -> int:
        return len(self.depth)

    @property
    def identity(self) -> bytes:
        """A digest of all that decides the trees: problems, models, sampling and scores."""
        parts = [self._weak.identity, self._strong.identity, self._scorer.reading]
        questions = [text.encode() for p in self.problems for text in (p.question, p.answer, str(p.tolerance))]
        return digest(*parts, f"{self.max_steps}/{self.ends}".encode(), *questions)

    def prefixes(self, points: np.ndarray) -> list[Node]:
        """The accepted prefixes of some points."""
        return [self._nodes[point] for point in points.tolist()]

    def drafted(self, points: np.ndarray | None = None) -> list[Node]:
        """The solution with the weak draft at each of some points, by default all."""
        chosen = range(len(self)) if points is None else points.tolist()
        return [self._nodes[point].child(self._drafts[point].text) for point in chosen]

    def after(self, points: np.ndarray, actions: np.ndarray) -> list[Node]:
        """The solutions after acting at some points, if their successors are known; shape (n,) each."""
        rewritten, nodes = np.flatnonzero(actions == REWRITE), self.drafted(points)
        prefixes = self.prefixes(points[rewritten])
        for i, prefix, step in zip(rewritten.tolist(), prefixes, write_steps(self._strong, prefixes), strict=True):
            nodes[i] = prefix.child(step.text)
        return nodes

    def unchanged(self) -> np.ndarray:
        """True where the strong model's step equals the draft, in solutions that go on, shape (V,).

        Two steps are equal if they lead to the same point.
        """
        return (self.child[:, ACCEPT] == self.child[:, REWRITE]) & (self.child[:, REWRITE] >= 0)

    def hashes(self) -> list[bytes]:
        """Hashes of the accepted prefixes of the points; see `Observation.nodes`."""
        return [node.path[-1] for node in self._nodes]

    def prompt_tokens(self) -> dict[str, np.ndarray]:
        """Tokens of each model's prompt of each problem, by role, shape (n,) each."""
        roots = [self._nodes[root] for root in self.roots]
        models: dict[str, CachedLM | CachedPRM] = {"weak": self._weak, "strong": self._strong, "prm": self._scorer}
        return {role: np.array(model.prompt_tokens(roots)) for role, model in models.items()}

    def logprobs(self, role: Literal["weak", "strong"], points: np.ndarray | None = None) -> np.ndarray:
        """Mean log-probability of weak drafts under the weak or the strong model, at some points, by default all.

        Args:
            role: whose log-probability.
            points: shape (n,).
        """
        model = self._weak if role == "weak" else self._strong
        return np.array([score.score for score in model.mean_logprobs(self.drafted(points))])

    @property
    def weak_logprobs(self) -> np.ndarray:
        """Mean log-probability of every draft under the weak model, shape (V,); each is looked up once."""
        new = np.arange(len(self._weak_logprobs), len(self))
        if len(new):
            self._weak_logprobs = np.append(self._weak_logprobs, self.logprobs("weak", new))
        return self._weak_logprobs

    def states(self, points: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """The state that a step leads to by the problems' exact checks: `S0`, `S1` or `S2`; see `after`, shape (n,)."""
        states = []
        for point, node in zip(points.tolist(), self.after(points, actions), strict=True):
            error, depth = first_error(self.problems[self.problem[point]], node.prefix.steps), self.depth[point]
            states.append(S0 if error < 0 or error > depth else S2 if error == depth else S1)
        return np.array(states)

    def weak_way(self) -> np.ndarray:
        """The points that the weak model passes on its own."""
        return self.way(ACCEPT)

    def way(self, action: int) -> np.ndarray:
        """The points that are passed by always acting so."""
        at, passed = self.roots, list[np.ndarray]()
        while len(at):
            passed.append(at)
            at = self.follow(at, np.full(len(at), action))[0]
            at = at[at != FINISHED]
        return np.concatenate(passed)

    def weak_outcomes(self) -> np.ndarray:
        """True for each problem that the weak model solves alone, shape (n,)."""
        at, solved, open_ = self.roots, np.zeros(len(self.roots), dtype=bool), np.arange(len(self.roots))
        while len(at):
            after, right, _ = self.follow(at, np.full(len(at), ACCEPT))
            solved[open_] = right
            at, open_ = after[after != FINISHED], open_[after != FINISHED]
        return solved

    def follow(self, points: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Act at decision points.

        Args:
            points: shape (n,).
            actions: `ACCEPT` or `REWRITE`, shape (n,).

        Returns:
            Where that leads (or `FINISHED`), whether it finishes the solution and that is right,
            and the strong tokens paid, shape (n,) each.
        """
        unknown = self.child[points, actions] == UNKNOWN
        if unknown.any():
            self._expand(np.unique(np.stack([points[unknown], actions[unknown]], axis=1), axis=0))
        paid = np.where(actions == REWRITE, self.strong_tokens[points], 0)
        return self.child[points, actions], self.correct[points, actions], paid

    def _expand(self, pairs: np.ndarray) -> None:
        """Make the successors of pairs of point and action, shape (n, 2)."""
        rewritten = [point for point, action in pairs.tolist() if action == REWRITE]
        strong = dict(zip(rewritten, write_steps(self._strong, [self._nodes[p] for p in rewritten]), strict=True))
        openings: list[_Opening] = []
        edges, ends, endings = [], [], []
        for point, action in pairs.tolist():
            scores = self._scores[point]
            if action == REWRITE:
                step = strong[point]
                self.strong_tokens[point] = step.tokens
            else:
                step, scores = self._drafts[point], (*scores, self.score[point])
            if goes_on(step, int(self.depth[point]) + 1, self.max_steps, self.ends):
                node = self._nodes[point].child(step.text)
                if node not in self._points:
                    self._points[node] = len(self) + len(openings)
                    openings.append(_Opening(int(self.problem[point]), node, scores))
                edges.append((point, action, self._points[node]))
            else:
                ends.append((point, action))
                endings.append(self._nodes[point].child(step.text).prefix.text)
        if ends:
            points, actions = np.transpose(ends)
            self.child[points, actions] = FINISHED
            finished = [self.problems[i] for i in self.problem[points]]
            self.correct[points, actions] = self._judge.right(finished, endings)
        if openings:
            self._open(openings)
        if edges:
            points, actions, after = np.transpose(edges)
            self.child[points, actions] = after

    def expand(self) -> None:
        """Make everything that any policy can meet."""
        while (unknown := self.child == UNKNOWN).any():
            self._expand(np.argwhere(unknown))

    def _open(self, openings: Sequence[_Opening]) -> None:
        """Draft and score at new decision points."""
        drafts = write_steps(self._weak, [opening.node for opening in openings])
        solutions = [opening.node.child(draft.text) for opening, draft in zip(openings, drafts, strict=True)]
        missing = [len(o.node.prefix.steps) - len(o.scores) for o in openings]
        read = self._scorer.score(solutions, [count + 1 for count in missing])
        earlier = [o.scores + tuple(s.score for s in row[:-1]) for o, row in zip(openings, read, strict=True)]
        count = len(openings)
        self._nodes += [opening.node for opening in openings]
        self._drafts += drafts
        self._scores += earlier
        self.problem = np.append(self.problem, [opening.problem for opening in openings])
        self.depth = np.append(self.depth, [len(scores) for scores in earlier])
        self.tokens = np.append(self.tokens, [draft.tokens for draft in drafts])
        self.strong_tokens = np.append(self.strong_tokens, np.zeros(count, dtype=np.int64))
        self.least = np.append(self.least, [min(scores, default=1.0) for scores in earlier])
        self.product = np.append(self.product, [float(np.prod(scores)) for scores in earlier])
        self.before = np.append(self.before, [scores[-1] if scores else 1.0 for scores in earlier])
        self.score = np.append(self.score, [row[-1].score for row in read])
        self.child = np.append(self.child, np.full((count, 2), UNKNOWN), axis=0)
        self.correct = np.append(self.correct, np.zeros((count, 2), dtype=bool), axis=0)
