"""Hashes that identify a cause, and random numbers that depend only on such a key."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def digest(*parts: bytes) -> bytes:
    """16 bytes that identify `parts`, boundaries included."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(len(part).to_bytes(8, "little") + part)
    return state.digest()


def _mix(x: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def seeds(keys: Sequence[bytes]) -> np.ndarray:
    """The keys, 16 bytes each, as an array of shape (n, 2)."""
    return np.frombuffer(b"".join(keys), dtype="<u8").reshape(len(keys), 2)


def seed(key: bytes) -> int:
    """A number below 2^63 from a key, for generators that take a seed."""
    return int.from_bytes(key[:8], "little") >> 1


def uniforms(seeds: np.ndarray, position: int) -> np.ndarray:
    """The numbers in [0, 1) at `position` of each stream, shape (n,)."""
    counter = _mix(seeds[:, 0] + np.uint64((position + 1) * int(_GOLDEN) % 2**64))
    return (_mix(counter ^ seeds[:, 1]) >> np.uint64(11)) * 2.0**-53
