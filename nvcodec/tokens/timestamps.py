"""Times as text between tokens, in the styles that published models were trained on."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import numpy as np
import numpy.typing as npt

from nvcodec.errors import ConfigError

RELATIVE = 100
"""Number of relative times of LITA: `<t0>` is the start of the video, `<t99>` its end."""
_DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
_LARGEST = 9999.9


def relative(seconds: float, duration: float, count: int = RELATIVE) -> str:
    """Write a time as a share of the whole video, such as `<t37>` (LITA, section 3.2, from 0).

    Args:
        seconds: Time, seconds; clamped to 0 to `duration`.
        duration: Duration of the video, seconds, positive.
        count: Number of relative times, at least 2.

    Raises:
        ConfigError: If the duration or the count is out of range.
    """
    if duration <= 0 or count < 2:
        raise ConfigError(
            f"expected a positive duration and at least 2 relative times, got {duration:g} s and "
            f"{count}"
        )
    share = min(max(seconds / duration, 0.0), 1.0)
    return f"<t{int(share * (count - 1) + 0.5)}>"


def relative_tokens(count: int = RELATIVE) -> list[str]:
    """Return all words of `relative`, to be added to a tokenizer."""
    return [f"<t{number}>" for number in range(count)]


def in_seconds(seconds: float) -> str:
    """Write a time as `<12.5 seconds>`, as Qwen3-VL does before the frames of that time."""
    return f"<{seconds:.1f} seconds>"


def in_minutes(seconds: float) -> str:
    """Write a time as `Frame from 01:05:` on a new line, as SmolVLM2 does before a frame."""
    minutes, rest = divmod(int(max(seconds, 0.0)), 60)
    return f"\nFrame from {minutes:02d}:{rest:02d}:"


def in_digits(seconds: float) -> str:
    """Write a time to a tenth of a second, digit by digit, as six words `<TIME_ZERO>` (VTG-LLM).

    Args:
        seconds: Time, seconds, up to 9999.9.

    Raises:
        ConfigError: If the time is more than 9999.9 s.
    """
    if not seconds <= _LARGEST:
        raise ConfigError(f"times in digits go up to {_LARGEST} s, got {seconds:g} s")
    text = f"{max(seconds, 0.0):06.1f}"
    return "".join(
        "<TIME_DOT>" if character == "." else f"<TIME_{_DIGITS[int(character)]}>"
        for character in text
    )


def digit_tokens() -> list[str]:
    """Return all words of `in_digits`, to be added to a tokenizer."""
    return [f"<TIME_{name}>" for name in (*_DIGITS, "DOT")]


STYLES: dict[str, Callable[[float, float], str]] = {
    "lita": relative,
    "none": lambda seconds, duration: "",
    "qwen3": lambda seconds, duration: in_seconds(seconds),
    "smolvlm": lambda seconds, duration: in_minutes(seconds),
    "vtg": lambda seconds, duration: in_digits(seconds),
}
"""Styles of `prompt`: functions of a time and the duration of the video, both in seconds."""


def stamp_of(style: str) -> Callable[[float, float], str]:
    """Return the function that writes times in a style.

    Args:
        style: One of `STYLES`.

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
    """Return a text with a placeholder for every token, and each time before its tokens.

    Args:
        times: Time of each token in reading order, seconds, shape (N,). Consecutive tokens whose
            times are written alike share one text.
        duration: Length of the whole video, seconds.
        style: One of `STYLES`.
        placeholder: Word of the language model's vocabulary that stands for a token.

    Raises:
        ConfigError: If there is no such style, or a time cannot be written in it.
    """
    stamp = stamp_of(style)
    stamps = [stamp(time, duration) for time in times.tolist()]
    return "".join(text + placeholder * len(list(tokens)) for text, tokens in groupby(stamps))
