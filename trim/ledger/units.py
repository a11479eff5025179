"""The cost of calls in every unit: the one place where tokens get a price."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from trim.ledger.calls import ROLES
from trim.models.cost import ModelCost

# `none`: every call reads its whole prompt, as with a stateless server; `prefix`: each model keeps its own cache;
# `billed`: a server's reported usage, and `prefix` for the calls of local models.
Regime = Literal["none", "prefix", "billed"]
REGIMES: tuple[Regime, ...] = get_args(Regime)
REGIME_TITLES = {
    "prefix": "each model keeps a prefix cache",
    "none": "every call reads all again",
    "billed": "as billed",
}
# Tokens that the strong model writes are the paper's unit.
UNIT_TITLES = {
    "strong_tokens": "strong tokens written",
    "strong_passes": "strong passes",
    "all_tokens": "all tokens",
    "flops": "FLOPs",
    "flops_without_prm": "FLOPs without PRM",
    "money": "money",
    "latency": "latency",
    "latency_decoding": "latency, writing",
    "latency_reading": "latency, reading",
}
UNITS = tuple(UNIT_TITLES)
WRITTEN = ("strong_tokens", "latency_decoding")  # units of written tokens only


def totals(calls: Mapping[str, Any], of: np.ndarray, episodes: int, regime: Regime = "prefix") -> dict[str, np.ndarray]:
    """Calls and tokens of every model in each of n episodes: ROLE_calls, ROLE_read, ROLE_cached and ROLE_written.

    Args:
        calls: columns of calls; see `trim.ledger.calls.columns`.
        of: the episode of each call, from 0.
        episodes: n.
        regime: the tokens of a prompt that a call reads; the rest is found in a cache.
    """
    prompt, read = (
        np.asarray(calls[name], dtype=float) for name in ("prompt", "prompt" if regime == "none" else "fresh")
    )
    cached = prompt - read
    if regime == "billed":
        billed, kept = (np.asarray(calls[name], dtype=float) for name in ("billed", "billed_cached"))
        reported = np.isfinite(billed) & (np.asarray(calls["calls"]) > 0)
        read, cached = np.where(reported, billed - kept, read), np.where(reported, kept, cached)
    amounts = {"calls": calls["calls"], "read": read, "cached": cached, "written": calls["written"]}
    found = {}
    for role in ROLES:
        mine = np.flatnonzero(np.asarray(calls["role"]) == role)
        for name, amount in amounts.items():
            found[f"{role}_{name}"] = np.bincount(of[mine], np.asarray(amount)[mine], episodes)
    return found


def in_units(total: Mapping[str, np.ndarray], models: Mapping[str, ModelCost]) -> dict[str, np.ndarray]:
    """Each of `UNITS`, from totals named as by `totals`."""
    flops, money, decoding, reading, waiting = (dict[str, np.ndarray]() for _ in range(5))
    for role, model in models.items():
        calls, read, cached, written = (total[f"{role}_{name}"] for name in ("calls", "read", "cached", "written"))
        flops[role] = model.flops(read + written)
        money[role] = model.money(read, cached, written)
        decoding[role] = model.latency_per_token * written
        reading[role] = model.latency_per_read * read
        waiting[role] = model.latency_per_call * calls
    return {
        "strong_tokens": total["strong_written"],
        "strong_passes": total["strong_read"] + total["strong_written"],
        "all_tokens": sum(total[f"{role}_{kind}"] for role in ROLES for kind in ("read", "written")),
        "flops": sum(flops.values()),
        "flops_without_prm": flops["weak"] + flops["strong"],
        "money": sum(money.values()),
        "latency": sum(decoding.values()) + sum(reading.values()) + sum(waiting.values()),
        "latency_decoding": sum(decoding.values()),
        "latency_reading": sum(reading.values()),
    }


class TokenPrices(NamedTuple):
    """Prices of a model's tokens: read, found in its cache, written."""

    read: float
    cached: float
    written: float


def token_prices(models: Mapping[str, ModelCost], unit: str) -> dict[str, TokenPrices]:
    """Prices of each model's tokens by role, in strong tokens, FLOPs or money: units in which a call itself is free."""
    kinds = ("calls", *TokenPrices._fields)

    def price(role: str, kind: str) -> float:
        one = {f"{other}_{k}": np.array(float((other, k) == (role, kind))) for other in ROLES for k in kinds}
        return float(in_units(one, models)[unit])

    return {role: TokenPrices(*(price(role, kind) for kind in TokenPrices._fields)) for role in models}
