"""Frequency tables in the form that CompressAI's rANS coder takes, and sets of them."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.coder.probability_tables import PRECISION, TOTAL
from nvcodec.media import Int32Array

CoderInput = tuple[list[int], Sequence[list[int]], Sequence[int], Sequence[int]]
"""Table numbers, and the tables as CompressAI takes them: frequencies, sizes, offsets."""
_BYTE_VALUES = 256


class FrequencyTable:
    """A checked cumulative frequency table in the form that the coder takes.

    Args:
        low: The symbol of the first interval.
        cumulative: Cumulative frequencies, 0 to 65536, strictly increasing.

    Attributes:
        low: The symbol of the first interval.
        cumulative: Cumulative frequencies, then the coder's escape: an empty interval that no state
            falls into.
    """

    __slots__ = ("_bits", "cumulative", "low")

    def __init__(self, low: int, cumulative: Sequence[int]) -> None:
        # The frequency of a lone symbol, 65536, does not fit the coder's 16 bits.
        if cumulative[0] != 0 or cumulative[-1] != TOTAL or len(cumulative) < 3:
            raise AssertionError("a table must span 0 to 65536 and hold two symbols or more")
        self.low = low
        self.cumulative = [*cumulative, TOTAL]
        self._bits: npt.NDArray[np.float32] | None = None

    @property
    def bits(self) -> npt.NDArray[np.float32]:
        """Code length of each symbol in bits, shape (symbols,)."""
        if self._bits is None:
            self._bits = (PRECISION - np.log2(np.diff(self.cumulative[:-1]))).astype(np.float32)
        return self._bits


class TableSet:
    """Tables, numbered in order of first use.

    Args:
        tables: The first tables, all different.

    Attributes:
        cumulatives: Cumulative frequencies of each table, the coder's escape included.
        sizes: Length of each of them.
        offsets: Lowest symbol of each table.
    """

    def __init__(self, tables: Sequence[FrequencyTable] = ()) -> None:
        self._tables = list(tables)
        self._numbers: dict[object, int] = {table: n for n, table in enumerate(tables)}
        self.cumulatives = [table.cumulative for table in tables]
        self.sizes = [len(table.cumulative) for table in tables]
        self.offsets = [table.low for table in tables]
        # Code lengths of all tables in one array, and the index that symbol 0 of each would have.
        self._bits = np.empty(0, np.float32)
        self._starts = np.empty(0, np.int64)

    def number(self, low: int, cumulative: tuple[int, ...]) -> int:
        """Return the number of a table, which is added if it is new.

        Args:
            low: The symbol of the table's first interval.
            cumulative: Cumulative frequencies, 0 to 65536, strictly increasing.
        """
        key = (low, cumulative)
        if key not in self._numbers:
            self._numbers[key] = self.add(FrequencyTable(low, cumulative))
        return self._numbers[key]

    def add(self, table: FrequencyTable) -> int:
        """Return the number of a table, which is added if this very object is new."""
        if table not in self._numbers:
            self._numbers[table] = len(self._tables)
            self._tables.append(table)
            self.cumulatives.append(table.cumulative)
            self.sizes.append(len(table.cumulative))
            self.offsets.append(table.low)
        return self._numbers[table]

    def select(self, numbers: Int32Array) -> CoderInput:
        """Return the coder's input for symbols, without the tables that none of them uses.

        The coder copies all tables that it is given.

        Args:
            numbers: The table of each symbol, shape (N,).
        """
        used = np.flatnonzero(np.bincount(numbers, minlength=len(self.sizes)))
        fit_bytes = len(used) <= _BYTE_VALUES
        renumbered = np.zeros(len(self.sizes), np.uint8 if fit_bytes else np.int32)
        renumbered[used] = np.arange(len(used))
        taken = renumbered.take(numbers)
        # A list of bytes is made in half the time.
        table_numbers = list(taken.tobytes()) if fit_bytes else taken.tolist()
        # As indices of lists, numpy integers are ten times as slow.
        selected = used.tolist()
        if len(selected) < 2:
            # With fewer than two items, `itemgetter` returns no tuple.
            selected = [*selected, 0, 0]
        pick = itemgetter(*selected)
        return (
            table_numbers,
            pick(self.cumulatives),
            pick(self.sizes),
            pick(self.offsets),
        )

    def bits_of(self, number: int) -> npt.NDArray[np.float32]:
        """Return the code length of each symbol of a table, in bits."""
        return self._tables[number].bits

    def bits(self, symbols: Int32Array, numbers: Int32Array) -> npt.NDArray[np.float32]:
        """Return the code lengths of symbols, in bits.

        Args:
            symbols: Shape (...).
            numbers: The table of each symbol, same shape.
        """
        if len(self._starts) != len(self._tables):
            self._bits = np.concatenate([table.bits for table in self._tables])
            starts = np.cumsum([0, *(len(table.bits) for table in self._tables[:-1])])
            self._starts = starts - np.array(self.offsets)
        bits: npt.NDArray[np.float32] = self._bits.take(self._starts.take(numbers) + symbols)
        return bits
