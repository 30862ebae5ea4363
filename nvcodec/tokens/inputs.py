"""Whatever tokens come as: rows of them, grids, open files, or names of files."""

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
    """All tokens of a video, read if need be.

    Raises:
        NoTokensError: If it is the name of a file without any.
        BitstreamError: If it is that of no `.nvc` stream.
        ConfigError: If it is nothing that has tokens.
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
    """The tokens of a video, reduced unless they are already.

    Args:
        video: Tokens, a grid, an open reader, or the name of an `.nvc` file.
        budget: How many there may be; None for all. Nothing is done to `Tokens` as such.
        method: Of `nvcodec.tokens.reduce`.

    Raises:
        ConfigError: If it is nothing that has tokens, or they cannot be reduced like that.
    """
    if isinstance(video, Tokens):
        return video
    grid = grid_from(video)
    return flatten(grid) if budget is None else reduce(grid, method, budget)


def file_bytes(path: str | os.PathLike[str]) -> int:
    """Bytes of a file, or of all files in a folder."""
    place = Path(path)
    files = [one for one in place.iterdir() if one.is_file()] if place.is_dir() else [place]
    return sum(one.stat().st_size for one in files)
