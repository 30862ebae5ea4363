"""Token ids: six small digits packed into one integer, and what each digit stands for.

A token is what finite scalar quantisation (Mentzer et al., ICLR 2024) leaves of a vector: one digit
per channel, with as many values as the channel has levels. Everything here is integer arithmetic,
for ids that pass through half precision come out as others.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from nvcodec.errors import ConfigError

LEVELS = (8, 8, 8, 5, 5, 5)
"""Values of each digit, the first one running fastest in an id. Part of the format."""
IDS = prod(LEVELS)
"""How many ids there are: 64,000."""
_WEIGHTS = np.array([prod(LEVELS[:place]) for place in range(len(LEVELS))], np.int64)
_COUNTS = np.array(LEVELS, np.int64)


def pack_ids(fsq_indices: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint16]:
    """Ids of digits.

    Args:
        fsq_indices: Shape (..., 6), each 0 to its level less 1.

    Returns:
        Shape (...), 0 to 63999.

    Raises:
        ConfigError: If the last axis is not 6 long or a digit is out of range.
    """
    if fsq_indices.shape[-1:] != (len(LEVELS),):
        raise ConfigError(f"expected {len(LEVELS)} digits a token, got shape {fsq_indices.shape}")
    wide = fsq_indices.astype(np.int64)
    if ((wide < 0) | (wide >= _COUNTS)).any():
        raise ConfigError(f"a digit is below its level, one of {LEVELS}, and not negative")
    packed: npt.NDArray[np.uint16] = (wide @ _WEIGHTS).astype(np.uint16)
    return packed


def unpack_ids(ids: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint8]:
    """Digits of ids, the inverse of `pack_ids`.

    Args:
        ids: Shape (...), 0 to 63999.

    Returns:
        Shape (..., 6).

    Raises:
        ConfigError: If an id is out of range.
    """
    wide = ids.astype(np.int64)
    if ((wide < 0) | (wide >= IDS)).any():
        raise ConfigError(f"ids are 0 to {IDS - 1}, got {int(wide.min())} to {int(wide.max())}")
    fsq_indices: npt.NDArray[np.uint8] = (wide[..., None] // _WEIGHTS % _COUNTS).astype(np.uint8)
    return fsq_indices


def codes_of(fsq_indices: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float32]:
    """The vector that digits stand for: every channel's levels spread evenly over -1 to 1.

    Args:
        fsq_indices: Shape (..., 6).

    Returns:
        Shape (..., 6).
    """
    codes: npt.NDArray[np.float32] = (
        (2 * fsq_indices.astype(np.int64) - (_COUNTS - 1)) / (_COUNTS - 1)
    ).astype(np.float32)
    return codes


def nearest_fsq_indices(codes: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    """The digits whose codes are nearest to any vectors, such as averages of codes.

    Args:
        codes: Shape (..., 6).

    Returns:
        Shape (..., 6).
    """
    spread = (codes.astype(np.float64) + 1) / 2 * (_COUNTS - 1)
    fsq_indices: npt.NDArray[np.uint8] = np.clip(np.rint(spread), 0, _COUNTS - 1).astype(np.uint8)
    return fsq_indices
