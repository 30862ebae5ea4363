"""Contexts of motion symbols, and their tables, which adapt from frame to frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.coder.probability_tables import TOTAL
from nvcodec.media import Int32Array
from nvcodec.models.latentgrid.motion.candidates import MOST_CANDIDATES
from nvcodec.models.latentgrid.motion.grids import LEVELS, MODES

# Part of the bitstream: number of contexts and symbols of each kind, and where its contexts begin.
SPLIT, SPLIT_CONTEXTS = 0, 9
MERGE, MERGE_CONTEXTS = SPLIT + SPLIT_CONTEXTS, 2 * LEVELS
MODE, MODE_CONTEXTS = MERGE + MERGE_CONTEXTS, LEVELS
LENGTH, LENGTH_CONTEXTS = MODE + MODE_CONTEXTS, 8
CONTEXTS = LENGTH + LENGTH_CONTEXTS
# Then come tables of 2, 4, 8 and 16 symbols that are equally likely and never change.
PLAIN = CONTEXTS
LARGEST_PLAIN = 4
TABLES = CONTEXTS + LARGEST_PLAIN
LENGTHS = 16  # bits of the magnitude of a difference: 0 to 15
WIDEST = 16
_LIMIT = 1024  # counts are halved beyond it

SYMBOLS = np.array(
    [2] * SPLIT_CONTEXTS
    + [MOST_CANDIDATES + 1] * MERGE_CONTEXTS
    + [MODES] * MODE_CONTEXTS
    + [LENGTHS] * LENGTH_CONTEXTS
    + [2, 4, 8, 16],
    np.int32,
)


# Counts that adaptation begins with, made by `benchmarks/training/motion_counts.py`.
INITIAL_COUNTS = (
    (54, 10),
    (40, 24),
    (26, 38),
    (53, 11),
    (30, 34),
    (16, 48),
    (52, 12),
    (34, 30),
    (10, 54),
    (21, 23, 7, 2, 1, 11),
    (38, 11, 3, 1, 1, 11),
    (17, 21, 6, 2, 1, 17),
    (36, 12, 3, 1, 1, 12),
    (27, 14, 5, 2, 1, 15),
    (40, 7, 3, 1, 1, 12),
    (32, 18, 3, 1, 1, 10),
    (52, 6, 2, 1, 1, 3),
    (1, 31, 33),
    (6, 33, 25),
    (18, 23, 23),
    (36, 14, 14),
    (13, 11, 12, 11, 8, 5, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    (24, 14, 12, 5, 4, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    (16, 20, 15, 6, 4, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    (11, 9, 11, 10, 9, 7, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    (15, 11, 15, 10, 6, 4, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    (7, 21, 21, 9, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    (14, 22, 15, 8, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    (10, 10, 18, 14, 6, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
)


class AdaptiveTables:
    """Frequency tables of all contexts, from counts of the symbols of earlier frames.

    Attributes:
        cumulative: Cumulative frequencies, 0 to 65536, shape (tables, 17). Behind the last symbol
            65536 is repeated.
        counts: Weighted counts of symbols so far, shape (contexts, 16).
    """

    def __init__(self) -> None:
        self.counts = np.zeros((CONTEXTS, WIDEST), np.int64)
        for context, counts in enumerate(INITIAL_COUNTS):
            self.counts[context, : len(counts)] = counts
        self.cumulative: Int32Array = np.full((TABLES, WIDEST + 1), TOTAL, np.int32)
        for bits in range(1, LARGEST_PLAIN + 1):
            steps = np.arange(1 << bits) * (TOTAL >> bits)
            self.cumulative[PLAIN + bits - 1, : 1 << bits] = steps
        self._make_tables()

    def adapt(self, observed: npt.NDArray[np.int64]) -> None:
        """Take the symbols of a frame into account.

        Args:
            observed: How often each symbol occurred in each context, shape (contexts, 16).
        """
        self.counts += 4 * observed[:CONTEXTS]
        while (large := self.counts.sum(1) > _LIMIT).any():
            present = self.counts[large] > 0
            self.counts[large] = np.maximum(self.counts[large] // 2, present)
        self._make_tables()

    def _make_tables(self) -> None:
        symbols = SYMBOLS[:CONTEXTS, None]
        share = (TOTAL - symbols) // self.counts.sum(1, keepdims=True)
        # Each symbol has a count from the start; those that a context lacks have none.
        frequencies = (self.counts > 0) + self.counts * share
        rest = TOTAL - frequencies.sum(1)
        frequencies[np.arange(CONTEXTS), self.counts.argmax(1)] += rest
        self.cumulative[:CONTEXTS, 0] = 0
        self.cumulative[:CONTEXTS, 1:] = frequencies.cumsum(1)
