"""Codec of FSQ indices: a few coding parameters, then one rANS message. Needs no torch.

The tables depend on nothing but the message, so that every file can be read alone.
`nvcodec.entropy.tokens.context_model` selects the table of each index. `docs/bitstream.md` is the
normative description.
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
    first_tables,
    index_planes,
)
from nvcodec.entropy.tokens.tables import CLASSES, MAX_CHANGE, token_tables
from nvcodec.errors import BitstreamError, TruncatedStreamError
from nvcodec.media import Int32Array

_TOKENS_PER_BYTE = 256
"""Largest number of tokens per byte of a message, so that memory stays in proportion to it."""


def encode_tokens(fsq_indices: npt.NDArray[np.uint8], levels: Sequence[int]) -> bytes:
    """Encode the tokens of a segment.

    Args:
        fsq_indices: Shape (t, h, w, n), no side 0; each below its number of levels.
        levels: Number of FSQ levels of each of the n channels, 2 to 16.

    Returns:
        A message for `decode_tokens`; zero bytes at its end have no meaning.
    """
    message = _encode_with(fsq_indices, levels, *choose_parameters(fsq_indices, levels))
    min_size = -(-fsq_indices[..., 0].size // _TOKENS_PER_BYTE)
    return message + bytes(max(min_size - len(message), 0))


def _encode_with(
    fsq_indices: npt.NDArray[np.uint8],
    levels: Sequence[int],
    parameters: CodingParameters,
    changes: Int32Array,
) -> bytes:
    """Encode the tokens of a segment with given parameters and changes of scales.

    Args:
        fsq_indices: Shape (t, h, w, n).
        levels: Number of FSQ levels of each channel.
        parameters: Coding parameters.
        changes: Changes of scales; see `nvcodec.entropy.tokens.tables.scale_indices`.
    """
    tables, planes = token_tables(tuple(levels)), index_planes(fsq_indices)
    symbols = [changes.ravel() + MAX_CHANGE]
    numbers = [np.full(changes.size, tables.of_changes[parameters.spread], np.int32)]

    def code(table_numbers: Int32Array, time_steps: Positions, cells: Positions) -> Int32Array:
        numbers.append(table_numbers)
        symbols.append(planes[:, time_steps][:, :, cells].ravel())
        return symbols[-1]

    starts = first_tables(tables, parameters, changes)
    TokenContextModel(fsq_indices.shape, levels, parameters.weights, starts, code).run()
    return parameters.pack() + rans.encode(np.concatenate(symbols), np.concatenate(numbers), tables)


def decode_tokens(
    data: bytes, shape: tuple[int, int, int], levels: Sequence[int]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Decode the tokens of a segment.

    Args:
        data: What `encode_tokens` returned.
        shape: Token steps, rows and columns, at least 1 each.
        levels: Number of FSQ levels of each of the n channels, 2 to 16.

    Returns:
        FSQ indices, shape (*shape, n), and the bits that each token takes, shape `shape`.

    Raises:
        BitstreamError: If the message is malformed, or too short for so many tokens.
    """
    tokens = prod(shape)
    if len(data) < PARAMETERS_SIZE or tokens > _TOKENS_PER_BYTE * len(data):
        raise TruncatedStreamError(f"tokens: {len(data)} bytes cannot hold {tokens} of them")
    tables = token_tables(tuple(levels))
    parameters = CodingParameters.unpack(data[:PARAMETERS_SIZE])
    scales = min(shape[0], KINDS), len(levels), CLASSES
    stream = rans.MessageDecoder(data[PARAMETERS_SIZE:], tokens * len(levels) + prod(scales))

    def code(table_numbers: Int32Array, time_steps: Positions, cells: Positions) -> Int32Array:
        return stream.decode(table_numbers, tables)

    try:
        numbers = np.full(prod(scales), tables.of_changes[parameters.spread], np.int32)
        coded_changes = stream.decode(numbers, tables)
        starts = first_tables(tables, parameters, coded_changes.reshape(scales) - MAX_CHANGE)
        model = TokenContextModel((*shape, len(levels)), levels, parameters.weights, starts, code)
        model.run()
        bits: npt.NDArray[np.float32] = tables.bits(model.fsq_indices, model.numbers).sum(0)
        stream.spend(float(bits.sum(dtype=np.float64) + tables.bits(coded_changes, numbers).sum()))
        stream.check()
    except BitstreamError as error:
        raise BitstreamError(f"tokens: the message of {len(data)} bytes is damaged") from error
    fsq_indices = np.ascontiguousarray(model.fsq_indices.transpose(1, 2, 0), np.uint8)
    return fsq_indices.reshape(*shape, len(levels)), bits.reshape(shape)
