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
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.tables import TOTAL

Int32Array = npt.NDArray[np.int32]

_SHORTEST = 8


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


class TableSet:
    """Cumulative frequency tables in the form the coder wants, numbered in order of first use."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, tuple[int, ...]], int] = {}
        self.cumulatives: list[list[int]] = []
        self.sizes: list[int] = []
        self.offsets: list[int] = []

    def number(self, low: int, cumulative: tuple[int, ...]) -> int:
        """Number of a table, added if new.

        Args:
            low: The symbol of the table's first interval.
            cumulative: 0 to 65536, strictly increasing.
        """
        key = (low, cumulative)
        if key not in self._numbers:
            # A lone symbol's frequency, 65536, does not fit the coder's 16 bits.
            if cumulative[0] != 0 or cumulative[-1] != TOTAL or len(cumulative) < 3:
                raise AssertionError("a table must span 0 to 65536 and hold two symbols or more")
            self._numbers[key] = len(self.sizes)
            # The empty last interval is the coder's escape: no state ever falls into it.
            self.cumulatives.append([*cumulative, TOTAL])
            self.sizes.append(len(cumulative) + 1)
            self.offsets.append(low)
        return self._numbers[key]


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

    Args:
        data: What `encode` returned.
        most: Symbols that will be asked for, at most.
    """

    def __init__(self, data: bytes, most: int) -> None:
        self._decoder = _coder().RansDecoder()
        self._decoder.set_stream(data + bytes(2 * most + 16))

    def decode(self, numbers: Int32Array, tables: TableSet) -> Int32Array:
        """The next symbols.

        Args:
            numbers: The table of each, shape (N,).
            tables: The tables.
        """
        if numbers.size == 0:
            return np.empty(0, np.int32)
        symbols: Sequence[int] = self._decoder.decode_stream(
            numbers.tolist(), tables.cumulatives, tables.sizes, tables.offsets
        )
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
    return np.asarray(symbols, np.int32)
