"""Carried motion, and the candidates of a block."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.host.compiled import compiled
from nvcodec.models.latentgrid.motion.candidates import (
    MOST_CANDIDATES,
    Candidates,
)
from nvcodec.models.latentgrid.motion.candidates import find_candidates as candidates_of
from nvcodec.models.latentgrid.motion.candidates import predict_vector as vector_of
from nvcodec.models.latentgrid.motion.grids import (
    BOTH,
    FIRST,
    NEITHER,
    NOT_CODED,
    SECOND,
    empty_grid,
)
from nvcodec.models.latentgrid.motion.temporal import carry_motion
from nvcodec.models.latentgrid.motion.temporal import scaled as scale

SIZE = 6, 8


@compiled
def scaled(value, numerator, denominator):
    return scale(value, numerator, denominator)


@compiled
def find_candidates(grid, carried, row, column, level, references, found):
    return candidates_of(grid, carried, row, column, level, references, found)


@compiled
def predict_vector(found, count, reference, known, vectors, times):
    return vector_of(found, count, reference, known, vectors, times)


def still(mode: int, first=(0, 0), second=(0, 0)):
    grid = empty_grid(SIZE)
    grid.modes[:] = mode
    grid.vectors[:, :, 0], grid.vectors[:, :, 1] = first, second
    return grid


def room() -> Candidates:
    return Candidates(
        np.zeros(MOST_CANDIDATES, np.uint8), np.zeros((MOST_CANDIDATES, 2, 2), np.int16)
    )


@pytest.mark.parametrize(
    ("value", "numerator", "denominator", "expected"),
    [
        (7, 1, 2, 4),
        (-7, 1, 2, -4),
        (7, -1, 2, -4),
        (5, 2, -4, -3),
        (8191, 64, 1, 8191),
        (0, 1, 3, 0),
    ],
)
def test_scaling_rounds_halves_away_from_zero(value, numerator, denominator, expected):
    assert scaled(value, numerator, denominator) == expected


def test_steady_motion_is_scaled_by_distance():
    # Frame 8 has moved by 32 quarter samples since frame 0; frame 2 lies between them.
    carried = carry_motion(2, {0: (), 8: (0,), 2: (0, 8)}, {8: still(FIRST, (-32, 16))}, SIZE, 8)
    assert (carried.modes[0] == NOT_CODED).all()
    assert (carried.modes[1] == BOTH).all()
    assert (carried.vectors[1, :, :, 0] == (-8, 4)).all()
    assert (carried.vectors[1, :, :, 1] == (24, -12)).all()


def test_nothing_is_carried_over_from_blocks_without_references():
    grid = still(FIRST, (-64, 0))
    grid.modes[2, 5], grid.vectors[2, 5] = NEITHER, 0
    carried = carry_motion(4, {0: (), 8: (0,), 4: (0, 8)}, {8: grid}, SIZE, 8)
    missing = np.argwhere(carried.modes[1] == NOT_CODED).tolist()
    # The cell itself, and the one whose motion leads there from one cell further left.
    assert missing == [[2, 4], [2, 5]]


def test_the_side_that_leads_to_the_other_reference_counts():
    grids = {4: still(BOTH, (100, 100), (-40, 0))}
    carried = carry_motion(6, {4: (0, 8), 6: (4, 8)}, grids, SIZE, 8)
    # Between frames 4 and 8 there is the vector of frame 4 to frame 8.
    assert (carried.vectors[0, :, :, 0] == (20, 0)).all()
    assert (carried.vectors[0, :, :, 1] == (-20, 0)).all()


def test_motion_is_taken_from_where_it_comes_from():
    # All of frame 8 moves by two cells since frame 0, but its right half changed by more.
    grid = still(FIRST, (-64, 0))
    grid.vectors[:, 4:, 0] = (-64, 8)
    carried = carry_motion(4, {0: (), 8: (0,), 4: (0, 8)}, {8: grid}, SIZE, 8)
    # In frame 4 the content is one cell further left than in frame 8.
    assert (carried.vectors[1, :, :3, 0, 1] == 0).all()
    assert (carried.vectors[1, :, 3:, 0, 1] == 4).all()


def test_candidates_are_neighbours_then_carried_motion_without_repetition():
    grid = empty_grid(SIZE)
    grid.modes[:2] = FIRST
    grid.vectors[:2, :, 0] = (4, 0)
    grid.modes[2, 0] = SECOND
    grid.vectors[2, 0, 1] = (1, 1)
    carried = carry_motion(1, {0: (), 2: (0,), 1: (0, 2)}, {2: still(FIRST, (-8, 0))}, SIZE, 8)
    candidates = room()
    count = find_candidates(grid, carried, 2, 1, 0, 2, candidates)
    assert count == 4
    assert candidates.modes[:4].tolist() == [SECOND, FIRST, BOTH, BOTH]
    assert candidates.vectors[0].tolist() == [[0, 0], [1, 1]]
    assert candidates.vectors[1].tolist() == [[4, 0], [0, 0]]
    assert candidates.vectors[2].tolist() == [[-4, 0], [4, 0]]
    assert not candidates.vectors[3].any()


def test_the_first_block_has_no_motion_as_candidate():
    carried = carry_motion(1, {1: (0,)}, {}, SIZE, 8)
    candidates = room()
    assert find_candidates(empty_grid(SIZE), carried, 0, 0, 3, 1, candidates) == 1
    assert candidates.modes[0] == FIRST
    assert not candidates.vectors[0].any()


def test_prediction_of_vectors():
    candidates, times = room(), np.array([-2, 6])
    candidates.modes[:3] = SECOND, BOTH, FIRST
    candidates.vectors[0, 1] = (5, 6)
    candidates.vectors[1] = ((2, 4), (7, 8))
    vectors = np.zeros((2, 2), np.int16)
    assert predict_vector(candidates, 3, 0, False, vectors, times) == (2, 4)
    assert predict_vector(candidates, 3, 1, False, vectors, times) == (5, 6)
    vectors[0] = (2, 4)
    assert predict_vector(candidates, 3, 1, True, vectors, times) == (7, 8)
    vectors[0] = (2, 5)
    assert predict_vector(candidates, 3, 1, True, vectors, times) == (-6, -15)
    assert predict_vector(candidates, 0, 1, False, vectors, times) == (0, 0)
