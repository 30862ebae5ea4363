"""Reduction by merging similar tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nvcodec.tokenizer.token_ids import LEVELS
from nvcodec.tokens.grid import TokenGrid
from nvcodec.tokens.reduction.nearest import Vectors, distances, nearest, placed_codes
from nvcodec.tokens.reduction.partition import space_first
from nvcodec.tokens.sequence import Tokens, grouped

_WINDOW = 1024  # tokens of each of the two halves that are compared with each other
_ROUNDS = 3


def tome(grid: TokenGrid, budget: int) -> Tokens:
    """Merge the most similar pairs of tokens, round by round (ToMe, Bolya et al., ICLR 2023).

    In each round, the tokens are split into random halves, with a fixed seed. Every token of the
    first half is a candidate to merge into the nearest token of the second. The closest pairs are
    merged: a quarter of all tokens, but at most half of the excess, because a token may have to wait
    for a round in which its nearest token is in the other half. Averages are weighted by the number
    of tokens that each represents. As in LongVLM and B-VLLM, a token is only compared with tokens
    of about the same time: 1024 of the other half, which cover more time as tokens become fewer.
    The distance is Euclidean, not an angle, because the length of a code carries information.

    Args:
        grid: Tokens of a video.
        budget: Number of tokens, less than that of the grid.
    """
    codes = grid.codes.reshape(-1, len(LEVELS))
    labels = merged_down(codes, np.ones(len(codes), np.int64), budget)
    return grouped(grid, labels.reshape(grid.shape), "tome")


def merged_down(
    codes: Vectors, counts: npt.NDArray[np.int64], budget: int
) -> npt.NDArray[np.int64]:
    """Merge tokens as `tome` does, until `budget` groups remain.

    Args:
        codes: Code vectors of N tokens in order of time, shape (N, 6).
        counts: Number of tokens of the grid that each represents, shape (N,).
        budget: Number of groups, at most N.

    Returns:
        Group of each token, shape (N,).
    """
    labels = np.arange(len(codes))
    chance = np.random.default_rng(0)
    while len(codes) > budget:
        pairs = min(len(codes) // 4, (len(codes) - budget) // 2)
        groups = _merge_pairs(codes, max(pairs, 1), chance)
        weights = np.bincount(groups, counts)
        sums = [np.bincount(groups, counts * channel) for channel in codes.T]
        codes = (np.stack(sums, 1) / weights[:, None]).astype(np.float32)
        counts = weights.astype(np.int64)
        labels = groups[labels]
    return labels


def _merge_pairs(codes: Vectors, count: int, chance: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the group of each token after a round that merges `count` pairs, shape (N,)."""
    half = len(codes) // 2
    order = chance.permutation(len(codes))
    moving, staying = np.sort(order[:half]), np.sort(order[half:])
    partner = np.empty_like(moving)
    far = np.empty(half, np.float32)
    for begin in range(0, half, _WINDOW):
        candidates = moving[begin : begin + _WINDOW]
        targets = staying[begin : begin + _WINDOW]
        table = distances(codes[candidates], codes[targets])
        best = table.argmin(1)
        partner[begin : begin + _WINDOW] = targets[best]
        far[begin : begin + _WINDOW] = table[np.arange(len(candidates)), best]
    merged = np.argsort(far, kind="stable")[:count]
    stays = np.ones(len(codes), np.bool_)
    stays[moving[merged]] = False
    groups = np.cumsum(stays) - 1
    groups[moving[merged]] = groups[partner[merged]]
    return groups


def slots(grid: TokenGrid, budget: int) -> Tokens:
    """Assign every token to the slot that is nearest in code and position (after VTG-LLM).

    VTG-LLM learns its slots and distributes every token over all of them. Here, a slot is the
    average of its tokens: first those of `pool_t`, then those of three rounds of k-means. Nothing is
    random. An empty slot takes the token that is farthest from its own slot.

    Args:
        grid: Tokens of a video.
        budget: Number of tokens, less than that of the grid.
    """
    vectors = placed_codes(grid)
    labels: npt.NDArray[np.int64] = space_first(*grid.shape, budget).reshape(-1)
    for _ in range(_ROUNDS):
        slot, places = _averages(vectors, labels, budget)
        order = np.argsort(places, kind="stable")
        chosen, far = nearest(vectors, slot[order], places[order])
        labels = _fill_empty(order[chosen], far, budget)
    return grouped(grid, labels.reshape(grid.shape), "slots")


def _averages(
    vectors: Vectors, labels: npt.NDArray[np.int64], groups: int
) -> tuple[Vectors, npt.NDArray[np.float64]]:
    """Return the mean vector of every group, and the mean position of its members in time order."""
    counts = np.bincount(labels, minlength=groups)
    sums = [np.bincount(labels, channel, groups) for channel in vectors.T]
    places = np.bincount(labels, np.arange(len(labels)), groups) / counts
    return (np.stack(sums, 1) / counts[:, None]).astype(np.float32), places


def _fill_empty(
    labels: npt.NDArray[np.int64], far: npt.NDArray[np.floating[Any]], groups: int
) -> npt.NDArray[np.int64]:
    """Move the tokens that are farthest from their groups to the empty groups."""
    counts = np.bincount(labels, minlength=groups)
    empty = np.flatnonzero(counts == 0).tolist()
    if not empty:
        return labels
    labels = labels.copy()
    for token in np.argsort(-far, kind="stable").tolist():
        if not empty:
            break
        if counts[labels[token]] > 1:
            counts[labels[token]] -= 1
            labels[token] = empty.pop()
    return labels
