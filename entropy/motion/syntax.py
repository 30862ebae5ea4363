"""The syntax of a frame's motion: which symbols are coded, in which order and contexts.

Encoder and decoder run the same function, so that they cannot differ. Blocks of 8 x 8 cells come
row by row. Each is a block of motion or is split into four, and so on. A block repeats one of its
candidates, or has vectors of its own as differences to a prediction.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.motion.contexts import (
    CONTEXTS,
    LARGEST_PLAIN,
    LENGTH,
    MERGE,
    MODE,
    PLAIN,
    SINGLE_MODE,
    SPLIT,
)
from nvcodec.host.compiled import compiled, compiled_part
from nvcodec.media import Int16Array, Int32Array
from nvcodec.models.latentgrid.motion.candidates import (
    MOST_CANDIDATES,
    Candidates,
    find_candidates,
    matching,
    new_candidates,
    predict_vector,
)
from nvcodec.models.latentgrid.motion.grids import (
    BOTH,
    FIRST,
    LARGEST_VECTOR,
    LEVELS,
    NEITHER,
    MotionGrid,
    copy_vectors,
    same_vectors,
    store_block,
    uses,
)
from nvcodec.models.latentgrid.motion.temporal import CarriedMotion

_LOWEST_STATE = np.uint64(1 << 31)
_LOW_BITS = np.uint64(0xFFFF)


class SymbolStream(NamedTuple):
    """Where symbols come from or go to.

    Attributes:
        coding: Whether symbols are encoded.
        symbols: When encoding, filled with symbols and their contexts, int32, shape (N, 2).
        words: When decoding, the message, uint32.
        state: State of the rANS decoder, position in `words`, position in `symbols`; uint64.
        cumulative: Cumulative frequencies of every context; see `AdaptiveTables`.
        observed: Counts of the symbols of every context, int64; they are increased.
    """

    coding: bool
    symbols: Int32Array
    words: npt.NDArray[np.uint32]
    state: npt.NDArray[np.uint64]
    cumulative: Int32Array
    observed: npt.NDArray[np.int64]


@compiled_part
def split_context(grid: MotionGrid, row: int, column: int, level: int) -> int:
    """Return the context of a block's division: how many of its neighbours are smaller."""
    smaller = 0
    if column > 0 and grid.levels[row, column - 1] < level:
        smaller += 1
    if row > 0 and grid.levels[row - 1, column] < level:
        smaller += 1
    return SPLIT + 3 * (level - 1) + smaller


@compiled_part
def merge_context(grid: MotionGrid, row: int, column: int, level: int) -> int:
    """Return the context of a block's candidate: whether its neighbours move alike."""
    alike = 0
    if row > 0 and column > 0 and grid.modes[row - 1, column] == grid.modes[row, column - 1]:
        above, left = grid.vectors[row - 1, column], grid.vectors[row, column - 1]
        alike = 1 if same_vectors(above, left) else 0
    return MERGE + 2 * level + alike


@compiled_part
def length_of(difference: int) -> int:
    """Return the number of bits of the magnitude of a difference."""
    magnitude, length = abs(difference), 0
    while magnitude:
        magnitude >>= 1
        length += 1
    return length


@compiled_part
def length_context(second: bool, axis: int, length_x: int) -> int:
    """Return the context of the length of a difference.

    Args:
        second: Whether it is that of the second of two vectors.
        axis: 0 for x, 1 for y.
        length_x: For y, the length of the difference along x.
    """
    kind = 0 if axis == 0 else 1 + min(length_x, 2)
    return LENGTH + (4 if second else 0) + kind


@compiled_part
def code_symbol(stream: SymbolStream, context: int, symbol: int) -> int:
    """Encode a symbol, or decode and return it.

    Args:
        stream: Where it goes to or comes from.
        context: Its context.
        symbol: The symbol, of no use when decoding.
    """
    state = stream.state
    if stream.coding:
        place = int(state[2])
        stream.symbols[place, 0], stream.symbols[place, 1] = symbol, context
        state[2] = np.uint64(place + 1)
    else:
        # One step of CompressAI's rANS decoder: 64 bits of state, 32-bit words, 16-bit tables.
        low = int(state[0] & _LOW_BITS)
        table = stream.cumulative[context]
        symbol = 0
        while table[symbol + 1] <= low:
            symbol += 1
        frequency = np.uint64(table[symbol + 1] - table[symbol])
        x = frequency * (state[0] >> np.uint64(16)) + np.uint64(low - table[symbol])
        if x < _LOWEST_STATE:
            place = int(state[1])
            # Behind its end, a message goes on with zeros.
            word = stream.words[place] if place < len(stream.words) else np.uint32(0)
            x = (x << np.uint64(32)) | np.uint64(word)
            state[1] = np.uint64(place + 1)
        state[0] = x
    if context < CONTEXTS:
        stream.observed[context, symbol] += 1
    return symbol


@compiled_part
def _code_difference(
    stream: SymbolStream, difference: int, second: bool, axis: int, length_x: int
) -> int:
    """Code the difference of a vector to its prediction along one axis; return it."""
    context = length_context(second, axis, length_x)
    length = code_symbol(stream, context, length_of(difference))
    if length == 0:
        return 0
    magnitude, value, left = abs(difference), 1, length - 1
    while left > 0:
        bits = min(left, LARGEST_PLAIN)
        left -= bits
        digits = code_symbol(stream, PLAIN + bits - 1, (magnitude >> left) & ((1 << bits) - 1))
        value = (value << bits) | digits
    return -value if code_symbol(stream, PLAIN, 1 if difference < 0 else 0) else value


@compiled_part
def _code_vectors(
    stream: SymbolStream,
    candidates: Candidates,
    count: int,
    mode: int,
    wanted: Int16Array,
    times: npt.NDArray[np.int64],
    vectors: Int16Array,
) -> None:
    """Code the vectors of a block that repeats no candidate.

    Args:
        stream: Where its symbols go to or come from.
        candidates: Its candidates.
        count: Their number.
        mode: Its references.
        wanted: When encoding, its vectors.
        times: Distance from the frame to each reference.
        vectors: Filled with its vectors, shape (2, 2).
    """
    vectors[:] = 0
    for reference in range(2):
        if not uses(mode, reference):
            continue
        second = reference == 1 and mode == BOTH
        x, y = predict_vector(candidates, count, reference, second, vectors, times)
        d_x = _code_difference(stream, int(wanted[reference, 0]) - x, second, 0, 0)
        d_y = _code_difference(stream, int(wanted[reference, 1]) - y, second, 1, length_of(d_x))
        vectors[reference, 0] = min(max(x + d_x, -LARGEST_VECTOR), LARGEST_VECTOR)
        vectors[reference, 1] = min(max(y + d_y, -LARGEST_VECTOR), LARGEST_VECTOR)


@compiled_part
def _code_mode(stream: SymbolStream, references: int, level: int, mode: int) -> int:
    """Code the mode of a block that repeats no candidate; return it."""
    if references == 2:
        return code_symbol(stream, MODE + level, mode)
    return NEITHER if code_symbol(stream, SINGLE_MODE + level, int(mode == NEITHER)) else FIRST


@compiled_part
def _code_block(
    stream: SymbolStream,
    grid: MotionGrid,
    wanted: MotionGrid,
    carried: CarriedMotion,
    times: npt.NDArray[np.int64],
    references: int,
    candidates: Candidates,
    row: int,
    column: int,
    level: int,
) -> None:
    """Code the motion of a block that is not divided; see `code_motion`."""
    count = find_candidates(grid, carried, row, column, level, references, candidates)
    mode, vectors = int(wanted.modes[row, column]), np.zeros((2, 2), np.int16)
    choice = matching(candidates, count, mode, wanted.vectors[row, column])
    choice = code_symbol(stream, merge_context(grid, row, column, level), choice)
    if choice < MOST_CANDIDATES:
        choice = min(choice, count - 1)
        mode = int(candidates.modes[choice])
        copy_vectors(candidates.vectors[choice], vectors)
    else:
        mode = _code_mode(stream, references, level, mode)
        own = wanted.vectors[row, column]
        _code_vectors(stream, candidates, count, mode, own, times, vectors)
    store_block(grid, row, column, level, mode, vectors)


@compiled
def code_motion(
    stream: SymbolStream,
    grid: MotionGrid,
    wanted: MotionGrid,
    carried: CarriedMotion,
    times: npt.NDArray[np.int64],
    references: int,
) -> None:
    """Code the motion of a frame.

    Args:
        stream: Where its symbols go to or come from.
        grid: Filled with the motion; empty at first.
        wanted: When encoding, the motion.
        carried: Motion that the references of the frame suggest.
        times: Distance from the frame to each reference, shape (2,).
        references: Number of references of the frame, 1 or 2.
    """
    height, width = grid.modes.shape
    candidates = new_candidates()
    largest = 1 << (LEVELS - 1)
    # Blocks that are still to be coded, the next one last: row, column, level.
    pending = np.zeros((3 * LEVELS + 1, 3), np.int64)
    for top in range(0, height, largest):
        for left in range(0, width, largest):
            pending[0, 0], pending[0, 1], pending[0, 2] = top, left, LEVELS - 1
            depth = 1
            while depth:
                depth -= 1
                row, column, level = pending[depth, 0], pending[depth, 1], pending[depth, 2]
                if row >= height or column >= width:
                    continue
                if level > 0:
                    context = split_context(grid, row, column, level)
                    smaller = 1 if wanted.levels[row, column] < level else 0
                    if code_symbol(stream, context, smaller):
                        half = 1 << (level - 1)
                        for quarter in range(3, -1, -1):
                            pending[depth, 0] = row + half * (quarter >> 1)
                            pending[depth, 1] = column + half * (quarter & 1)
                            pending[depth, 2] = level - 1
                            depth += 1
                        continue
                _code_block(
                    stream, grid, wanted, carried, times, references, candidates, row, column, level
                )
