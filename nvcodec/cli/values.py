"""Values of command-line options: sizes, times, rates and ranges of frames."""

from __future__ import annotations

import argparse
import re
from fractions import Fraction

_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "kib": 1 << 10, "mib": 1 << 20}


_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


def size(text: str) -> int:
    """Parse a size such as 250kB; return bytes."""
    match = re.fullmatch(r"([0-9.]+)\s*([a-zA-Z]*)", text)
    if not match or match[2].lower() not in _UNITS:
        raise argparse.ArgumentTypeError(f"expected a size such as 250kB or 1.5MB, got {text!r}")
    return round(float(match[1]) * _UNITS[match[2].lower()])


def sizes(text: str) -> tuple[int, ...]:
    """Parse sizes separated by commas; return bytes."""
    return tuple(size(part.strip()) for part in text.split(","))


def span(text: str) -> float:
    """Parse a time such as 10m; return seconds."""
    match = re.fullmatch(r"([0-9.]+)\s*([smh]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected a time such as 90s, 10m or 2h, got {text!r}")
    return float(match[1]) * _SECONDS[match[2]]


def workers(text: str) -> int | str:
    """Parse a number of processes, or `ray`."""
    if text != "ray" and not re.fullmatch(r"\d+", text):
        raise argparse.ArgumentTypeError(f"expected a number or ray, got {text!r}")
    return text if text == "ray" else int(text)


def resize(text: str) -> tuple[int, int]:
    """Parse a picture size such as 640x360; return width and height."""
    match = re.fullmatch(r"(\d+)[xX](\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected a size such as 640x360, got {text!r}")
    return int(match[1]), int(match[2])


def rate(text: str) -> Fraction:
    """Parse a frame rate; return frames per second.

    Decimals of a television rate, such as 59.94, stand for the exact rate, 60000/1001.
    """
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(
            f"expected a frame rate such as 60, 59.94 or 60000/1001, got {text!r}"
        ) from None
    exact = Fraction(1000 * round(rate * Fraction(1001, 1000)), 1001)
    digits = len(text.partition(".")[2])
    return exact if digits > 1 and round(exact, digits) == rate else rate


def frames(text: str) -> slice:
    """Parse a range of frames A:B, in which either number may be missing."""
    match = re.fullmatch(r"(\d*):(\d*)", text)
    if not match:
        raise argparse.ArgumentTypeError(
            f"expected a range such as 0:100, :50 or 20:, got {text!r}"
        )
    return slice(int(match[1]) if match[1] else None, int(match[2]) if match[2] else None)
