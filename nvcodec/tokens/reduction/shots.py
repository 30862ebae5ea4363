"""Reduction by shots: time is cut where the picture changes, and each part is averaged."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nvcodec.tokens.grid import TokenGrid
from nvcodec.tokens.reduction.partition import Labels, shares, space_first
from nvcodec.tokens.sequence import Tokens, grouped

_MOMENTUM = 0.8
_STEPS_OF_CUBE = 5
_DEEP = 0.5  # depth of a valley that cuts, in standard deviations above the mean


def cubes(grid: TokenGrid, budget: int) -> Tokens:
    """Cut time into parts of five time steps on average, with equal budgets (after Quicksviewer).

    In Quicksviewer, a network places the cuts, from differences between frames and their momentum
    (0.8 of the previous momentum and 0.2 of the new difference). Here, cuts lie where a difference
    exceeds the previous momentum the most. Each part is averaged over time, cell by cell, and also
    over areas if its budget is less than the number of cells.

    Args:
        grid: Tokens of a video.
        budget: Number of tokens, less than that of the grid.
    """
    steps = grid.shape[0]
    count = max(min(round(steps / _STEPS_OF_CUBE), budget), 1)
    vectors = grid.codes.reshape(steps, -1)
    difference = np.sqrt(((vectors[1:] - vectors[:-1]) ** 2).mean(1, dtype=np.float64))
    surprise = np.empty_like(difference)
    momentum = difference[0] if steps > 1 else 0.0
    for place, value in enumerate(difference.tolist()):
        surprise[place] = value - momentum
        momentum = _MOMENTUM * momentum + (1 - _MOMENTUM) * value
    cuts = np.sort(np.argsort(-surprise, kind="stable")[: count - 1]) + 1
    return _average_parts(grid, cuts, budget, "cubes", by_length=False)


def scenes(grid: TokenGrid, budget: int) -> Tokens:
    """Cut time at deep valleys of similarity, with budgets by length (VideoLLaMB, SceneTiling).

    The depth of a valley is how far the similarity of neighbouring time steps climbs on either
    side, as in TextTiling (Hearst, 1997). Valleys that are deeper than the mean by half a standard
    deviation cut.

    Args:
        grid: Tokens of a video.
        budget: Number of tokens, less than that of the grid.
    """
    vectors = grid.codes.reshape(grid.shape[0], -1).astype(np.float64)
    norms = np.sqrt((vectors**2).sum(1))
    similarity = (vectors[1:] * vectors[:-1]).sum(1) / np.maximum(norms[1:] * norms[:-1], 1e-12)
    deep = depths(similarity)
    limit = deep.mean() + _DEEP * deep.std() if len(deep) else 0.0
    valleys = np.flatnonzero(deep > limit)
    valleys = valleys[np.argsort(-deep[valleys], kind="stable")[: budget - 1]]
    return _average_parts(grid, np.sort(valleys) + 1, budget, "scenes", by_length=True)


def depths(similarity: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the depth of each valley: the mean climb to the next peaks on both sides.

    Args:
        similarity: Similarity of neighbouring time steps, shape (N,).

    Returns:
        Depths, shape (N,); 0 outside valleys.
    """
    climbs = []
    for values in (similarity, similarity[::-1]):
        peak = values.copy()
        for place in range(1, len(values)):
            if values[place - 1] >= values[place]:
                peak[place] = peak[place - 1]
        climbs.append(peak - values)
    left, right = climbs[0], climbs[1][::-1]
    deep: npt.NDArray[np.float64] = (left + right) / 2
    # On a slope, only one side climbs.
    padded = np.pad(similarity, 1, constant_values=np.inf)
    deep[(padded[:-2] < similarity) | (padded[2:] < similarity)] = 0
    return deep


def _average_parts(
    grid: TokenGrid, cuts: Labels, budget: int, method: str, *, by_length: bool
) -> Tokens:
    """Average each part between cuts to its share of the budget."""
    steps, height, width = grid.shape
    edges = [0, *cuts.tolist(), steps]
    lengths = np.diff(edges)
    weights = lengths.astype(np.float64) if by_length else np.ones(len(lengths))
    counts = shares(budget, weights, lengths * height * width)
    parts, first = [], 0
    for length, count in zip(lengths.tolist(), counts.tolist(), strict=True):
        parts.append(first + space_first(length, height, width, count))
        first += count
    return grouped(grid, np.concatenate(parts), method)
