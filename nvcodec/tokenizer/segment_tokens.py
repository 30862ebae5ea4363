"""Tokenisation of the frames of a segment while it is encoded."""

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
    """Load a tokenizer, once for all segments.

    Args:
        name: Folder, or `bundled:` and a name.

    Raises:
        ConfigError: If there is no such tokenizer, or its files are damaged.
    """
    from nvcodec.tokenizer.tokenizer import VideoTokenizer

    return VideoTokenizer.from_pretrained(name)


def resolve_tokenizer_name(name: str) -> str:
    """Return a name of the same tokenizer that is valid in any working directory.

    Args:
        name: Folder, or `bundled:` and a name.
    """
    folder = Path(name)
    return str(folder.absolute()) if folder.is_dir() else name


def tokenise_segment(frames: Frames, colour: Colour, name: str) -> npt.NDArray[np.uint8]:
    """Make the tokens of a segment.

    Args:
        frames: Frames of the segment as they are fitted; masked pixels are filled in.
        colour: Colour properties of the frames.
        name: Name of the tokenizer: a folder, or `bundled:` and a name.

    Returns:
        FSQ indices, shape (t, h, w, 6).

    Raises:
        ConfigError: If there is no such tokenizer, or its files are damaged.
    """
    pictures = rgb(frames.y, frames.u, frames.v, colour)
    return tokenizer(name).digits(np.moveaxis(pictures, -1, 1))
