"""Prediction of NIRVANA: a group stores differences to the network of the group before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import nvcodec
from nvcodec.container import Reader
from nvcodec.errors import BitstreamError
from nvcodec.reconstruction.network_payload import NetworkState
from nvcodec.reconstruction.payload import split_payload
from nvcodec.reconstruction.segment_decoder import make_segment_decoder, open_segment_decoder
from tests.fixtures.clips import drifting

CPU = torch.device("cpu")


def still_picture(t: int, width: int, height: int) -> np.ndarray:
    """Return the same picture for every frame."""
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    levels = [128 + 60 * np.sin((rows + c) / 5 + columns / (6 + c)) for c in range(3)]
    return np.stack(levels, axis=-1).astype(np.uint8)


def cutting(t: int, width: int, height: int) -> np.ndarray:
    """Return pictures of one shot, and from frame 6 on of another."""
    return drifting(t, width, height) if t < 6 else 255 - drifting(t, width, height)[::-1]


@pytest.fixture
def config(settings) -> nvcodec.EncoderConfig:
    return settings(model="nirvana", parameters=1500, epochs=40, segment=3)


@pytest.fixture
def clip(shared_folder, make_clip):
    path = shared_folder / "drifting.mkv"
    if not path.exists():
        # The last group is shorter than the others.
        make_clip("drifting.mkv", frames=11, codec="ffv1", picture=drifting).rename(path)
    return path


@pytest.fixture
def chain(encode_once, clip, config):
    return encode_once("nirvana-groups.nvc", clip, config)


def predicted_flags(source) -> list[bool]:
    with Reader(source) as reader:
        return [entry.predicted for entry in reader.segments]


def test_groups_are_predicted_from_the_group_before(chain, clip, config, tmp_path):
    assert predicted_flags(chain) == [False, True, True, True]
    nvcodec.encode(clip, tmp_path / "a.nvc", replace(config, refresh=2), measure=False)
    assert predicted_flags(tmp_path / "a.nvc") == [False, True, False, True]
    with Reader(chain) as reader:
        assert [entry.frames for entry in reader.segments] == [3, 3, 3, 2]


def test_random_access_gives_the_frames_of_playback(chain):
    with nvcodec.open(chain, device="cpu") as video:
        played = np.stack(list(video))
    for order in ([10], [5, 2, 10, 0], list(range(10, -1, -1))):
        with nvcodec.open(chain, device="cpu") as video:
            assert np.array_equal(video[order], played[order])


@pytest.mark.parametrize("segment", [1, 3])
def test_an_interrupted_encode_goes_on_to_the_same_file(
    clip, chain, config, tmp_path, interrupt, segment
):
    path = tmp_path / "a.nvc"
    interrupt(clip, path, config, segment)
    nvcodec.encode(clip, path, config, measure=False, resume=True)
    assert path.read_bytes() == chain.read_bytes()


def test_another_shot_is_not_predicted(make_clip, config, tmp_path):
    clip = make_clip("cut.mkv", frames=12, codec="ffv1", picture=cutting)
    nvcodec.encode(clip, tmp_path / "a.nvc", config, measure=False)
    assert predicted_flags(tmp_path / "a.nvc") == [False, True, False, True]


def test_groups_without_motion_cost_next_to_nothing(make_clip, config, tmp_path):
    still = make_clip("still.mkv", frames=12, codec="ffv1", picture=still_picture)
    other_config = replace(config, parameters=None, lmbda=3.0, audio=False)
    nvcodec.encode(still, tmp_path / "a.nvc", other_config, measure=False)
    with Reader(tmp_path / "a.nvc") as reader:
        first, *others = (len(reader.payload(n)) for n in range(len(reader.segments)))
    assert len(others) == 3
    # A payload of a single byte: the length of the configuration, 0, and an empty body.
    assert first > 300 and others[-1] == 1
    assert sum(others) < 0.5 * first
    # Without a given length, a group without motion is up to four times as long.
    nvcodec.encode(still, tmp_path / "b.nvc", replace(other_config, segment=None), measure=False)
    assert nvcodec.inspect(tmp_path / "b.nvc").segments == ((0, 12),)


def test_a_network_that_does_not_fit_is_refused(chain):
    with Reader(chain) as reader:
        header, stored = reader.header, [reader.segment(n) for n in range(2)]
        first, _ = split_payload(stored[0], header)
        state = open_segment_decoder(stored[0], header, CPU, number=0).reference_state()
        assert isinstance(state, NetworkState)
        open_segment_decoder(stored[1], header, CPU, number=1, previous=state)
        wider = replace(first, widths=(first.widths[0] + 1, *first.widths[1:]))
        for other in (None, "a picture", NetworkState(wider, state.tensors)):
            with pytest.raises(BitstreamError, match="differences to the network"):
                open_segment_decoder(stored[1], header, CPU, number=1, previous=other)


def test_prediction_starts_from_the_last_frame(chain):
    with Reader(chain) as reader:
        pictures = open_segment_decoder(reader.segment(0), reader.header, CPU, number=0)
    state = pictures.reference_state()
    *front, weight, bias = state.tensors
    *same, longer_weight, longer_bias = state.expand_to(5)
    assert all(one is other for one, other in zip(front, same, strict=True))
    channels = state.config.colour.channels
    assert longer_weight.shape == (5 * channels, *weight.shape[1:])
    assert torch.equal(longer_weight, weight[-channels:].repeat(5, 1, 1, 1))
    assert torch.equal(longer_bias, bias[-channels:].repeat(5))
    # A segment without differences repeats the last frame.
    config = replace(state.config, frames=2, predicted=True)
    again = make_segment_decoder("nirvana", config, b"", nvcodec.media.Colour(), CPU, state)
    for made, last in zip(again.planes([0, 1]), pictures.planes([2]), strict=True):
        assert np.abs(made.astype(int) - last).max() <= 1


def test_files_of_a_ladder_are_not_predicted(clip, config, tmp_path):
    other_config = replace(config, parameters=None, ladder=(3000, 6000), epochs=4)
    nvcodec.encode_ladder(clip, tmp_path / "a.nvc", other_config, measure=False)
    for path in sorted(tmp_path.glob("*.nvc")):
        assert predicted_flags(path) == [False] * 4
