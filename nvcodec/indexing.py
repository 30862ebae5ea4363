"""Frame numbers and times as callers write them: numbers, arrays and tensors of any type.

Tensors are recognised by what they can do, so that this module needs no torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from operator import index
from typing import Any, SupportsFloat

import numpy as np

from nvcodec.errors import ConfigError
from nvcodec.media import Int64Array

Seconds = SupportsFloat | Fraction | Decimal
"""A time in seconds: anything that `float` converts, and exact fractions."""

_ENDLESS = Fraction(2**100)
"""Later than every timestamp of a file, seconds."""


def exact_seconds(time: Seconds) -> Fraction:
    """Convert a time to a fraction; infinite times become later or earlier than all timestamps.

    Args:
        time: Time, seconds: an integer, float, `Fraction`, `Decimal`, numpy number, or an array or
            tensor without dimensions.

    Raises:
        ConfigError: If it is not a number (NaN).
        TypeError: If `float` cannot convert it, or it is text or has dimensions.
    """
    if isinstance(time, (int, Fraction)):
        return Fraction(time)
    seconds = float_seconds(time)
    if math.isinf(seconds):
        return _ENDLESS if seconds > 0 else -_ENDLESS
    return Fraction(time if isinstance(time, Decimal) else seconds)


def float_seconds(time: Seconds) -> float:
    """Convert a time to a float, possibly infinite; see `exact_seconds`.

    Raises:
        ConfigError: If it is not a number (NaN).
        TypeError: If `float` cannot convert it, or it is text or has dimensions.
    """
    if isinstance(time, (str, bytes, bytearray)) or _has_dimensions(time):
        raise TypeError(f"expected a time in seconds, a number, found {_described(time)}")
    try:
        seconds = float(time)
    except OverflowError:
        return math.inf if time > 0 else -math.inf  # type: ignore[operator]
    except ValueError:  # a signalling NaN
        seconds = math.nan
    if math.isnan(seconds):
        raise ConfigError("expected a time in seconds, found NaN, which is not a number")
    return seconds


def rounding_of(time: Seconds) -> Fraction:
    """Return by how much a time may be below what it stands for, because floats are rounded.

    3/25 s as a float of 32 bits is a little less, and yet it is meant to be the time of a frame.

    Args:
        time: Time, seconds, as for `exact_seconds`.

    Returns:
        One unit in the last place of a float; 0 for exact numbers.
    """
    if isinstance(time, (int, Fraction, Decimal)) or math.isinf(float_seconds(time)):
        return Fraction(0)
    # A tensor names its type otherwise than numpy does: `torch.float32`.
    kind = str(getattr(time, "dtype", "float64")).removeprefix("torch.")
    value = float_seconds(time)
    if kind == "bfloat16":
        return Fraction(max(abs(value), 2.0**-126)) / 2**7
    if kind in ("float16", "float32"):
        return Fraction(float(np.spacing(np.dtype(kind).type(abs(value)))))
    return Fraction(math.ulp(value)) if kind.startswith("float") else Fraction(0)


def sequence_of_times(times: Iterable[Seconds]) -> list[Fraction]:
    """Convert several times, in an array, a tensor, or any other iterable.

    Raises:
        ConfigError: If one of them is not a number (NaN).
        TypeError: If there is one number only, or something else.
    """
    listed: Any = times.tolist() if hasattr(times, "tolist") else times
    if isinstance(listed, (str, bytes)) or not isinstance(listed, Iterable):
        raise TypeError(f"expected several times in seconds, found {_described(times)}")
    return [exact_seconds(time) for time in listed]


def frame_number(frame: object) -> int | None:
    """Return the number that stands for one frame; None for what may stand for several.

    Args:
        frame: Integer of any type, also an array or tensor without dimensions; or anything else.

    Raises:
        TypeError: If it is a single number that is not an integer.
    """
    if isinstance(frame, (bool, np.bool_, float, np.inexact, Fraction, Decimal)):
        raise TypeError(_expected(frame))
    if not hasattr(frame, "__index__") or _has_dimensions(frame):
        return None
    if str(getattr(frame, "dtype", "")).removeprefix("torch.") == "bool":
        raise TypeError(_expected(frame))
    try:
        return index(frame)
    except TypeError:
        raise TypeError(_expected(frame)) from None


def frame_numbers(frames: object, total: int) -> Int64Array:
    """Return the numbers of the frames that a caller selects.

    Args:
        frames: Slice; or numbers in any order, negative ones counted from the end, in a sequence,
            array or tensor of integers; or one truth value per frame, which selects those that are
            true.
        total: Number of frames.

    Returns:
        Shape (N,), each from 0 to `total` - 1.

    Raises:
        IndexError: If there is no such frame, or not one truth value per frame.
        TypeError: If they are neither integers nor truth values, or have several dimensions.
    """
    if isinstance(frames, slice):
        return np.arange(total)[frames]
    if hasattr(frames, "__array__"):
        values = np.asarray(frames.cpu() if hasattr(frames, "cpu") else frames)
        if values.ndim != 1:
            raise TypeError(f"expected numbers in one dimension, found shape {values.shape}")
        if values.dtype.kind == "b":
            return _selected(values.tolist(), total)
        if values.dtype.kind in "iu":
            return _in_range(values, total, frames)
        frames = values.tolist()
        if not frames:
            raise TypeError(f"expected integers, found an array of {values.dtype}")
    if isinstance(frames, (str, bytes)) or not isinstance(frames, Iterable):
        raise TypeError(_expected(frames))
    listed = list(frames)
    if listed and all(isinstance(frame, (bool, np.bool_)) for frame in listed):
        return _selected(listed, total)
    numbers = [frame_number(frame) for frame in listed]
    if None in numbers:
        raise TypeError(_expected(listed[numbers.index(None)]))
    return _in_range(np.array(numbers, object), total, listed)


def _has_dimensions(value: Any) -> bool:
    """Return whether a value is an array or tensor with dimensions."""
    return getattr(value, "ndim", 0) > 0


def _selected(truths: list[bool], total: int) -> Int64Array:
    if len(truths) != total:
        raise IndexError(f"expected {total} truth values, one each, found {len(truths)}")
    return np.flatnonzero(truths)


def _in_range(values: np.ndarray[Any, Any], total: int, frames: object) -> Int64Array:
    if values.size and not (values.min() >= -total and values.max() < total):
        raise IndexError(f"expected numbers in -{total}..{total - 1}, got {frames}")
    numbers = values.astype(np.int64)
    return np.where(numbers < 0, numbers + total, numbers)


def _expected(found: object) -> str:
    return f"expected numbers, integers, found {_described(found)}"


def _described(found: object) -> str:
    return f"{str(found)[:40]!r} of {type(found).__name__}"
