"""Settings with a guarantee: Learn then Test (Angelopoulos et al., 2021) over a router's ordered settings.

A promise is that a mean over problems is above 0: of accuracy minus a share of always-strong's, or of a budget minus
the spending. The null hypothesis that it is not is tested for each setting, from the safest to the cheapest; testing
stops at the first setting that is not significant. So the chance that a chosen setting breaks the promise is at most
the risk, for any number of problems.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

Promise = Literal["accuracy", "spend"]
_BETS = np.geomspace(0.02, 0.9, 16)  # shares of the largest bet that cannot lose everything


class Outcomes(NamedTuple):
    """Results of a router's settings on n problems, and always-strong's on the same problems.

    Attributes:
        correct: shape (k, n), bool.
        tokens: strong tokens, shape (k, n).
        strong_correct, strong_tokens: always-strong's, shape (n,).
    """

    correct: np.ndarray
    tokens: np.ndarray
    strong_correct: np.ndarray
    strong_tokens: np.ndarray

    def margins(self, promise: Promise, level: float) -> tuple[np.ndarray, float]:
        """Margins of each setting on each problem, shape (k, n), and their lower bound.

        Args:
            promise: an accuracy of at least `level` times always-strong's, or at most `level` times its tokens. The
                longest solution seen is taken for the longest possible one.
            level: see above.
        """
        if promise == "accuracy":
            return self.correct - level * self.strong_correct, -level
        longest = max(self.tokens.max(), self.strong_tokens.max())
        return level * self.strong_tokens - self.tokens, -float(longest)


def p_values(margins: np.ndarray, least: float) -> np.ndarray:
    """P-values of k means against "0 or less", shape (k, n) -> (k,), in (0, 1].

    By betting (Waudby-Smith and Ramdas, 2024): capital that grows by 1 + bet · margin from problem to problem cannot be
    expected to grow if the mean is not above 0, so that it is above 1/p at any time with probability p at most (Ville,
    1939). Several bets of fixed size share the first unit of capital.

    Args:
        margins: independent over problems.
        least: lower bound of the margins, below 0.
    """
    bets = _BETS[:, None] / -least
    capital = np.stack([np.log1p(bets * row).cumsum(axis=1) for row in margins])  # (k, bets, n)
    most = np.logaddexp.reduce(capital, axis=1).max(axis=1) - np.log(len(_BETS))
    return np.exp(-np.maximum(most, 0))


def choose(margins: np.ndarray, least: float, risk: float) -> int | None:
    """The last of k settings, safest first, before the first that is not significant; None if there is none.

    Args:
        margins: see `p_values`.
        least: see `p_values`.
        risk: the largest probability that the chosen setting breaks the promise.
    """
    significant = int(np.cumprod(p_values(margins, least) <= risk).sum())  # in a row, from the first
    return significant - 1 if significant else None


def problems_needed(margins: np.ndarray, least: float, risk: float) -> int | None:
    """About how many problems would certify a mean like that of these margins; None if the mean is not above 0.

    Args:
        margins: of one setting, shape (n,).
        least: see `p_values`.
        risk: see `choose`.
    """
    growth = np.log1p(_BETS[:, None] / -least * margins).mean(axis=1).max()
    return int(np.ceil(np.log(len(_BETS) / risk) / growth)) if growth > 0 else None
