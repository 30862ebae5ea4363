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
SINGLE_MODE, SINGLE_MODE_CONTEXTS = MODE + MODE_CONTEXTS, LEVELS
LENGTH, LENGTH_CONTEXTS = SINGLE_MODE + SINGLE_MODE_CONTEXTS, 8
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
    + [2] * SINGLE_MODE_CONTEXTS
    + [LENGTHS] * LENGTH_CONTEXTS
    + [2, 4, 8, 16],
    np.int32,
)


# Counts that adaptation begins with, made by `benchmarks/training/motion_counts.py`.
INITIAL_COUNTS = (
    (53, 11),
    (35, 29),
    (22, 42),
    (52, 12),
    (31, 33),
    (13, 51),
    (52, 12),
    (34, 30),
    (13, 51),
    (20, 24, 5, 2, 1, 13),
    (42, 8, 2, 1, 1, 11),
    (17, 21, 6, 2, 1, 18),
    (38, 10, 3, 1, 1, 13),
    (27, 15, 4, 2, 1, 16),
    (41, 9, 3, 1, 1, 10),
    (35, 17, 2, 1, 1, 10),
    (56, 3, 1, 1, 1, 3),
    (1, 30, 30, 4),
    (6, 31, 26, 1),
    (19, 25, 20, 1),
    (36, 14, 14, 1),
    (53, 11),
    (55, 9),
    (62, 2),
    (61, 3),
    (15, 10, 14, 10, 7, 4, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    (31, 12, 11, 4, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    (19, 22, 14, 6, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    (11, 7, 13, 12, 10, 6, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    (16, 11, 14, 10, 6, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    (3, 23, 25, 7, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    (17, 17, 21, 5, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    (8, 10, 19, 12, 9, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
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
