"""Which of some vectors is nearest to each of many others, near in time: linear in their number."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nvcodec.tokenizer.token_ids import LEVELS
from nvcodec.tokens.grid import TokenGrid

Vectors = npt.NDArray[np.float32]
_KEYS = 1024  # vectors that one is compared with at most
_CHUNK = 1024  # vectors compared at a time


def distances(queries: Vectors, keys: Vectors) -> Vectors:
    """Squared distances of M vectors to K others, shape (M, K)."""
    far: Vectors = (queries**2).sum(1)[:, None] - 2 * (queries @ keys.T) + (keys**2).sum(1)
    return far


def nearest(
    queries: Vectors, keys: Vectors, places: npt.NDArray[np.floating[Any] | np.integer[Any]]
) -> tuple[npt.NDArray[np.int64], Vectors]:
    """The nearest key of each query, among the 1024 that are next to it in the order of time.

    Args:
        queries: N vectors in order of time, shape (N, F).
        keys: K vectors, likewise, shape (K, F).
        places: Where each key lies among the queries, 0 to N, increasing, shape (K,).

    Returns:
        Numbers of keys, shape (N,), the first of several as near; squared distances, shape (N,).
    """
    chosen = np.empty(len(queries), np.int64)
    far = np.empty(len(queries), np.float32)
    for begin in range(0, len(queries), _CHUNK):
        some = queries[begin : begin + _CHUNK]
        middle = int(np.searchsorted(places, begin + len(some) / 2))
        first = max(min(middle - _KEYS // 2, len(keys) - _KEYS), 0)
        table = distances(some, keys[first : first + _KEYS])
        best = table.argmin(1)
        chosen[begin : begin + _CHUNK] = first + best
        far[begin : begin + _CHUNK] = table[np.arange(len(some)), best]
    return chosen, far


def placed_codes(grid: TokenGrid) -> Vectors:
    """Codes with their place in time and in the picture as three more channels, -1 to 1.

    Returns:
        Shape (tokens, 9).
    """
    axes = [np.linspace(-1, 1, length) if length > 1 else np.zeros(1) for length in grid.shape]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), -1).astype(np.float32)
    both: Vectors = np.concatenate([grid.codes, places], -1).reshape(-1, len(LEVELS) + 3)
    return both
