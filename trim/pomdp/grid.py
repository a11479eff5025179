"""Triangulated grids on the simplex (Freudenthal, 1942; Lovejoy, 1991)."""

from __future__ import annotations

from functools import cached_property
from itertools import combinations, permutations

import numpy as np

_WORST = 200  # cells whose gap is looked at closely
_PLAYS = 40


class Grid:
    """A triangulation of a simplex by points whose coordinates are multiples of 1/resolution.

    Attributes:
        vertices: shape (V, D).

    Args:
        dimension: number of coordinates, D.
        resolution: intervals along each edge.
    """

    def __init__(self, dimension: int, resolution: int) -> None:
        self._resolution = resolution
        bars = np.array(list(combinations(range(resolution + dimension - 1), dimension - 1)), dtype=np.int64)
        padded = np.pad(bars, ((0, 0), (1, 1)), constant_values=((0, 0), (-1, resolution + dimension - 1)))
        counts = np.diff(padded, axis=1) - 1
        self._corners = self._corner(counts)
        self.vertices = counts / resolution
        # In the coordinates x_i = Σ_j>=i y_j the triangulation is that of unit cubes; x_0 is constant.
        self._base = (resolution + 1) ** np.arange(dimension - 1)
        self._number = np.zeros((resolution + 1) ** (dimension - 1), dtype=np.int64)
        self._number[self._corners @ self._base] = np.arange(len(counts))

    @staticmethod
    def _corner(points: np.ndarray) -> np.ndarray:
        return points[:, ::-1].cumsum(axis=1)[:, -2::-1]

    def locate(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The vertices of the cell around each point, and the point's weights on them.

        Args:
            points: shape (n, D), on the simplex.

        Returns:
            Indices and barycentric weights, shape (n, D) each.
        """
        n, dimension = points.shape
        x = np.clip(self._corner(points) * self._resolution, 0, self._resolution)
        floor = np.minimum(x.astype(np.int64), self._resolution - 1)
        part = x - floor
        order = np.argsort(-part, axis=1, kind="stable")
        sorted_part = np.take_along_axis(part, order, axis=1)
        bounds = np.concatenate([np.ones((n, 1)), sorted_part, np.zeros((n, 1))], axis=1)
        weights = bounds[:, :-1] - bounds[:, 1:]
        codes = np.empty((n, dimension), dtype=np.int64)
        codes[:, 0] = floor @ self._base
        codes[:, 1:] = codes[:, :1] + self._base[order].cumsum(axis=1)
        return self._number[np.where(weights > 0, codes, codes[:, :1])], weights

    @cached_property
    def cells(self) -> np.ndarray:
        """The vertices of every cell, shape (cells, D): from a corner, one unit along each axis in some order."""
        axes, found = self._corners.shape[1], []
        if not axes:
            return np.zeros((1, 1), dtype=np.int64)
        for order in permutations(range(axes)):
            steps = np.concatenate([np.zeros((1, axes), dtype=np.int64), np.eye(axes, dtype=np.int64)[list(order)]])
            walk = self._corners[:, None] + steps.cumsum(axis=0)
            inside = ((np.diff(walk, axis=2) <= 0).all(axis=2) & (walk[..., 0] <= self._resolution)).all(axis=1)
            found.append(self._number[walk[inside] @ self._base])
        return np.concatenate(found)


class StandingGrid:
    """Points of the space of standings of Z classes (see `trim.pomdp.model`).

    The product of a grid on the masses, how likely each class is right and how likely any is
    wrong, and a coarser one on the classes' shares of the wrong mass, on which the value hardly
    depends. Between its points values are interpolated by convex combinations, which bound a
    convex function from above.

    Attributes:
        vertices: shape (V, 2Z): for each class right, wrong.

    Args:
        classes: Z.
        resolution: intervals along each edge of the masses' grid.
        coarse: parts that the shares' grid divides 1 into.
    """

    def __init__(self, classes: int, resolution: int, coarse: int) -> None:
        self._classes = classes
        self._masses, self._shares = Grid(classes + 1, resolution), Grid(classes, coarse)
        masses, shares = self._masses.vertices[:, None], self._shares.vertices
        pairs = np.broadcast_arrays(masses[..., :-1], masses[..., -1:] * shares)
        self.vertices = np.stack(pairs, axis=-1).reshape(-1, 2 * classes)

    def locate(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The vertices of the cell around each standing, and its weights on them.

        Args:
            points: shape (n, 2Z), each with sum 1.

        Returns:
            Indices and weights, shape (n, (Z + 1)Z) each.
        """
        right, wrong = np.moveaxis(points.reshape(len(points), self._classes, 2), 2, 0)
        total = wrong.sum(axis=1, keepdims=True)
        shares = np.where(total > 0, wrong / np.where(total > 0, total, 1), np.eye(self._classes)[0])
        index, weight = self._masses.locate(np.concatenate([right, total], axis=1))
        split, part = self._shares.locate(shares)
        vertices = index[:, :, None] * len(self._shares.vertices) + split[:, None]
        return vertices.reshape(len(points), -1), (weight[:, :, None] * part[:, None]).reshape(len(points), -1)

    def gap(self, upper: np.ndarray, vectors: np.ndarray, known: np.ndarray) -> np.ndarray:
        """A bound on the difference between interpolated values and the maximum of alpha-vectors.

        Args:
            upper: values at the vertices, shape (C, V).
            vectors: shape (C, V, D).
            known: lower limit of the bound, shape (C,); cells below it are skipped.

        Returns:
            Shape (C,).
        """
        cells = self.cells
        own = self.vertices[cells]  # (cells, D, coordinates)
        largest = known.copy()
        for c in range(len(upper)):
            below = np.einsum("sad,sbd->sab", vectors[c][cells], own)  # vector a at corner b
            excess = upper[c][cells][:, None] - below
            bound = excess.max(axis=2).min(axis=1)
            worst = np.argsort(-bound)[:_WORST]
            worst = worst[bound[worst] > known[c]]
            if len(worst):
                bound[worst] = _mixed(excess[worst])
                largest[c] = max(known[c], bound.max())
        return largest

    @cached_property
    def cells(self) -> np.ndarray:
        """The vertices of every cell, shape (cells, (Z + 1)Z)."""
        masses, shares = self._masses.cells[:, None, :, None], self._shares.cells[None, :, None]
        vertices = masses * len(self._shares.vertices) + shares
        return vertices.reshape(-1, vertices.shape[2] * vertices.shape[3])


def _mixed(excess: np.ndarray) -> np.ndarray:
    """A bound on the least of linear functions over a simplex, by mixtures of them.

    The least of the functions is at most any mixture of them, and that is largest at a corner.
    Fictitious play (Brown, 1951) finds a mixture whose largest value is small.

    Args:
        excess: value of function a at corner b, shape (n, A, B).

    Returns:
        Shape (n,).
    """
    everyone = np.arange(len(excess))
    cost, load = np.zeros(excess.shape[:2]), np.zeros(excess.shape[::2])
    best = excess.max(axis=2).min(axis=1)
    for plays in range(1, _PLAYS + 1):
        load += excess[everyone, cost.argmin(axis=1)]
        best = np.minimum(best, load.max(axis=1) / plays)
        cost += excess[everyone, :, load.argmax(axis=1)]
    return best
