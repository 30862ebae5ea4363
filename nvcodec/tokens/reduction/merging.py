"""Fewer tokens by joining those that are alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nvcodec.tokenizer.token_ids import LEVELS
from nvcodec.tokens.grid import TokenGrid
from nvcodec.tokens.reduction.nearest import Vectors, distances, nearest, placed_codes
from nvcodec.tokens.reduction.partition import space_first
from nvcodec.tokens.sequence import Tokens, grouped

_WINDOW = 1024  # tokens of each of the two sets that are compared with each other
_ROUNDS = 3


def tome(grid: TokenGrid, budget: int) -> Tokens:
    """Pairs that are most alike become one, round by round (ToMe, Bolya et al., ICLR 2023).

    In a round every token of a random half, always the same, may join the nearest one of the other
    half, and the closest do: a quarter of all, and no more than half of those that are to go, for many have to
    wait for a round in which what they resemble is in the other half. Averages count how many
    tokens each stands for. As in LongVLM and B-VLLM, tokens meet those of about the same time:
    1024 of the other half, further away as they become fewer. Nearness is distance rather than
    angle, for the length of a code means something.
    """
    codes = grid.codes.reshape(-1, len(LEVELS))
    labels = merged_down(codes, np.ones(len(codes), np.int64), budget)
    return grouped(grid, labels.reshape(grid.shape), "tome")


def merged_down(
    codes: Vectors, counts: npt.NDArray[np.int64], budget: int
) -> npt.NDArray[np.int64]:
    """Which of `budget` groups each token ends in; see `tome`.

    Args:
        codes: N tokens in order of time, shape (N, 6).
        counts: How many each stands for already, shape (N,).
        budget: At most N.

    Returns:
        Shape (N,).
    """
    labels = np.arange(len(codes))
    chance = np.random.default_rng(0)
    while len(codes) > budget:
        most = min(len(codes) // 4, (len(codes) - budget) // 2)
        into = _joined(codes, max(most, 1), chance)
        weights = np.bincount(into, counts)
        sums = [np.bincount(into, counts * channel) for channel in codes.T]
        codes = (np.stack(sums, 1) / weights[:, None]).astype(np.float32)
        counts = weights.astype(np.int64)
        labels = into[labels]
    return labels


def _joined(codes: Vectors, count: int, chance: np.random.Generator) -> npt.NDArray[np.int64]:
    """Where each token goes in a round after which there are `count` fewer, shape (N,)."""
    half = len(codes) // 2
    order = chance.permutation(len(codes))
    moving, staying = np.sort(order[:half]), np.sort(order[half:])
    partner = np.empty_like(moving)
    far = np.empty(half, np.float32)
    for begin in range(0, half, _WINDOW):
        some = moving[begin : begin + _WINDOW]
        others = staying[begin : begin + _WINDOW]
        table = distances(codes[some], codes[others])
        best = table.argmin(1)
        partner[begin : begin + _WINDOW] = others[best]
        far[begin : begin + _WINDOW] = table[np.arange(len(some)), best]
    leaving = np.argsort(far, kind="stable")[:count]
    stays = np.ones(len(codes), np.bool_)
    stays[moving[leaving]] = False
    into = np.cumsum(stays) - 1
    into[moving[leaving]] = into[partner[leaving]]
    return into


def slots(grid: TokenGrid, budget: int) -> Tokens:
    """Every token goes to the slot that is nearest to it in code and place (after VTG-LLM).

    VTG-LLM learns its slots and shares every token among all of them. Here a slot is the average of
    what went to it: at first as for `pool_t`, then in three rounds of k-means; nothing is random. A
    slot that nothing goes to takes the token that is furthest from its own.
    """
    placed = placed_codes(grid)
    labels: npt.NDArray[np.int64] = space_first(*grid.shape, budget).reshape(-1)
    for _ in range(_ROUNDS):
        slot, places = _averages(placed, labels, budget)
        order = np.argsort(places, kind="stable")
        chosen, far = nearest(placed, slot[order], places[order])
        labels = _filled(order[chosen], far, budget)
    return grouped(grid, labels.reshape(grid.shape), "slots")


def _averages(
    vectors: Vectors, labels: npt.NDArray[np.int64], groups: int
) -> tuple[Vectors, npt.NDArray[np.float64]]:
    """The mean of every group, and the mean of its members' numbers."""
    counts = np.bincount(labels, minlength=groups)
    sums = [np.bincount(labels, channel, groups) for channel in vectors.T]
    places = np.bincount(labels, np.arange(len(labels)), groups) / counts
    return (np.stack(sums, 1) / counts[:, None]).astype(np.float32), places


def _filled(
    labels: npt.NDArray[np.int64], far: npt.NDArray[np.floating[Any]], groups: int
) -> npt.NDArray[np.int64]:
    """The same groups, but none empty."""
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
