"""The grid by tiny-cuda-nn's encodings, one of a single level for each level.

Its grids have R vertices along every axis and put a point x at x * (R - 1) + 0.5. With R one more
than our longest axis has, points can be given so that they land where ours do. Hashes then agree;
tables that are not hashed are spread over its R**d entries.
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
_MOST_ENTRIES = 1 << 24  # of a table that is spread
_ALIGNMENT = 8  # of the number of entries


def refusal(tables: Sequence[Tensor], resolutions: Sequence[tuple[int, ...]]) -> str | None:
    """Why these levels are not for it, or None; see `encode`."""
    if tables[0].shape[1] not in _FEATURES:
        return f"it has {_FEATURES} features, not {tables[0].shape[1]}"
    for table, resolution in zip(tables, resolutions, strict=True):
        if not _hashed(table, resolution) and _side(resolution) ** len(resolution) > _MOST_ENTRIES:
            return f"its grids are as fine along every axis, which {resolution} is too long for"
    return None


def encode(x: Tensor, tables: Sequence[Tensor], resolutions: Sequence[tuple[int, ...]]) -> Tensor:
    """Look points up in all levels; see `torch_grid.encode`."""
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
    # With as many entries as are hashed to, or with one for each vertex.
    log2_entries = (entries - 1).bit_length() if hashed else 0
    encoding = _encoding(len(resolution), features, side, log2_entries, x.device)
    if not hashed:
        total = side ** len(resolution)
        places = _places(resolution, x.device)
        spread = table.new_zeros(total + -total % _ALIGNMENT, features)
        table = spread.index_copy(0, places, table)
    last = torch.tensor([count - 1.0 for count in resolution], device=x.device)
    there = (x * last - 0.5) / (side - 1)
    made: Tensor = torch.func.functional_call(encoding, {"params": table.flatten()}, (there,))
    return made.float()


def _hashed(table: Tensor, resolution: tuple[int, ...]) -> bool:
    return len(table) < prod(resolution)


def _side(resolution: tuple[int, ...]) -> int:
    return max(resolution) + 1


@lru_cache(maxsize=256)
def _places(resolution: tuple[int, ...], device: torch.device) -> Tensor:
    """Where entries of a table that is not hashed are in one of R**d."""
    axes = [torch.arange(count, device=device) for count in reversed(resolution)]
    place = torch.zeros((), dtype=torch.int64, device=device)
    for vertices in axes:  # the slowest first
        place = place[..., None] * _side(resolution) + vertices
    return place.flatten()


@lru_cache(maxsize=256)
def _encoding(axes: int, features: int, side: int, log2_entries: int, device: torch.device) -> Any:
    """The native encoding; its own parameters are never used."""
    config = {
        "otype": "Grid",
        "type": "Hash" if log2_entries else "Dense",
        "n_levels": 1,
        "n_features_per_level": features,
        "base_resolution": side,
        "per_level_scale": 1.0,  # its default divides by the number of levels less one
        "interpolation": "Linear",
    }
    if log2_entries:
        config["log2_hashmap_size"] = log2_entries
    return tinycudann.Encoding(axes, config, dtype=torch.float32).to(device)
