"""Coding of motion: what is encoded is decoded, at the cost that is announced."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.entropy.motion.coder import MotionCoder, motion_message, open_message
from nvcodec.entropy.motion.contexts import (
    CONTEXTS,
    INITIAL_COUNTS,
    PLAIN,
    SYMBOLS,
    TABLES,
    WIDEST,
    AdaptiveTables,
)
from nvcodec.errors import BitstreamError
from nvcodec.models.latentgrid.motion.grids import (
    BOTH,
    FIRST,
    LARGEST_VECTOR,
    LEVELS,
    MODES,
    NEITHER,
    NOT_CODED,
    SECOND,
    MotionGrid,
    empty_grid,
)

SIZE, CELL = (11, 13), 8
REFERENCES = {0: (), 4: (0,), 2: (0, 4), 1: (0, 2), 3: (2, 4)}


def random_motion(rng: np.random.Generator, references: int, reach: int = 60) -> MotionGrid:
    """Return random blocks of all levels."""
    grid = empty_grid(SIZE)
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            if grid.modes[row, column] != NOT_CODED:
                continue
            fitting = [n for n in range(LEVELS) if not (row % (1 << n) or column % (1 << n))]
            possible = range(MODES) if references == 2 else (FIRST, NEITHER)
            mode = int(rng.choice(possible))
            vectors = rng.integers(-reach, reach + 1, (2, 2)).astype(np.int16)
            vectors[0] *= mode in (BOTH, FIRST)
            vectors[1] *= mode in (BOTH, SECOND)
            level = int(rng.choice(fitting))
            # A larger block must not cover one that is there already.
            while (
                grid.modes[row : row + (1 << level), column : column + (1 << level)] != NOT_CODED
            ).any():
                level -= 1
            block = slice(row, row + (1 << level)), slice(column, column + (1 << level))
            grid.levels[block], grid.modes[block], grid.vectors[block] = level, mode, vectors
    return grid


def coded(seed: int, reach: int = 60):
    rng = np.random.default_rng(seed)
    coder = MotionCoder(REFERENCES, SIZE, CELL)
    grids = {t: random_motion(rng, len(r), reach) for t, r in REFERENCES.items() if r}
    return grids, [coder.encode(frame, grid) for frame, grid in grids.items()]


@pytest.mark.parametrize("reach", [0, 3, 60, LARGEST_VECTOR])
def test_round_trip(reach):
    grids, motion = coded(reach, reach)
    message = motion_message(motion, SIZE[0] * SIZE[1])
    state = open_message(message, len(grids) * SIZE[0] * SIZE[1])
    decoder = MotionCoder(REFERENCES, SIZE, CELL)
    for frame, grid in grids.items():
        decoder.decode(frame, state)
        for ours, theirs in zip(decoder.grids[frame], grid, strict=True):
            assert np.array_equal(ours, theirs)
    bits = sum(part.bits for part in motion)
    assert 8 * len(message) == pytest.approx(bits, rel=0.02, abs=96)


def test_repetition_costs_little():
    coder = MotionCoder(REFERENCES, SIZE, CELL)
    grid = empty_grid(SIZE)
    grid.levels[:], grid.modes[:] = LEVELS - 1, FIRST
    assert coder.encode(4, grid).bits < 12


def test_announced_bits_are_those_of_the_tables():
    _, (first, *_) = coded(5)
    lengths = MotionCoder(REFERENCES, SIZE, CELL).code_lengths()
    assert lengths[first.symbols[:, 1], first.symbols[:, 0]].sum() == pytest.approx(first.bits)


def test_tables_are_complete_and_adapt():
    tables = AdaptiveTables()
    assert len(INITIAL_COUNTS) == CONTEXTS
    before = tables.cumulative.copy()
    observed = np.zeros((TABLES, WIDEST), np.int64)
    observed[0, 1] = 5000
    tables.adapt(observed)
    for table, symbols in zip(tables.cumulative, SYMBOLS, strict=True):
        assert table[0] == 0
        assert (np.diff(table[: symbols + 1]) > 0).all()
        assert (table[symbols:] == 65536).all()
    assert np.array_equal(tables.cumulative[1:], before[1:])
    assert np.diff(tables.cumulative[0])[1] > 60000
    assert np.array_equal(np.diff(tables.cumulative[PLAIN + 1, :5]), [16384] * 4)
    assert tables.counts[0].sum() <= 1024
    assert tables.counts[0, 0] >= 1


@pytest.mark.parametrize("seed", range(20))
def test_any_bytes_decode_to_blocks_in_range(seed):
    rng = np.random.default_rng(seed)
    message = bytearray(rng.integers(0, 256, int(rng.integers(8, 400))).astype(np.uint8).tobytes())
    message[4] |= 1
    decoder = MotionCoder(REFERENCES, SIZE, CELL)
    state = open_message(bytes(message), 1)
    for frame, references in REFERENCES.items():
        if not references:
            continue
        decoder.decode(frame, state)
        grid = decoder.grids[frame]
        assert (grid.modes < MODES).all()
        assert len(references) == 2 or np.isin(grid.modes, (FIRST, NEITHER)).all()
        assert (np.abs(grid.vectors.astype(int)) <= LARGEST_VECTOR).all()
        for row, column in np.ndindex(*SIZE):
            span = 1 << grid.levels[row, column]
            corner = row // span * span, column // span * span
            assert grid.levels[corner] == grid.levels[row, column]


def test_short_and_invalid_messages_are_refused():
    with pytest.raises(BitstreamError, match="at most 4096 a byte"):
        open_message(bytes(7) + b"x", 8 * 4096 + 1)
    with pytest.raises(BitstreamError, match="invalid state"):
        open_message(bytes(16), 100)


def test_messages_are_padded_to_the_limit():
    coder = MotionCoder(REFERENCES, SIZE, CELL)
    grid = empty_grid(SIZE)
    grid.levels[:], grid.modes[:] = LEVELS - 1, FIRST
    message = motion_message([coder.encode(4, grid)], 1 << 20)
    assert len(message) == 256
    open_message(message, 1 << 20)
