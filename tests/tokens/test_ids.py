"""Token ids, FSQ indices and code vectors, and the layout of token grids."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.errors import ConfigError
from nvcodec.models.tokenizer.layout import frames_of_token_steps, token_grid_size, token_step_count
from nvcodec.tokenizer.token_ids import (
    IDS,
    LEVELS,
    codes_of,
    nearest_fsq_indices,
    pack_ids,
    unpack_ids,
)


def test_every_id_round_trips():
    ids = np.arange(IDS)
    fsq_indices = unpack_ids(ids)
    assert fsq_indices.shape == (IDS, 6) and (fsq_indices.max(0) + 1 == LEVELS).all()
    assert len(np.unique(fsq_indices, axis=0)) == IDS
    np.testing.assert_array_equal(pack_ids(fsq_indices), ids)
    np.testing.assert_array_equal(nearest_fsq_indices(codes_of(fsq_indices)), fsq_indices)


def test_codes_are_symmetric():
    for channel, level in enumerate(LEVELS):
        fsq_indices = np.zeros((level, 6), np.uint8)
        fsq_indices[:, channel] = np.arange(level)
        codes = codes_of(fsq_indices)[:, channel]
        np.testing.assert_array_equal(codes, -codes[::-1])
        assert codes[-1] == 1


@pytest.mark.parametrize("bad", [[-1], [IDS]])
def test_ids_out_of_range(bad):
    with pytest.raises(ConfigError, match="0 to 63999"):
        unpack_ids(np.array(bad))


@pytest.mark.parametrize("bad", [[[8, 0, 0, 0, 0, 0]], [[0, 0, 0, 0, 0, 5]], [[0, 0, 0]]])
def test_fsq_indices_out_of_range(bad):
    with pytest.raises(ConfigError, match="FSQ indices"):
        pack_ids(np.array(bad))


@pytest.mark.parametrize("frames", range(1, 20))
def test_every_frame_is_in_a_time_step(frames):
    steps = frames_of_token_steps(frames)
    assert [frame for step in steps for frame in step] == list(range(frames))
    assert len(steps) == token_step_count(frames)
    assert len(steps[0]) == 1 and all(1 <= len(step) <= 4 for step in steps[1:])


def test_the_grid_covers_the_picture():
    assert token_grid_size(1280, 720) == (23, 40)
    assert token_grid_size(1, 33) == (2, 1)
