"""Coding of the motion of a segment, frame after frame in coding order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.coder import rans
from nvcodec.entropy.coder.frequency_tables import TableSet
from nvcodec.entropy.motion.contexts import SYMBOLS, TABLES, WIDEST, AdaptiveTables
from nvcodec.entropy.motion.syntax import SymbolStream, code_motion
from nvcodec.errors import BitstreamError
from nvcodec.media import Float32Array, Int32Array
from nvcodec.models.latentgrid.motion.grids import MotionGrid, empty_grid
from nvcodec.models.latentgrid.motion.temporal import CarriedMotion, carry_motion

# Largest number of cells per byte of a message, so that a few hostile bytes cannot ask for gigabytes.
# A message with more is padded with zero bytes.
_CELLS_PER_BYTE = 1 << 12
# Symbols that a block takes at most: four divisions, candidate, mode, four differences of a length,
# four groups of digits and a sign.
_SYMBOLS_PER_CELL = 4 + 2 + 4 * 6
_NO_SYMBOLS = np.zeros((0, 2), np.int32)


MessageState: TypeAlias = tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint64]]
"""The words of a message, and the state of its decoder, which changes."""


@dataclass(frozen=True, slots=True)
class CodedMotion:
    """The symbols of a frame's motion.

    Attributes:
        symbols: Symbols and their contexts, shape (N, 2).
        cumulative: The tables of all contexts.
        bits: Sum of their code lengths.
    """

    symbols: Int32Array
    cumulative: Int32Array
    bits: float


class MotionCoder:
    """Encodes or decodes the motion of the frames of a segment, in coding order.

    Args:
        references: References of every frame of the segment.
        size: Height and width of motion grids, in cells.
        cell: Side of a cell, luma samples.

    Attributes:
        grids: Motion of the frames coded so far.
    """

    def __init__(
        self, references: Mapping[int, tuple[int, ...]], size: tuple[int, int], cell: int
    ) -> None:
        self._references, self._size, self._cell = references, size, cell
        self._tables = AdaptiveTables()
        self.grids: dict[int, MotionGrid] = {}

    def code_lengths(self) -> Float32Array:
        """Return the bits of each symbol in each context at present, shape (tables, 16)."""
        widths = np.diff(self._tables.cumulative, axis=1)
        lengths: Float32Array = (16 - np.log2(np.maximum(widths, 0.5))).astype(np.float32)
        return lengths

    def times(self, frame: int) -> npt.NDArray[np.int64]:
        """Return the distances from a frame to its references, the only one twice."""
        references = self._references[frame]
        return np.array([references[0] - frame, references[-1] - frame])

    def carried(self, frame: int) -> CarriedMotion:
        """Return the motion that the references of a frame suggest for it."""
        return carry_motion(frame, self._references, self.grids, self._size, self._cell)

    def encode(self, frame: int, grid: MotionGrid) -> CodedMotion:
        """Encode the motion of the next frame.

        Args:
            frame: Number of the frame.
            grid: Its motion.
        """
        cumulative = self._tables.cumulative.copy()
        symbols = np.empty((_SYMBOLS_PER_CELL * grid.modes.size, 2), np.int32)
        message = np.zeros(0, np.uint32), np.zeros(3, np.uint64)
        self._code(frame, grid, coding=True, symbols=symbols, message=message)
        used = symbols[: int(message[1][2])].copy()
        widths = cumulative[used[:, 1], used[:, 0] + 1] - cumulative[used[:, 1], used[:, 0]]
        return CodedMotion(used, cumulative, float((16 - np.log2(widths)).sum()))

    def decode(self, frame: int, message: MessageState) -> None:
        """Decode the motion of the next frame.

        Args:
            frame: Number of the frame.
            message: Its message, as far as it is decoded.
        """
        wanted = empty_grid(self._size)
        self._code(frame, wanted, coding=False, symbols=_NO_SYMBOLS, message=message)

    def _code(
        self,
        frame: int,
        wanted: MotionGrid,
        *,
        coding: bool,
        symbols: Int32Array,
        message: MessageState,
    ) -> None:
        """Encode or decode the motion of the next frame; see `SymbolStream`."""
        observed = np.zeros((TABLES, WIDEST), np.int64)
        stream = SymbolStream(coding, symbols, *message, self._tables.cumulative, observed)
        grid = empty_grid(self._size)
        references = len(self._references[frame])
        code_motion(stream, grid, wanted, self.carried(frame), self.times(frame), references)
        self.grids[frame] = grid
        self._tables.adapt(observed)


def motion_message(coded: Sequence[CodedMotion], cells: int) -> bytes:
    """Return the message of the motion of some frames.

    Args:
        coded: The motion of each.
        cells: Number of cells of a frame.
    """
    if not coded:
        return b""
    tables = TableSet()
    symbols, numbers = [], []
    for motion in coded:
        known = np.zeros(len(motion.cumulative), np.int32)
        for context in np.flatnonzero(np.bincount(motion.symbols[:, 1])).tolist():
            cumulative = motion.cumulative[context, : SYMBOLS[context] + 1]
            known[context] = tables.number(0, tuple(cumulative.tolist()))
        symbols.append(motion.symbols[:, 0])
        numbers.append(known.take(motion.symbols[:, 1]))
    message = rans.encode(np.concatenate(symbols), np.concatenate(numbers), tables)
    min_size = -(-len(coded) * cells // _CELLS_PER_BYTE)
    return message + bytes(max(0, min_size - len(message)))


def open_message(message: bytes, cells: int) -> MessageState:
    """Return the state in which decoding of a message begins.

    Args:
        message: What `motion_message` returned.
        cells: Number of cells of all its frames.

    Raises:
        BitstreamError: If it is too short for so many cells, or does not begin as messages do.
    """
    if cells > _CELLS_PER_BYTE * len(message):
        raise BitstreamError(
            f"segment payload: {cells} cells of motion in {len(message)} bytes; at most "
            f"{_CELLS_PER_BYTE} a byte are allowed"
        )
    start = int.from_bytes(message[:8], "little")
    if start < rans.MIN_STATE:
        raise BitstreamError("segment payload: a message of motion begins with an invalid state")
    words = np.frombuffer(message + bytes(-len(message) % 4), "<u4").astype(np.uint32)
    return words, np.array([start, 2, 0], np.uint64)
