"""Conversion of any input with tokens: `Tokens`, `TokenGrid`, open readers and paths of files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Union

from nvcodec.errors import ConfigError
from nvcodec.tokens.grid import TokenGrid
from nvcodec.tokens.reduction.methods import reduce
from nvcodec.tokens.sequence import Tokens, flatten

if TYPE_CHECKING:
    from nvcodec.tokens.reader import TokenReader

Video = Union[Tokens, TokenGrid, "TokenReader", str, os.PathLike[str]]


def grid_from(video: TokenGrid | TokenReader | str | os.PathLike[str]) -> TokenGrid:
    """Return all tokens of a video, and read them if they are in a file.

    Args:
        video: Grid of tokens, open reader, or path of an `.nvc` file.

    Raises:
        NoTokensError: If the file stores no tokens.
        BitstreamError: If the file is not an `.nvc` stream.
        ConfigError: If the input has no tokens.
    """
    if isinstance(video, TokenGrid):
        return video
    if isinstance(video, (str, os.PathLike)):
        from nvcodec.tokens.reader import open_tokens

        with open_tokens(video) as reader:
            return reader.grid()
    if hasattr(video, "grid"):
        return video.grid()
    raise ConfigError(
        f"expected tokens, a grid of them, an open token reader or a file, got {type(video)}"
    )


def tokens_from(video: Video, budget: int | None = None, method: str = "tome") -> Tokens:
    """Return the tokens of a video, reduced to a budget.

    Args:
        video: Tokens, which are returned as they are, or a grid, an open reader, or the path of an
            `.nvc` file.
        budget: Number of tokens to reduce to; None for all.
        method: Method of `nvcodec.tokens.reduce`.

    Raises:
        NoTokensError: If the file stores no tokens.
        BitstreamError: If the file is not an `.nvc` stream.
        ConfigError: If the input has no tokens, or they cannot be reduced by that method.
    """
    if isinstance(video, Tokens):
        return video
    grid = grid_from(video)
    return flatten(grid) if budget is None else reduce(grid, method, budget)


def file_bytes(path: str | os.PathLike[str]) -> int:
    """Return the size of a file, or of all files in a folder, bytes."""
    place = Path(path)
    files = [file for file in place.iterdir() if file.is_file()] if place.is_dir() else [place]
    return sum(file.stat().st_size for file in files)
