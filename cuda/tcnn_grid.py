"""The tiny-cuda-nn backend of grids: one encoding of a single level per level.

Grids of tiny-cuda-nn have R vertices along every axis, and a point x lies at x * (R - 1) + 0.5. We
choose R as one more than the vertices of our longest axis and transform the coordinates, so that
points lie at our positions. Hashed indices then agree with ours; tables that are not hashed are
scattered into one of R**d entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any

import tinycudann
import torch
from torch import Tensor

_FEATURES = (1, 2, 4, 8)
_MOST_ENTRIES = 1 << 24  # of a scattered table
_ALIGNMENT = 8  # the number of entries is a multiple of it


def refusal(tables: Sequence[Tensor], resolutions: Sequence[tuple[int, ...]]) -> str | None:
    """Return the reason why tiny-cuda-nn cannot compute these levels, or None.

    Args:
        tables: Entries of each level, shape (entries, features).
        resolutions: Vertices along each axis of each level.
    """
    if tables[0].shape[1] not in _FEATURES:
        return f"it supports {_FEATURES} features, not {tables[0].shape[1]}"
    for table, resolution in zip(tables, resolutions, strict=True):
        if not _hashed(table, resolution) and _side(resolution) ** len(resolution) > _MOST_ENTRIES:
            return (
                f"its grids are equally long along every axis, for which {resolution} is too long"
            )
    return None


def encode(x: Tensor, tables: Sequence[Tensor], resolutions: Sequence[tuple[int, ...]]) -> Tensor:
    """Interpolate the features of points in all levels.

    Args:
        x: Points, shape (N, axes), float32 in [0, 1].
        tables: Entries of each level, shape (entries, features), float32.
        resolutions: Vertices along each axis of each level.

    Returns:
        Shape (N, levels * features), float32.
    """
    return torch.cat(
        [
            _level(x, table, resolution)
            for table, resolution in zip(tables, resolutions, strict=True)
        ],
        dim=1,
    )


def _level(x: Tensor, table: Tensor, resolution: tuple[int, ...]) -> Tensor:
    side, hashed = _side(resolution), _hashed(table, resolution)
    entries, features = table.shape
    # 0 stands for a table with one entry for each vertex.
    log2_entries = (entries - 1).bit_length() if hashed else 0
    encoding = _encoding(len(resolution), features, side, log2_entries, x.device)
    if not hashed:
        total = side ** len(resolution)
        indices = _scattered_indices(resolution, x.device)
        scattered = table.new_zeros(total + -total % _ALIGNMENT, features)
        table = scattered.index_copy(0, indices, table)
    last = torch.tensor([count - 1.0 for count in resolution], device=x.device)
    points = (x * last - 0.5) / (side - 1)
    encoded: Tensor = torch.func.functional_call(encoding, {"params": table.flatten()}, (points,))
    return encoded.float()


def _hashed(table: Tensor, resolution: tuple[int, ...]) -> bool:
    return len(table) < prod(resolution)


def _side(resolution: tuple[int, ...]) -> int:
    return max(resolution) + 1


@lru_cache(maxsize=256)
def _scattered_indices(resolution: tuple[int, ...], device: torch.device) -> Tensor:
    """Return the indices of a dense table's entries in a table of R**d entries."""
    axes = [torch.arange(count, device=device) for count in reversed(resolution)]
    index = torch.zeros((), dtype=torch.int64, device=device)
    for vertices in axes:  # from the slowest axis to the fastest
        index = index[..., None] * _side(resolution) + vertices
    return index.flatten()


@lru_cache(maxsize=256)
def _encoding(axes: int, features: int, side: int, log2_entries: int, device: torch.device) -> Any:
    """Return a native encoding of one level; its own parameters are never used."""
    config = {
        "otype": "Grid",
        "type": "Hash" if log2_entries else "Dense",
        "n_levels": 1,
        "n_features_per_level": features,
        "base_resolution": side,
        "per_level_scale": 1.0,  # the default divides by the number of levels minus one
        "interpolation": "Linear",
    }
    if log2_entries:
        config["log2_hashmap_size"] = log2_entries
    return tinycudann.Encoding(axes, config, dtype=torch.float32).to(device)
