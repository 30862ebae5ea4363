"""The grid of tokens as a file stores it: time steps, rows and columns."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nvcodec.errors import ConfigError
from nvcodec.indexing import Seconds, float_seconds, frame_numbers
from nvcodec.tokenizer.token_ids import LEVELS, codes_of, pack_ids


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TokenGrid:
    """Tokens of a video or of a part of it, in the order of time.

    Attributes:
        digits: FSQ indices of the tokens, uint8, shape (t, h, w, 6).
        bits: Bits that each token takes in its file, float32, shape (t, h, w); zeros for tokens
            made from pixels.
        starts: Start of the first frame of each time step, seconds, float64, shape (t,).
        ends: End of the last frame of each time step, seconds, float64, shape (t,).
        cells: First row and column of the grid within the grid of the whole picture.
        size: Width and height of the video, samples.
        tokenizer_id: Identity of the tokenizer, 32 hexadecimal digits. Tokens of the same identity
            can be compared.
    """

    digits: npt.NDArray[np.uint8]
    bits: npt.NDArray[np.float32]
    starts: npt.NDArray[np.float64]
    ends: npt.NDArray[np.float64]
    cells: tuple[int, int] = (0, 0)
    size: tuple[int, int]
    tokenizer_id: str

    def __post_init__(self) -> None:
        """Check that the shapes match.

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
        """Number of time steps, rows and columns."""
        steps, rows, columns = self.bits.shape
        return steps, rows, columns

    @property
    def indices(self) -> npt.NDArray[np.uint16]:
        """Token ids, shape (t, h, w)."""
        return pack_ids(self.digits)

    @property
    def codes(self) -> npt.NDArray[np.float32]:
        """Code vectors of the tokens, in [-1, 1], shape (t, h, w, 6)."""
        return codes_of(self.digits)

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """Middle of each time step, seconds, shape (t,)."""
        middle: npt.NDArray[np.float64] = (self.starts + self.ends) / 2
        return middle

    def during(self, start: Seconds, end: Seconds) -> TokenGrid:
        """Return the time steps of which a part is shown in a time range.

        Args:
            start: Start of the time range, seconds, a number of any type.
            end: End of the time range, seconds, exclusive.

        Raises:
            ConfigError: If there is no such time step, or a time is not a number (NaN).
        """
        start, end = float_seconds(start), float_seconds(end)
        steps = np.flatnonzero((self.ends > start) & (self.starts < end))
        if not steps.size:
            raise ConfigError(
                f"no token is shown from {start:g} to {end:g} s; the tokens span "
                f"{self.starts.min(initial=np.inf):g} to {self.ends.max(initial=0):g} s"
            )
        return self.at(steps)

    def at(self, steps: object) -> TokenGrid:
        """Return time steps by number.

        Args:
            steps: Slice; numbers of time steps, negative ones counted from the end, in a sequence,
                array or tensor, in the order of the result; or one truth value per time step.

        Raises:
            IndexError: If there is no such time step, or not one truth value per time step.
            TypeError: If they are neither integers nor truth values.
        """
        numbers = frame_numbers(steps, len(self.bits))
        return replace(
            self,
            digits=self.digits[numbers],
            bits=self.bits[numbers],
            starts=self.starts[numbers],
            ends=self.ends[numbers],
        )

    def region(self, rows: slice, columns: slice) -> TokenGrid:
        """Return the tokens of a rectangle of the picture.

        Args:
            rows: Rows of this grid, a slice with step 1.
            columns: Columns of this grid, a slice with step 1.

        Raises:
            ConfigError: If the rectangle holds no cell.
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
