"""A triangulated grid on the simplex (Freudenthal, 1942; Lovejoy, 1991)."""

from __future__ import annotations

from functools import cached_property
from itertools import combinations, permutations

import numpy as np


class Grid:
    """Points of a simplex whose coordinates are multiples of 1/resolution.

    Attributes:
        vertices: shape (V, D).

    Args:
        dimension: number of coordinates, D.
        resolution: intervals along each edge.
    """

    def __init__(self, dimension: int, resolution: int) -> None:
        self._resolution = resolution
        bars = np.array(list(combinations(range(resolution + dimension - 1), dimension - 1)))
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

    def gap(self, upper: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """A bound on the difference between interpolated values and the maximum of alpha-vectors.

        Args:
            upper: values at the vertices, shape (C, V).
            vectors: shape (C, V, D).

        Returns:
            Shape (C,).
        """
        cells = self._cells
        own = self.vertices[cells]  # (cells, D, coordinates)
        largest = np.zeros(len(upper))
        for c in range(len(upper)):
            values = upper[c][cells]  # (cells, D)
            below = np.einsum("sad,sbd->sab", vectors[c][cells], own)  # vector a at corner b
            excess = values[:, None] - below
            bound = _crossing(excess) if cells.shape[1] == 2 else excess.max(axis=2).min(axis=1)
            largest[c] = bound.max()
        return largest

    @cached_property
    def _cells(self) -> np.ndarray:
        """The vertices of every cell, shape (cells, D): from a corner, one unit along each axis in some order."""
        axes, found = self._corners.shape[1], []
        for order in permutations(range(axes)):
            steps = np.concatenate([np.zeros((1, axes), dtype=np.int64), np.eye(axes, dtype=np.int64)[list(order)]])
            walk = self._corners[:, None] + steps.cumsum(axis=0)
            inside = ((np.diff(walk, axis=2) <= 0).all(axis=2) & (walk[..., 0] <= self._resolution)).all(axis=1)
            found.append(self._number[walk[inside] @ self._base])
        return np.concatenate(found)


def _crossing(excess: np.ndarray) -> np.ndarray:
    """Largest value, on a segment, of the lesser of two linear functions given at its ends (n, 2, 2)."""
    first, second = excess[:, 0], excess[:, 1]
    ends = np.minimum(first, second).max(axis=1)
    slope = (first[:, 0] - second[:, 0]) - (first[:, 1] - second[:, 1])
    at = np.clip(np.divide(first[:, 0] - second[:, 0], slope, out=np.zeros_like(slope), where=slope != 0), 0, 1)
    return np.maximum(ends, np.minimum(*(e[:, 0] + at * (e[:, 1] - e[:, 0]) for e in (first, second))))
