"""`latentgrid` from video to file and back: resumed, as a ladder, with random access and damage."""

from __future__ import annotations

import numpy as np
import pytest

import nvcodec
from nvcodec.errors import BitstreamError, ConfigError


@pytest.fixture
def config(settings) -> nvcodec.EncoderConfig:
    return settings(model="latentgrid", parameters=None, bpp=1.0, epochs=3, refresh=1)


@pytest.fixture
def whole(encode_once, clip, config, few_context_steps):
    """A file of three segments with an audio track."""
    return encode_once("latentgrid.nvc", clip, config)


def test_report_and_header(clip, config, tmp_path, measured_here):
    report = nvcodec.encode(clip, tmp_path / "a.nvc", config)
    info = nvcodec.inspect(tmp_path / "a.nvc")
    assert (report.model, info.model, report.segments) == ("latentgrid", "latentgrid", 3)
    assert report.bpp == pytest.approx(1.0, rel=0.06)
    assert report.psnr_y > 25 and report.psnr_yuv > 25
    assert 250 < info.macs_per_pixel < 350
    assert report.epochs > 1 and report.parameters == info.parameters * 3


def test_any_frame_is_what_playing_shows(whole):
    with nvcodec.open(whole, device="cpu") as video:
        played = np.stack(list(video))
    for order in ([11, 0, 5], [3, 3, 2], list(range(11, -1, -1))):
        with nvcodec.open(whole, device="cpu") as video:
            assert np.array_equal(video[order], played[order])


def test_an_interrupted_encode_goes_on_to_the_same_file(clip, config, whole, tmp_path, interrupt):
    path = tmp_path / "a.nvc"
    interrupt(clip, path, config, 1)
    assert not path.exists()
    nvcodec.encode(clip, path, config, measure=False, resume=True)
    assert path.read_bytes() == whole.read_bytes()


def test_a_ladder_in_any_order(clip, settings, tmp_path, few_context_steps):
    sizes = (500, 1000, 700)
    config = settings(
        model="latentgrid", parameters=None, ladder=sizes, epochs=3, segment=2, frames=slice(0, 4)
    )
    nvcodec.encode_ladder(clip, tmp_path / "a.nvc", config, measure=False)
    for name, size in zip(("a-500B.nvc", "a-1kB.nvc", "a-700B.nvc"), sizes, strict=True):
        # The overhead of the container is estimated a little too high.
        assert size - 100 < nvcodec.inspect(tmp_path / name).video_bytes < 1.02 * size


def test_a_damaged_segment_costs_only_itself(whole, tmp_path):
    data = bytearray(whole.read_bytes())
    with nvcodec.open(bytes(data), device="cpu") as video:
        played = np.stack(list(video))
        size = len(video.reader.segment(1).payload)
        place = bytes(data).index(video.reader.segment(1).payload)
    data[place + size // 2] ^= 0x55
    with nvcodec.open(bytes(data), device="cpu") as video:
        with pytest.raises(BitstreamError):
            video[5]
        assert np.array_equal(video[[0, 11]], played[[0, 11]])


def test_a_number_of_parameters_is_refused(clip, settings, tmp_path):
    with pytest.raises(ConfigError, match="parameters"):
        nvcodec.encode(clip, tmp_path / "a.nvc", settings(model="latentgrid", parameters=900))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [(2, 2), (200, 3), (5, 64)])
def test_tiny_pictures(make_clip, settings, tmp_path, measured_here, few_context_steps, size):
    clip = make_clip("tiny.mkv", frames=3, size=size, codec="ffv1", pix_fmt="yuv444p")
    config = settings(model="latentgrid", parameters=None, psnr=36.0, epochs=1)
    report = nvcodec.encode(clip, tmp_path / "a.nvc", config)
    assert (report.width, report.height, report.frames) == (*size, 3)
    assert report.psnr_y > 30
