"""Tokens as they are stored: a grid of steps in time, rows and columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nvcodec.errors import ConfigError
from nvcodec.tokenizer.token_ids import LEVELS, codes_of, pack_ids


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TokenGrid:
    """Tokens of a video or of a part of it, in the order of time.

    Attributes:
        digits: uint8, shape (t, h, w, 6).
        bits: What each token takes in the file it was read from, float32, shape (t, h, w); zeros
            for tokens that come from no file.
        starts: When the first frame of each step is shown, seconds, float64, shape (t,).
        ends: When the last frame of each step is no longer shown, seconds, shape (t,).
        cells: The first row and column of the grid within that of the whole picture.
        size: Width and height of the video.
        tokenizer_id: Of the tokenizer that made them, 32 hexadecimal digits. Tokens can be compared
            if it is the same.
    """

    digits: npt.NDArray[np.uint8]
    bits: npt.NDArray[np.float32]
    starts: npt.NDArray[np.float64]
    ends: npt.NDArray[np.float64]
    cells: tuple[int, int] = (0, 0)
    size: tuple[int, int]
    tokenizer_id: str

    def __post_init__(self) -> None:
        """Check that shapes agree.

        Raises:
            ConfigError: If they do not.
        """
        *grid, last = self.digits.shape if self.digits.ndim == 4 else (0, 0, 0, 0)
        steps = (grid[0],)
        if last != len(LEVELS) or self.bits.shape != tuple(grid):
            raise ConfigError(
                f"expected digits of shape (t, h, w, {len(LEVELS)}) and bits of shape (t, h, w), "
                f"got {self.digits.shape} and {self.bits.shape}"
            )
        if self.starts.shape != steps or self.ends.shape != steps:
            raise ConfigError(
                f"expected {grid[0]} starts and ends, got {self.starts.shape} and {self.ends.shape}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Steps in time, rows, columns."""
        steps, rows, columns = self.bits.shape
        return steps, rows, columns

    @property
    def indices(self) -> npt.NDArray[np.uint16]:
        """Ids, shape (t, h, w)."""
        return pack_ids(self.digits)

    @property
    def codes(self) -> npt.NDArray[np.float32]:
        """The vectors that the digits stand for, shape (t, h, w, 6), in -1 to 1."""
        return codes_of(self.digits)

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """The middle of each step, seconds, shape (t,)."""
        middle: npt.NDArray[np.float64] = (self.starts + self.ends) / 2
        return middle

    def during(self, start: float, end: float) -> TokenGrid:
        """The steps that are shown at some time from `start` to before `end`, seconds.

        Raises:
            ConfigError: If there is none.
        """
        chosen = np.flatnonzero((self.ends > start) & (self.starts < end))
        if not chosen.size:
            raise ConfigError(
                f"no token is shown from {start:g} to {end:g} s: there are some from "
                f"{self.starts.min(initial=np.inf):g} to {self.ends.max(initial=0):g} s"
            )
        return self.at(chosen)

    def at(self, steps: npt.NDArray[np.integer[Any]]) -> TokenGrid:
        """Some steps in time, by number, in the order given."""
        return replace(
            self,
            digits=self.digits[steps],
            bits=self.bits[steps],
            starts=self.starts[steps],
            ends=self.ends[steps],
        )

    def region(self, rows: slice, columns: slice) -> TokenGrid:
        """A part of the picture.

        Args:
            rows: Of cells of this grid, with step 1.
            columns: Likewise.

        Raises:
            ConfigError: If it holds no cell.
        """
        _, height, width = self.shape
        top, bottom, _ = rows.indices(height)
        left, right, _ = columns.indices(width)
        if bottom <= top or right <= left:
            raise ConfigError(
                f"the region holds no cell of {height} rows and {width} columns: rows {top} to "
                f"{bottom}, columns {left} to {right}"
            )
        return replace(
            self,
            digits=self.digits[:, top:bottom, left:right],
            bits=self.bits[:, top:bottom, left:right],
            cells=(self.cells[0] + top, self.cells[1] + left),
        )
