"""rANS through CompressAI: integers and integer tables in, bytes out, and back.

CompressAI's coder is exact but trusts its input. Here every table is checked, its escape mechanism
is never used (the last interval of each table, which would trigger it, is empty), and the decoder
is handed enough zeros behind the data that no input can make it read past the end.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from operator import itemgetter
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.coder.probability_tables import PRECISION, TOTAL
from nvcodec.errors import BitstreamError
from nvcodec.media import Int32Array

_Coded = tuple[list[int], Sequence[list[int]], Sequence[int], Sequence[int]]
"""Numbers of tables, and the tables: cumulative frequencies, sizes, offsets."""
_SHORTEST = 8
_BYTE = 256  # values
_LEAST_STATE = 1 << 31


@cache
def _coder() -> ModuleType:
    """CompressAI's compiled coder, `compressai.ans`, without the rest of the package.

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
                    # It registers itself; without its package there, later imports would stumble.
                    sys.modules.pop("compressai.ans", None)
                    return module
    raise ImportError("compressai.ans was not found; install compressai 1.2.8 or later")


class Table:
    """A cumulative frequency table, checked, in the form the coder wants.

    Args:
        low: The symbol of the first interval.
        cumulative: 0 to 65536, strictly increasing.

    Attributes:
        low: As given.
        cumulative: As given, and the coder's escape: an empty interval, no state ever falls into it.
    """

    __slots__ = ("_bits", "cumulative", "low")

    def __init__(self, low: int, cumulative: Sequence[int]) -> None:
        # A lone symbol's frequency, 65536, does not fit the coder's 16 bits.
        if cumulative[0] != 0 or cumulative[-1] != TOTAL or len(cumulative) < 3:
            raise AssertionError("a table must span 0 to 65536 and hold two symbols or more")
        self.low = low
        self.cumulative = [*cumulative, TOTAL]
        self._bits: npt.NDArray[np.float32] | None = None

    @property
    def bits(self) -> npt.NDArray[np.float32]:
        """Information of each symbol."""
        if self._bits is None:
            self._bits = (PRECISION - np.log2(np.diff(self.cumulative[:-1]))).astype(np.float32)
        return self._bits


class TableSet:
    """Tables, numbered in order of first use.

    Args:
        tables: The first ones, all different.
    """

    def __init__(self, tables: Sequence[Table] = ()) -> None:
        self._tables = list(tables)
        self._numbers: dict[object, int] = {table: n for n, table in enumerate(tables)}
        self.cumulatives = [table.cumulative for table in tables]
        self.sizes = [len(table.cumulative) for table in tables]
        self.offsets = [table.low for table in tables]
        # Of all tables: the information of their symbols, and where in it each one's 0 would be.
        self._bits = np.empty(0, np.float32)
        self._starts = np.empty(0, np.int64)

    def number(self, low: int, cumulative: tuple[int, ...]) -> int:
        """Number of a table, added if new.

        Args:
            low: The symbol of the table's first interval.
            cumulative: 0 to 65536, strictly increasing.
        """
        key = (low, cumulative)
        if key not in self._numbers:
            self._numbers[key] = self.add(Table(low, cumulative))
        return self._numbers[key]

    def add(self, table: Table) -> int:
        """Number of a table, added if this very object is new."""
        if table not in self._numbers:
            self._numbers[table] = len(self._tables)
            self._tables.append(table)
            self.cumulatives.append(table.cumulative)
            self.sizes.append(len(table.cumulative))
            self.offsets.append(table.low)
        return self._numbers[table]

    def needed(self, numbers: Int32Array) -> _Coded:
        """What the coder is handed for symbols with these tables: it copies all that it is handed."""
        found = np.flatnonzero(np.bincount(numbers, minlength=len(self.sizes)))
        small = len(found) <= _BYTE
        places = np.zeros(len(self.sizes), np.uint8 if small else np.int32)
        places[found] = np.arange(len(found))
        taken = places.take(numbers)
        listed = list(taken.tobytes()) if small else taken.tolist()  # in half the time, if small
        used = found.tolist()  # as indices of lists, numpy's numbers take ten times as long
        if len(used) < 2:
            used = [*used, 0, 0]  # or what picks would not give sequences
        pick = itemgetter(*used)
        return (
            listed,
            pick(self.cumulatives),
            pick(self.sizes),
            pick(self.offsets),
        )

    def bits_of(self, number: int) -> npt.NDArray[np.float32]:
        """Information of each symbol of a table."""
        return self._tables[number].bits

    def bits(self, symbols: Int32Array, numbers: Int32Array) -> npt.NDArray[np.float32]:
        """Information of symbols, each with its own table."""
        if len(self._starts) != len(self._tables):
            self._bits = np.concatenate([table.bits for table in self._tables])
            starts = np.cumsum([0, *(len(table.bits) for table in self._tables[:-1])])
            self._starts = starts - np.array(self.offsets)
        taken: npt.NDArray[np.float32] = self._bits.take(self._starts.take(numbers) + symbols)
        return taken


def encode(symbols: Int32Array, numbers: Int32Array, tables: TableSet) -> bytes:
    """Code symbols, each with its own table.

    Args:
        symbols: Shape (N,).
        numbers: The table of each symbol, shape (N,).
        tables: The tables.

    Returns:
        Whole 32-bit words, little-endian; empty for no symbols.
    """
    if symbols.size == 0:
        return b""
    # The coder reserves one word per symbol and needs two for its state: very short messages are
    # followed by near-certain symbols, which cost nothing and which no decoder asks for.
    padding = max(0, _SHORTEST - symbols.size)
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


class Stream:
    """A message whose tables depend on symbols decoded before.

    Whoever decodes says what the symbols took, at once or after some calls.

    Args:
        data: What `encode` returned.
        most: Symbols that are decoded between two calls of `spend`, at most.
    """

    def __init__(self, data: bytes, most: int) -> None:
        self._valid = int.from_bytes(data[:8], "little") >= _LEAST_STATE
        # From a valid state on a word is read for every 32 bits of information, and nothing follows
        # what went beyond the end: at most the 16 bits of each of its symbols lie there.
        self._left = 8.0 * len(data)
        self._size, self._most, self._unspent = len(data), most, 0
        self._decoder = _coder().RansDecoder()
        self._decoder.set_stream(data + bytes(2 * most + 64))

    def decode(self, numbers: Int32Array, tables: TableSet) -> Int32Array:
        """The next symbols.

        Args:
            numbers: The table of each, shape (N,).
            tables: The tables.

        Raises:
            BitstreamError: If the message does not begin as `encode` begins it, or has ended.
        """
        if numbers.size == 0:
            return np.empty(0, np.int32)
        self.check()
        self._unspent += numbers.size
        if self._unspent > self._most:
            raise AssertionError(f"at most {self._most} symbols were announced: {self._unspent}")
        return _array(self._decoder.decode_stream(*tables.needed(numbers)))

    def spend(self, bits: float) -> None:
        """Take note of the information of the symbols decoded since this was called last."""
        self._left -= bits
        self._unspent = 0

    def check(self) -> None:
        """Refuse a message that cannot have held all that was decoded.

        Raises:
            BitstreamError: If it does not begin as `encode` begins it, or has ended.
        """
        if not self._valid or self._left < 0:
            fault = "ends before its symbols" if self._valid else "begins with an invalid state"
            raise BitstreamError(f"segment payload: a message of {self._size} bytes {fault}")


def _array(symbols: Sequence[int]) -> Int32Array:
    try:
        # By way of bytes it takes a third of the time, where all of them fit; those of an array are
        # filled in half the time of those that cannot be changed.
        return np.frombuffer(bytearray(symbols), np.uint8).astype(np.int32)
    except ValueError:
        return np.asarray(symbols, np.int32)


def decode(data: bytes, numbers: Int32Array, tables: TableSet) -> Int32Array:
    """Inverse of `encode`; any bytes decode to some symbols of the tables.

    Args:
        data: What `encode` returned.
        numbers: The table of each symbol, shape (N,).
        tables: The tables.

    Returns:
        Symbols, shape (N,).
    """
    if numbers.size == 0:
        return np.empty(0, np.int32)
    # Eight bytes of state, then at most one word a symbol: a state that no encoder leaves behind, 0
    # for one, may stay so small that each symbol reads a whole word.
    slack = bytes(4 * numbers.size + 16)
    symbols: Sequence[int] = (
        _coder()
        .RansDecoder()
        .decode_with_indexes(
            data + slack, numbers.tolist(), tables.cumulatives, tables.sizes, tables.offsets
        )
    )
    return np.fromiter(symbols, np.int32, numbers.size)
