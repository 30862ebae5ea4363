"""Times as text between tokens, in the ways that published models have been taught to read."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import numpy as np
import numpy.typing as npt

from nvcodec.errors import ConfigError

RELATIVE = 100
"""Relative times of LITA: `<t0>` is the beginning, `<t99>` the end."""
_DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
_MOST = 9999.9


def relative(seconds: float, duration: float, count: int = RELATIVE) -> str:
    """A time as a share of the whole video, `<t37>` (LITA, section 3.2, counted from 0).

    Args:
        seconds: 0 to `duration`; what is beyond is taken for the nearest.
        duration: Of the video, positive.
        count: How many such tokens there are, at least 2.

    Raises:
        ConfigError: If the duration or the count cannot be.
    """
    if duration <= 0 or count < 2:
        raise ConfigError(
            f"expected a positive duration and at least 2 relative times, got {duration:g} s and "
            f"{count}"
        )
    share = min(max(seconds / duration, 0.0), 1.0)
    return f"<t{int(share * (count - 1) + 0.5)}>"


def relative_tokens(count: int = RELATIVE) -> list[str]:
    """All relative times, to be added to a tokenizer."""
    return [f"<t{number}>" for number in range(count)]


def in_seconds(seconds: float) -> str:
    """`<12.5 seconds>`, as Qwen3-VL has before the frames of a time."""
    return f"<{seconds:.1f} seconds>"


def in_minutes(seconds: float) -> str:
    """`Frame from 01:05:` on a line of its own, as SmolVLM2 has before a frame."""
    minutes, rest = divmod(int(max(seconds, 0.0)), 60)
    return f"\nFrame from {minutes:02d}:{rest:02d}:"


def in_digits(seconds: float) -> str:
    """Tenths of seconds digit by digit, six tokens `<TIME_ZERO>` to `<TIME_DOT>` (VTG-LLM).

    Raises:
        ConfigError: If it is more than 9999.9 s.
    """
    if not seconds <= _MOST:
        raise ConfigError(f"times in digits go up to {_MOST} s, got {seconds:g} s")
    text = f"{max(seconds, 0.0):06.1f}"
    return "".join(
        "<TIME_DOT>" if character == "." else f"<TIME_{_DIGITS[int(character)]}>"
        for character in text
    )


def digit_tokens() -> list[str]:
    """What `in_digits` is made of, to be added to a tokenizer."""
    return [f"<TIME_{name}>" for name in (*_DIGITS, "DOT")]


STYLES: dict[str, Callable[[float, float], str]] = {
    "lita": relative,
    "none": lambda seconds, duration: "",
    "qwen3": lambda seconds, duration: in_seconds(seconds),
    "smolvlm": lambda seconds, duration: in_minutes(seconds),
    "vtg": lambda seconds, duration: in_digits(seconds),
}
"""Styles of `prompt`: the text for a time and the duration of the video, both in seconds."""


def stamp_of(style: str) -> Callable[[float, float], str]:
    """What writes a time in a style.

    Raises:
        ConfigError: If there is no such style.
    """
    if style not in STYLES:
        raise ConfigError(f"expected one of the styles {', '.join(STYLES)}, got {style!r}")
    return STYLES[style]


def prompt(
    times: npt.NDArray[np.float64],
    duration: float,
    style: str,
    placeholder: str = "<|video_pad|>",
) -> str:
    """Write a placeholder for every token, and before the tokens of one time that time.

    Args:
        times: Seconds, one per token in reading order, shape (N,). Neighbours whose times read
            alike share one.
        duration: Length of the whole video, seconds.
        style: One of `STYLES`.
        placeholder: What the language model's vocabulary has where a token goes.

    Raises:
        ConfigError: If there is no such style, or a time cannot be written in it.
    """
    stamp = stamp_of(style)
    stamps = [stamp(time, duration) for time in times.tolist()]
    return "".join(text + placeholder * len(list(same)) for text, same in groupby(stamps))
