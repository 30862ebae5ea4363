"""Fewer tokens where little happens: time is cut where the picture changes, then averaged."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nvcodec.tokens.grid import TokenGrid
from nvcodec.tokens.reduction.partition import Labels, shares, space_first
from nvcodec.tokens.sequence import Tokens, grouped

_MOMENTUM = 0.8
_STEPS_OF_CUBE = 5
_DEEP = 0.5  # standard deviations above the mean


def cubes(grid: TokenGrid, budget: int) -> Tokens:
    """Stretches of five steps on the average, as many tokens each (after Quicksviewer).

    Quicksviewer lets a network place the cuts, from differences between frames and their momentum
    (0.8 of what it was and 0.2 of what is new). Here they lie where a difference exceeds the momentum
    before it the most. A stretch is then averaged over time, cell by cell, and over areas where
    its tokens are fewer than cells.
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
    return _averaged(grid, cuts, budget, "cubes", by_length=False)


def scenes(grid: TokenGrid, budget: int) -> Tokens:
    """Scenes between deep valleys of similarity, tokens by their lengths (VideoLLaMB, SceneTiling).

    The depth of a valley is how far the similarity of neighbouring steps climbs on either side, as
    TextTiling has it (Hearst, 1997); those deeper than the mean by half a standard deviation cut.
    """
    vectors = grid.codes.reshape(grid.shape[0], -1).astype(np.float64)
    norms = np.sqrt((vectors**2).sum(1))
    alike = (vectors[1:] * vectors[:-1]).sum(1) / np.maximum(norms[1:] * norms[:-1], 1e-12)
    deep = depths(alike)
    limit = deep.mean() + _DEEP * deep.std() if len(deep) else 0.0
    found = np.flatnonzero(deep > limit)
    found = found[np.argsort(-deep[found], kind="stable")[: budget - 1]]
    return _averaged(grid, np.sort(found) + 1, budget, "scenes", by_length=True)


def depths(alike: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How deep each valley is: the mean climb to the next peaks on both sides, 0 elsewhere."""
    climbs = []
    for values in (alike, alike[::-1]):
        peak = values.copy()
        for place in range(1, len(values)):
            if values[place - 1] >= values[place]:
                peak[place] = peak[place - 1]
        climbs.append(peak - values)
    left, right = climbs[0], climbs[1][::-1]
    deep: npt.NDArray[np.float64] = (left + right) / 2
    # On a slope only one side climbs.
    padded = np.pad(alike, 1, constant_values=np.inf)
    deep[(padded[:-2] < alike) | (padded[2:] < alike)] = 0
    return deep


def _averaged(
    grid: TokenGrid, cuts: Labels, budget: int, method: str, *, by_length: bool
) -> Tokens:
    """Every stretch between cuts, averaged to its share of the tokens."""
    steps, height, width = grid.shape
    edges = [0, *cuts.tolist(), steps]
    lengths = np.diff(edges)
    weights = lengths.astype(np.float64) if by_length else np.ones(len(lengths))
    given = shares(budget, weights, lengths * height * width)
    parts, first = [], 0
    for length, count in zip(lengths.tolist(), given.tolist(), strict=True):
        parts.append(first + space_first(length, height, width, count))
        first += count
    return grouped(grid, np.concatenate(parts), method)
