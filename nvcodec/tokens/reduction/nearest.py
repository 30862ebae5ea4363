"""Search for the nearest of many vectors within a window of time, in linear time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nvcodec.tokenizer.token_ids import LEVELS
from nvcodec.tokens.grid import TokenGrid

Vectors = npt.NDArray[np.float32]
_KEYS = 1024  # largest number of keys that a query is compared with
_CHUNK = 1024  # queries compared at a time


def distances(queries: Vectors, keys: Vectors) -> Vectors:
    """Return the squared distances of M queries to K keys, shape (M, K).

    Args:
        queries: M vectors, shape (M, F).
        keys: K vectors, shape (K, F).
    """
    far: Vectors = (queries**2).sum(1)[:, None] - 2 * (queries @ keys.T) + (keys**2).sum(1)
    return far


def nearest(
    queries: Vectors, keys: Vectors, places: npt.NDArray[np.floating[Any] | np.integer[Any]]
) -> tuple[npt.NDArray[np.int64], Vectors]:
    """Return the nearest key of each query, among the 1024 keys around it in the order of time.

    Args:
        queries: N vectors in order of time, shape (N, F).
        keys: K vectors in order of time, shape (K, F).
        places: Position of each key among the queries, 0 to N, increasing, shape (K,).

    Returns:
        Number of the nearest key of each query, the first of equally near ones, shape (N,), and its
        squared distance, shape (N,).
    """
    chosen = np.empty(len(queries), np.int64)
    far = np.empty(len(queries), np.float32)
    for begin in range(0, len(queries), _CHUNK):
        chunk = queries[begin : begin + _CHUNK]
        middle = int(np.searchsorted(places, begin + len(chunk) / 2))
        first = max(min(middle - _KEYS // 2, len(keys) - _KEYS), 0)
        table = distances(chunk, keys[first : first + _KEYS])
        best = table.argmin(1)
        chosen[begin : begin + _CHUNK] = first + best
        far[begin : begin + _CHUNK] = table[np.arange(len(chunk)), best]
    return chosen, far


def placed_codes(grid: TokenGrid) -> Vectors:
    """Return code vectors with time, row and column as three more channels, each -1 to 1.

    Args:
        grid: Tokens of a video.

    Returns:
        Shape (tokens, 9).
    """
    axes = [np.linspace(-1, 1, length) if length > 1 else np.zeros(1) for length in grid.shape]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), -1).astype(np.float32)
    vectors: Vectors = np.concatenate([grid.codes, places], -1).reshape(-1, len(LEVELS) + 3)
    return vectors
