"""rANS through CompressAI: integers and integer tables to bytes, and back.

CompressAI's coder is exact but trusts its input. Here every table is checked. Its escape mechanism
is never used: the last interval of each table, which would trigger it, is empty. The decoder gets
enough zeros behind the data that no input can make it read past the end.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np

from nvcodec.entropy.coder.frequency_tables import TableSet
from nvcodec.entropy.coder.probability_tables import TOTAL
from nvcodec.errors import BitstreamError
from nvcodec.media import Int32Array

_MIN_SYMBOLS = 8
MIN_STATE = 1 << 31
# Symbols that are decoded at a time.
_AT_A_TIME = 1 << 20


@cache
def _coder() -> ModuleType:
    """Load CompressAI's compiled coder, `compressai.ans`, without the rest of the package.

    `import compressai` takes seconds and brings in torchvision, which fails beside a CPU build of
    torch ("operator torchvision::nms does not exist"). The coder needs neither, so its extension
    module is loaded alone, under its own name: a later `import compressai` finds the same one.
    """
    package = find_spec("compressai")
    folders = package.submodule_search_locations if package else None
    for folder in folders or ():
        for suffix in EXTENSION_SUFFIXES:
            path = Path(folder) / f"ans{suffix}"
            if path.is_file():
                spec = spec_from_file_location("compressai.ans", path)
                if spec is not None and spec.loader is not None:
                    module = module_from_spec(spec)
                    spec.loader.exec_module(module)
                    # The module registers itself. Later imports would fail, because its package
                    # is not registered.
                    sys.modules.pop("compressai.ans", None)
                    return module
    raise ImportError("compressai.ans was not found; install compressai 1.2.8 or later")


def encode(symbols: Int32Array, numbers: Int32Array, tables: TableSet) -> bytes:
    """Encode symbols, each with its own table.

    Args:
        symbols: Shape (N,).
        numbers: The table of each symbol, shape (N,).
        tables: The tables.

    Returns:
        Whole 32-bit words, little-endian; empty for no symbols.
    """
    if symbols.size == 0:
        return b""
    # The coder reserves one word per symbol and needs two for its state. Very short messages are
    # therefore followed by near-certain symbols, which cost nothing and are never decoded.
    padding = max(0, _MIN_SYMBOLS - symbols.size)
    certain = tables.number(0, (0, TOTAL - 1, TOTAL)) if padding else 0
    coded: bytes = (
        _coder()
        .RansEncoder()
        .encode_with_indexes(
            symbols.tolist() + [0] * padding,
            numbers.tolist() + [certain] * padding,
            tables.cumulatives,
            tables.sizes,
            tables.offsets,
        )
    )
    return coded


def is_valid(message: bytes) -> bool:
    """Return whether a message begins as `encode` begins it: with a state of the coder."""
    return int.from_bytes(message[:8], "little") >= MIN_STATE


def ended(size: int, valid: bool) -> BitstreamError:
    """Return the error of a message that is too short for its symbols.

    Args:
        size: Its size in bytes.
        valid: What `is_valid` returned.
    """
    fault = "ends before its symbols" if valid else "begins with an invalid state"
    return BitstreamError(f"segment payload: a message of {size} bytes {fault}")


class MessageDecoder:
    """Decodes a message step by step, for tables that depend on symbols decoded before.

    The caller reports the information of the decoded symbols, after each call or after several.

    Args:
        data: What `encode` returned.
        max_unspent: Largest number of symbols that are decoded between two calls of `spend`.
    """

    def __init__(self, data: bytes, max_unspent: int) -> None:
        self._valid = is_valid(data)
        # From a valid state on, the coder reads a word for every 32 bits of information. Decoding
        # stops once the message is spent, so it reads at most 16 bits per symbol beyond the end.
        self._bits_left = 8.0 * len(data)
        self._size, self._max_unspent, self._unspent = len(data), max_unspent, 0
        self._decoder = _coder().RansDecoder()
        self._decoder.set_stream(data + bytes(2 * max_unspent + 64))

    def decode(self, numbers: Int32Array, tables: TableSet) -> Int32Array:
        """Decode the next symbols.

        Args:
            numbers: The table of each symbol, shape (N,).
            tables: The tables.

        Raises:
            BitstreamError: If the message does not begin as `encode` begins it, or has ended.
        """
        if numbers.size == 0:
            return np.empty(0, np.int32)
        self.check()
        self._unspent += numbers.size
        if self._unspent > self._max_unspent:
            raise AssertionError(
                f"at most {self._max_unspent} symbols were announced: {self._unspent}"
            )
        return _to_array(self._decoder.decode_stream(*tables.select(numbers)))

    def spend(self, bits: float) -> None:
        """Record the information of the symbols that were decoded since the last call.

        Args:
            bits: Sum of their code lengths.
        """
        self._bits_left -= bits
        self._unspent = 0

    def check(self) -> None:
        """Refuse a message that is too short for the symbols decoded so far.

        Raises:
            BitstreamError: If it does not begin as `encode` begins it, or has ended.
        """
        if not self._valid or self._bits_left < 0:
            raise ended(self._size, self._valid)


def _to_array(symbols: Sequence[int]) -> Int32Array:
    """Return decoded symbols as an array."""
    try:
        # Conversion through bytes takes a third of the time, if all symbols fit. A `bytearray` is
        # filled in half the time of `bytes`.
        return np.frombuffer(bytearray(symbols), np.uint8).astype(np.int32)
    except ValueError:
        return np.asarray(symbols, np.int32)


def decode(data: bytes, numbers: Int32Array, tables: TableSet) -> Int32Array:
    """Decode what `encode` returned; any bytes decode to some symbols of the tables.

    Args:
        data: What `encode` returned.
        numbers: The table of each symbol, shape (N,).
        tables: The tables.

    Returns:
        Symbols, shape (N,).
    """
    if numbers.size == 0:
        return np.empty(0, np.int32)
    # Eight bytes of state, then at most one word per symbol: in a damaged message the state may
    # stay so small, 0 for one, that each symbol reads a whole word.
    slack = bytes(4 * numbers.size + 16)
    decoder = _coder().RansDecoder()
    if numbers.size <= _AT_A_TIME:
        symbols = decoder.decode_with_indexes(
            data + slack, numbers.tolist(), tables.cumulatives, tables.sizes, tables.offsets
        )
        return np.fromiter(symbols, np.int32, numbers.size)
    # Lists of Python integers take many times the memory of the symbols.
    decoder.set_stream(data + slack)
    parts = (numbers[start : start + _AT_A_TIME] for start in range(0, numbers.size, _AT_A_TIME))
    return np.concatenate(
        [_to_array(decoder.decode_stream(*tables.select(part))) for part in parts]
    )
