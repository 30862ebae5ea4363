"""Token ids: six FSQ indices packed into one integer, and the code vectors that they stand for.

A token is a vector quantised by finite scalar quantisation (FSQ; Mentzer et al., ICLR 2024): one
index per channel, with as many values as the channel has FSQ levels. Ids and indices are computed
in integers, because half precision cannot hold every id.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from nvcodec.errors import ConfigError

LEVELS = (8, 8, 8, 5, 5, 5)
"""Number of FSQ levels of each channel. The first runs fastest in an id. Part of the format."""
IDS = prod(LEVELS)
"""Number of ids: 64,000."""
_WEIGHTS = np.array([prod(LEVELS[:place]) for place in range(len(LEVELS))], np.int64)
_COUNTS = np.array(LEVELS, np.int64)


def pack_ids(fsq_indices: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint16]:
    """Pack FSQ indices into token ids.

    Args:
        fsq_indices: FSQ indices, shape (..., 6), each 0 to the number of its levels less 1.

    Returns:
        Token ids, shape (...), 0 to 63999.

    Raises:
        ConfigError: If the last axis is not 6 long or an index is out of range.
    """
    if fsq_indices.shape[-1:] != (len(LEVELS),):
        raise ConfigError(
            f"expected {len(LEVELS)} FSQ indices per token, got shape {fsq_indices.shape}"
        )
    wide = fsq_indices.astype(np.int64)
    if ((wide < 0) | (wide >= _COUNTS)).any():
        raise ConfigError(f"expected FSQ indices from 0 to below the number of levels, {LEVELS}")
    packed: npt.NDArray[np.uint16] = (wide @ _WEIGHTS).astype(np.uint16)
    return packed


def unpack_ids(ids: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint8]:
    """Unpack token ids into FSQ indices, the inverse of `pack_ids`.

    Args:
        ids: Token ids, shape (...), 0 to 63999.

    Returns:
        FSQ indices, shape (..., 6).

    Raises:
        ConfigError: If an id is out of range.
    """
    wide = ids.astype(np.int64)
    if ((wide < 0) | (wide >= IDS)).any():
        raise ConfigError(f"ids are 0 to {IDS - 1}, got {int(wide.min())} to {int(wide.max())}")
    fsq_indices: npt.NDArray[np.uint8] = (wide[..., None] // _WEIGHTS % _COUNTS).astype(np.uint8)
    return fsq_indices


def codes_of(fsq_indices: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float32]:
    """Return the code vectors of FSQ indices; the levels of a channel spread evenly over -1 to 1.

    Args:
        fsq_indices: FSQ indices, shape (..., 6).

    Returns:
        Code vectors, shape (..., 6).
    """
    codes: npt.NDArray[np.float32] = (
        (2 * fsq_indices.astype(np.int64) - (_COUNTS - 1)) / (_COUNTS - 1)
    ).astype(np.float32)
    return codes


def nearest_fsq_indices(codes: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    """Return the FSQ indices whose code vectors are nearest to vectors such as averages of codes.

    Args:
        codes: Any vectors, shape (..., 6).

    Returns:
        FSQ indices, shape (..., 6).
    """
    spread = (codes.astype(np.float64) + 1) / 2 * (_COUNTS - 1)
    fsq_indices: npt.NDArray[np.uint8] = np.clip(np.rint(spread), 0, _COUNTS - 1).astype(np.uint8)
    return fsq_indices
