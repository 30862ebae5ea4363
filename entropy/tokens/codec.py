"""Digits of tokens to bytes and back: a choice of a few numbers, then one rANS message.

Tables depend on nothing but the message, so that any file can be read alone; which one serves where
is in `nvcodec.entropy.tokens.context_model`. Normative description: `docs/bitstream.md`. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.coder import rans
from nvcodec.entropy.tokens.context_model import KINDS, Positions, TokenContextModel
from nvcodec.entropy.tokens.parameters import (
    PARAMETERS_SIZE,
    CodingParameters,
    choose_parameters,
    index_planes,
    starts_of,
)
from nvcodec.entropy.tokens.tables import CLASSES, MOST_CHANGE, tables_of
from nvcodec.errors import BitstreamError, TruncatedStreamError
from nvcodec.media import Int32Array

_TOKENS_PER_BYTE = 256
"""A message of n bytes holds at most so many times n tokens: memory stays in proportion."""


def encode_tokens(fsq_indices: npt.NDArray[np.uint8], levels: Sequence[int]) -> bytes:
    """Code the tokens of a segment.

    Args:
        fsq_indices: Shape (t, h, w, n), no side 0; each below its level.
        levels: Values of each of the n digits, 2 to 16.

    Returns:
        A message that `decode_tokens` reads; zero bytes at its end mean nothing.
    """
    message = _coded(fsq_indices, levels, *choose_parameters(fsq_indices, levels))
    least = -(-fsq_indices[..., 0].size // _TOKENS_PER_BYTE)
    return message + bytes(max(least - len(message), 0))


def _coded(
    fsq_indices: npt.NDArray[np.uint8],
    levels: Sequence[int],
    parameters: CodingParameters,
    changes: Int32Array,
) -> bytes:
    """The message for a choice and its changes of scales."""
    tables, known = tables_of(tuple(levels)), index_planes(fsq_indices)
    symbols = [changes.ravel() + MOST_CHANGE]
    numbers = [np.full(changes.size, tables.of_changes[parameters.spread], np.int32)]

    def code(used: Int32Array, steps: Positions, cells: Positions) -> Int32Array:
        numbers.append(used)
        symbols.append(known[:, steps][:, :, cells].ravel())
        return symbols[-1]

    starts = starts_of(tables, parameters, changes)
    TokenContextModel(fsq_indices.shape, levels, parameters.weights, starts, code).run()
    return parameters.pack() + rans.encode(np.concatenate(symbols), np.concatenate(numbers), tables)


def decode_tokens(
    data: bytes, shape: tuple[int, int, int], levels: Sequence[int]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """The tokens of a segment, and what each of them takes.

    Args:
        data: What `encode_tokens` returned.
        shape: Steps, rows and columns, at least 1.
        levels: Values of each of the n digits, 2 to 16.

    Returns:
        Digits, shape (*shape, n), and bits, shape `shape`.

    Raises:
        BitstreamError: If the message is malformed, or too short for so many tokens.
    """
    tokens = prod(shape)
    if len(data) < PARAMETERS_SIZE or tokens > _TOKENS_PER_BYTE * len(data):
        raise TruncatedStreamError(f"tokens: {len(data)} bytes cannot hold {tokens} of them")
    tables = tables_of(tuple(levels))
    parameters = CodingParameters.unpack(data[:PARAMETERS_SIZE])
    scales = min(shape[0], KINDS), len(levels), CLASSES
    stream = rans.Stream(data[PARAMETERS_SIZE:], tokens * len(levels) + prod(scales))

    def code(used: Int32Array, steps: Positions, cells: Positions) -> Int32Array:
        return stream.decode(used, tables)

    try:
        numbers = np.full(prod(scales), tables.of_changes[parameters.spread], np.int32)
        found = stream.decode(numbers, tables)
        starts = starts_of(tables, parameters, found.reshape(scales) - MOST_CHANGE)
        model = TokenContextModel((*shape, len(levels)), levels, parameters.weights, starts, code)
        model.run()
        bits: npt.NDArray[np.float32] = tables.bits(model.fsq_indices, model.numbers).sum(0)
        stream.spend(float(bits.sum(dtype=np.float64) + tables.bits(found, numbers).sum()))
        stream.check()
    except BitstreamError as error:
        raise BitstreamError(f"tokens: the message of {len(data)} bytes is damaged") from error
    fsq_indices = np.ascontiguousarray(model.fsq_indices.transpose(1, 2, 0), np.uint8)
    return fsq_indices.reshape(*shape, len(levels)), bits.reshape(shape)
