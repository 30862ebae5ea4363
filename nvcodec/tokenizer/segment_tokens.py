"""Tokens of a segment's frames, made while it is encoded."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nvcodec.media import Colour, Frames
from nvcodec.video.colour import rgb

if TYPE_CHECKING:
    from nvcodec.tokenizer.tokenizer import VideoTokenizer


@lru_cache(maxsize=2)
def tokenizer(name: str) -> VideoTokenizer:
    """A tokenizer, loaded once for all segments.

    Args:
        name: A folder, or `bundled:` and a name.

    Raises:
        ConfigError: If there is none.
    """
    from nvcodec.tokenizer.tokenizer import VideoTokenizer

    return VideoTokenizer.from_pretrained(name)


def located(name: str) -> str:
    """The same tokenizer's name in any working directory."""
    folder = Path(name)
    return str(folder.absolute()) if folder.is_dir() else name


def tokens_of(frames: Frames, colour: Colour, name: str) -> npt.NDArray[np.uint8]:
    """The tokens of a segment.

    Args:
        frames: As the fit sees them; what a mask hides is filled in.
        colour: How their samples map to light.
        name: Of the tokenizer.

    Returns:
        Digits, shape (t, h, w, 6).
    """
    pictures = rgb(frames.y, frames.u, frames.v, colour)
    return tokenizer(name).digits(np.moveaxis(pictures, -1, 1))
