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
    SPLIT,
)
from nvcodec.host.compiled import compiled, compiled_part
from nvcodec.media import Int16Array, Int32Array, UInt8Array
from nvcodec.models.latentgrid.motion.candidates import (
    MOST_CANDIDATES,
    find_candidates,
    predict_vector,
)
from nvcodec.models.latentgrid.motion.grids import (
    BOTH,
    FIRST,
    LARGEST_VECTOR,
    LEVELS,
    SECOND,
    copy_vectors,
    same_vectors,
    store_block,
)

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
def split_context(levels: UInt8Array, row: int, column: int, level: int) -> int:
    """Return the context of a block's division: how many of its neighbours are smaller."""
    smaller = 0
    if column > 0 and levels[row, column - 1] < level:
        smaller += 1
    if row > 0 and levels[row - 1, column] < level:
        smaller += 1
    return SPLIT + 3 * (level - 1) + smaller


@compiled_part
def merge_context(modes: UInt8Array, vectors: Int16Array, row: int, column: int, level: int) -> int:
    """Return the context of a block's candidate: whether its neighbours move alike."""
    alike = 0
    if row > 0 and column > 0 and modes[row - 1, column] == modes[row, column - 1]:
        alike = 1 if same_vectors(vectors[row - 1, column], vectors[row, column - 1]) else 0
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
    mode: int,
    wanted: Int16Array,
    modes: UInt8Array,
    candidates: Int16Array,
    count: int,
    times: npt.NDArray[np.int64],
    vector: Int16Array,
) -> None:
    """Code the vectors of a block that repeats no candidate.

    Args:
        stream: Where its symbols go to or come from.
        mode: Its references.
        wanted: When encoding, its vectors.
        modes, candidates: Its candidates.
        count: Their number.
        times: Distance from the frame to each reference.
        vector: Filled with its vectors, shape (2, 2).
    """
    vector[:] = 0
    for reference in range(2):
        if mode == (SECOND if reference == 0 else FIRST):
            continue
        second = reference == 1 and mode == BOTH
        x, y = predict_vector(
            reference, modes, candidates, count, second, int(vector[0, 0]), int(vector[0, 1]), times
        )
        d_x = _code_difference(stream, int(wanted[reference, 0]) - x, second, 0, 0)
        d_y = _code_difference(stream, int(wanted[reference, 1]) - y, second, 1, length_of(d_x))
        vector[reference, 0] = min(max(x + d_x, -LARGEST_VECTOR), LARGEST_VECTOR)
        vector[reference, 1] = min(max(y + d_y, -LARGEST_VECTOR), LARGEST_VECTOR)


@compiled_part
def matching_candidate(
    mode: int, vector: Int16Array, modes: UInt8Array, candidates: Int16Array, count: int
) -> int:
    """Return the number of the candidate that equals a motion, or that which stands for none."""
    for number in range(count):
        if modes[number] == mode and same_vectors(candidates[number], vector):
            return number
    return MOST_CANDIDATES


@compiled
def code_motion(
    stream: SymbolStream,
    levels: UInt8Array,
    modes: UInt8Array,
    vectors: Int16Array,
    wanted_levels: UInt8Array,
    wanted_modes: UInt8Array,
    wanted_vectors: Int16Array,
    carried_modes: UInt8Array,
    carried_vectors: Int16Array,
    times: npt.NDArray[np.int64],
    references: int,
) -> None:
    """Code the motion of a frame.

    Args:
        stream: Where its symbols go to or come from.
        levels, modes, vectors: Filled with the motion; all modes are `NOT_CODED` at first.
        wanted_levels, wanted_modes, wanted_vectors: When encoding, the motion.
        carried_modes, carried_vectors: Carried motion, shape (2, h, w) and (2, h, w, 2, 2).
        times: Distance from the frame to each reference, shape (2,).
        references: Number of references of the frame, 1 or 2.
    """
    height, width = modes.shape
    candidate_modes = np.zeros(MOST_CANDIDATES, np.uint8)
    candidates = np.zeros((MOST_CANDIDATES, 2, 2), np.int16)
    vector = np.zeros((2, 2), np.int16)
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
                    context = split_context(levels, row, column, level)
                    smaller = 1 if wanted_levels[row, column] < level else 0
                    if code_symbol(stream, context, smaller):
                        half = 1 << (level - 1)
                        for quarter in range(3, -1, -1):
                            pending[depth, 0] = row + half * (quarter >> 1)
                            pending[depth, 1] = column + half * (quarter & 1)
                            pending[depth, 2] = level - 1
                            depth += 1
                        continue
                count = find_candidates(
                    modes, vectors, carried_modes, carried_vectors, row, column, level, references,
                    candidate_modes, candidates,
                )  # fmt: skip
                choice = matching_candidate(
                    int(wanted_modes[row, column]), wanted_vectors[row, column], candidate_modes,
                    candidates, count,
                )  # fmt: skip
                context = merge_context(modes, vectors, row, column, level)
                choice = code_symbol(stream, context, choice)
                if choice < MOST_CANDIDATES:
                    choice = min(choice, count - 1)
                    mode = int(candidate_modes[choice])
                    copy_vectors(candidates[choice], vector)
                else:
                    mode = FIRST
                    if references == 2:
                        mode = code_symbol(stream, MODE + level, int(wanted_modes[row, column]))
                    _code_vectors(
                        stream, mode, wanted_vectors[row, column], candidate_modes, candidates,
                        count, times, vector,
                    )  # fmt: skip
                store_block(levels, modes, vectors, row, column, level, mode, vector)
