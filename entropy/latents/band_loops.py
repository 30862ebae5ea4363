"""Compiled loops that decode a band: contexts, context network, rANS and neighbour sums.

The twin of `context_model` with the context network and CompressAI's coder: the same integers, symbol
by symbol instead of array by array. `compiled_band_decoder` alone imports it, and answers for its arguments:
nothing here checks an index. Whatever the message holds, indices stay within the arrays, and every
loop ends.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.coder.probability_tables import PRECISION, SCALES, TOTAL
from nvcodec.entropy.latents.context_network import HIDDEN, INPUTS, LOGARITHMS, ONE
from nvcodec.host.compiled import compiled_for, compiled_part
from nvcodec.media import Float32Array, Int16Array, Int32Array, Int64Array, UInt8Array

UInt32Array = npt.NDArray[np.uint32]
UInt64Array = npt.NDArray[np.uint64]
Float64Array = npt.NDArray[np.float64]

DONE, TOO_MANY, SPENT = 0, 1, 2
"""What `decode_band` returns."""
OWN, ABOVE, SIBLING, OTHER_SIBLING, LUMA = range(5)
"""Places in its tuples of bands."""
VARYING = 12  # inputs of the context network before those that a band has in common
SECOND_PASS = 13  # the input that marks the second pass

_LOGARITHMS = LOGARITHMS.astype(np.int64)
_LAST_LOGARITHM = len(_LOGARITHMS) - 1
_LARGEST_SUM = 255
_SEARCHED_IN_TURN = 6  # symbols; most are among the first few

_ARGUMENTS = (
    "UniTuple(int16[:, :, :, ::1], 5), UniTuple(uint8[:, :, :, ::1], 5), int64[::1], "
    "int64[:, ::1], UniTuple(int64, 2), int64, int32[::1], "
    "Tuple((int32[:, ::1], int32[::1], int64[::1])), Tuple((uint32[:, ::1], float32[:, ::1])), "
    "Tuple((uint32[::1], uint64[::1], int64[::1], float64[::1]))"
)
Network: TypeAlias = tuple[Int32Array, Int32Array, Int64Array]
"""Weights of the hidden layer and, in the last column, of the bypass, shape (20, 17); weights of the
output, shape (16,); the bias of each channel."""
Tables: TypeAlias = tuple[UInt32Array, Float32Array]
"""Cumulative frequencies at each scale, shape (64, symbols + 1); code lengths, shape (64, symbols)."""
Message: TypeAlias = tuple[UInt32Array, UInt64Array, Int64Array, Float64Array]
"""The words of a message; then what changes: the state of the coder, shape (1,); words read and
symbols that may still come, shape (2,); bits that the message may still hold, shape (1,)."""


@compiled_part
def _logarithm(magnitude: int) -> int:
    return int(_LOGARITHMS[min(magnitude, _LAST_LOGARITHM)])


@compiled_part
def _around(band: Int16Array, frame: int, channel: int, y: int, x: int, values: Int32Array) -> None:
    """Set the inputs of the second pass: what the first one coded around a position."""
    _, channels, height, width = band.shape
    beside = over = 0
    if x > 0:
        beside += abs(int(band[frame, channel, y, x - 1]))
    if x + 1 < width:
        beside += abs(int(band[frame, channel, y, x + 1]))
    if y > 0:
        over += abs(int(band[frame, channel, y - 1, x]))
    if y + 1 < height:
        over += abs(int(band[frame, channel, y + 1, x]))
    values[4], values[5] = _logarithm(beside), _logarithm(over)
    if channels == 1:
        return
    # The channels of the other parity; of their 3 x 3 squares, the centre and the corners are coded.
    centre = corners = 0
    for other in range(1 - (channel & 1), channels, 2):
        centre += abs(int(band[frame, other, y, x]))
        for row in (y - 1, y + 1):
            if 0 <= row < height:
                if x > 0:
                    corners += abs(int(band[frame, other, row, x - 1]))
                if x + 1 < width:
                    corners += abs(int(band[frame, other, row, x + 1]))
    values[10], values[11] = _logarithm(centre), _logarithm(min(centre + corners, _LARGEST_SUM))


@compiled_part
def _common_sums(inputs: Int32Array, weights: Int32Array) -> Int32Array:
    """Return what the inputs that a band has in common add to every sum, in each pass: (2, 17)."""
    sums = np.zeros((2, HIDDEN + 1), np.int32)
    for second in range(2):
        for number in range(VARYING, INPUTS):
            value = ONE if second == 1 and number == SECOND_PASS else inputs[number]
            for unit in range(HIDDEN + 1):
                sums[second, unit] += value * weights[number, unit]
    return sums


@compiled_part
def _scale(
    values: Int32Array, weights: Int32Array, output: Int32Array, common: Int32Array, bias: int
) -> int:
    """Return the scale index that the context network predicts: `ContextNetwork.scales`.

    Args:
        values: The inputs that vary, shape (12,).
        weights: Of the hidden layer and the bypass, as in `Network`.
        output: Of the output.
        common: What the other inputs add to each sum, shape (17,).
        bias: Bias of the output.
    """
    # LLVM makes a few vector instructions of this. It would not, if zeros among the values were skipped.
    total = common[HIDDEN] + bias * 16
    for number in range(VARYING):
        total += values[number] * weights[number, HIDDEN]
    for unit in range(HIDDEN):
        activation = common[unit]
        for number in range(VARYING):
            activation += values[number] * weights[number, unit]
        total += output[unit] * min(max(activation >> 5, 0), 255)
    return int(min(max(total >> 7, 0), SCALES - 1))


@compiled_part
def _next_index(
    table: UInt32Array, scale: int, words: UInt32Array, state: UInt64Array, position: Int64Array
) -> int:
    """Decode one symbol: its index in a table.

    Args:
        table: Cumulative frequencies at each scale, shape (64, symbols + 1).
        scale: Scale index.
        words: The message; zeros follow it.
        state: State of the coder, shape (1,); changed.
        position: Words read, shape (1,); changed.
    """
    place = state[0] & np.uint64(TOTAL - 1)
    low, high = 0, table.shape[1] - 1
    while low < _SEARCHED_IN_TURN and low + 1 < high and table[scale, low + 1] <= place:
        low += 1
    if low == _SEARCHED_IN_TURN:
        while low + 1 < high:
            middle = (low + high) >> 1
            if table[scale, middle] <= place:
                low = middle
            else:
                high = middle
    start = np.uint64(table[scale, low])
    frequency = np.uint64(table[scale, low + 1]) - start
    following = frequency * (state[0] >> np.uint64(PRECISION)) + place - start
    if following < np.uint64(1 << 31):
        word = np.uint64(0)
        if position[0] < words.size:
            word = np.uint64(words[position[0]])
        following = (following << np.uint64(32)) | word
        position[0] += 1
    state[0] = following
    return low


@compiled_part
def _store(
    band: Int16Array, sums: UInt8Array, frame: int, channel: int, y: int, x: int, symbol: int
) -> None:
    """Store a symbol that is not zero, and add it to the neighbour sums around."""
    _, _, height, width = band.shape
    band[frame, channel, y, x] = symbol
    for row in range(max(y - 1, 0), min(y + 2, height)):
        for column in range(max(x - 1, 0), min(x + 2, width)):
            total = int(sums[frame, channel, row, column]) + abs(symbol)
            sums[frame, channel, row, column] = min(total, _LARGEST_SUM)


@compiled_for(f"int64({_ARGUMENTS})")
def decode_band(
    bands: tuple[Int16Array, Int16Array, Int16Array, Int16Array, Int16Array],
    sums: tuple[UInt8Array, UInt8Array, UInt8Array, UInt8Array, UInt8Array],
    frames: Int64Array,
    references: Int64Array,
    size: tuple[int, int],
    shift: int,
    inputs: Int32Array,
    network: Network,
    tables: Tables,
    message: Message,
) -> int:
    """Decode both passes over a band of some frames of a layer.

    Args:
        bands: Symbols of the band, of that above, of two siblings, and of luma; empty where there
            is none.
        sums: Neighbour sums of the same bands.
        frames: Numbers of the frames.
        references: Their reference frames, shape (frames, references); may be none.
        size: Height and width of the band, at most those of its array.
        shift: How many scales coarser the band above is. With 1 it says which symbols are coded.
        inputs: Inputs of the context network that all symbols of the band have, shape (20,).
        network: The context network, with the biases of the band.
        tables: Tables of the band.
        message: The message; changed.

    Returns:
        `DONE`, `TOO_MANY` symbols for such a message, or `SPENT`: it ended before.
    """
    (height, width), (weights, output, biases), (table, bits) = size, network, tables
    words, state, counts, bits_left = message
    own, above, parents = bands[OWN], bands[ABOVE], sums[ABOVE]
    channels = own.shape[1]
    values, common = np.zeros(VARYING, np.int32), _common_sums(inputs, weights)
    for second in range(2):
        coded = 0
        for frame in frames:
            for channel in range(channels):
                for y in range(height):
                    for x in range((second ^ channel ^ y) & 1, width, 2):
                        if shift == 0 or parents[frame, channel, y >> 1, x >> 1] > 0:
                            coded += 1
        if coded == 0:
            continue
        counts[1] -= coded
        if counts[1] < 0:
            return TOO_MANY
        if bits_left[0] < 0:
            return SPENT
        spent = 0.0
        for place in range(frames.size):
            frame = frames[place]
            for channel in range(channels):
                for y in range(height):
                    for x in range((second ^ channel ^ y) & 1, width, 2):
                        if above.size > 0:
                            parent = int(parents[frame, channel, y >> shift, x >> shift])
                            if shift == 1 and parent == 0:
                                continue
                            magnitude = abs(int(above[frame, channel, y >> shift, x >> shift]))
                            values[0], values[1] = _logarithm(magnitude), _logarithm(parent)
                        magnitude = total = 0
                        if bands[SIBLING].size > 0:
                            magnitude += abs(int(bands[SIBLING][frame, channel, y, x]))
                            total += int(sums[SIBLING][frame, channel, y, x])
                        if bands[OTHER_SIBLING].size > 0:
                            magnitude += abs(int(bands[OTHER_SIBLING][frame, channel, y, x]))
                            total += int(sums[OTHER_SIBLING][frame, channel, y, x])
                        values[2] = _logarithm(magnitude)
                        values[3] = _logarithm(min(total, _LARGEST_SUM))
                        if second == 1:
                            _around(own, frame, channel, y, x, values)
                        magnitude = total = 0
                        for side in range(references.shape[1]):
                            reference = references[place, side]
                            magnitude += abs(int(own[reference, channel, y, x]))
                            total += int(sums[OWN][reference, channel, y, x])
                        values[6], values[7] = _logarithm(magnitude), _logarithm(total)
                        if bands[LUMA].size > 0:
                            magnitude = abs(int(bands[LUMA][frame, 0, y, x]))
                            values[8] = _logarithm(magnitude)
                            values[9] = _logarithm(int(sums[LUMA][frame, 0, y, x]))
                        scale = _scale(values, weights, output, common[second], biases[channel])
                        index = _next_index(table, scale, words, state, counts)
                        spent += bits[scale, index]
                        if index > 0:
                            symbol = (index >> 1) ^ -(index & 1)
                            _store(own, sums[OWN], frame, channel, y, x, symbol)
        bits_left[0] -= spent
    return DONE
