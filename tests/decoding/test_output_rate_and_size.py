"""Output files at another frame rate or size: frames, times, sound and sample aspect ratio."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import nvcodec
from nvcodec.decoding.output_timing import FrameRateConverter, resized
from nvcodec.errors import ConfigError
from nvcodec.media import VideoInfo
from nvcodec.metrics import psnr
from nvcodec.video import open_tracks
from tests.fixtures.clips import frame_times, read_clip


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.y4m", "pictures"])
def test_output_files_at_twice_the_rate(stream, tmp_path, name):
    counts = []
    decoded = nvcodec.decode(
        stream, tmp_path / name, fps=50, size=(81, 54),
        on_progress=lambda n, total: counts.append((n, total)),
    )  # fmt: skip
    assert (decoded.frames, decoded.width, decoded.height) == (24, 81, 54)
    assert counts[-1] == (24, 24)
    frames, info = read_clip(tmp_path / name)
    assert len(frames) == 24 and frames.y.shape[1:] == (54, 81)
    assert info.frame_rate == 50 and info.sample_aspect_ratio == 1
    assert set(np.diff(frames.pts) * info.time_base) == {Fraction(1, 50)}


def test_half_the_rate_is_every_other_frame(stream, tmp_path):
    nvcodec.decode(stream, tmp_path / "half.y4m", fps=Fraction(25, 2))
    nvcodec.decode(stream, tmp_path / "same.y4m", fps=25)
    nvcodec.decode(stream, tmp_path / "all.y4m")
    half, same, unchanged = (
        read_clip(tmp_path / f"{name}.y4m")[0] for name in ("half", "same", "all")
    )
    assert np.array_equal(half.y, unchanged.y[::2])
    assert np.array_equal(same.y, unchanged.y) and np.array_equal(same.u, unchanged.u)


def test_variable_rate_becomes_constant_and_sound_is_kept(make_clip, tmp_path, settings):
    pts = [500, 540, 595, 610, 800, 833, 1000]
    clip = make_clip(
        "vfr.mkv", frames=7, size=(48, 32), pts=pts, time_base=Fraction(1, 1000), audio=["aac"]
    )
    stream = tmp_path / "vfr.nvc"
    nvcodec.encode(clip, stream, settings(segment=3), measure=False)
    out = tmp_path / "out.mkv"
    nvcodec.decode(stream, out, fps=Fraction(60000, 1001))
    frames, info = read_clip(out)
    with nvcodec.open(stream, device="cpu") as video:
        times = frame_times(video)
        last = video.reader.segment(2).durations[-1] * video.info.time_base
        assert len(frames) == round((times[-1] + last - times[0]) * Fraction(60000, 1001))
        # Times in Matroska are rounded to milliseconds.
        assert int(frames.pts[0]) * info.time_base == times[0]
        third = times[3] + (times[4] - times[3]) / 3
        between = video.planes_at([third])[0][0]
        near = video.planes([3, 4]).y.astype(float)
        assert np.abs(between - (2 * near[0] + near[1]) / 3).max() <= 1
    original, copied = ([p for part in _packets(path) for p in part] for path in (clip, out))
    assert [(p.data, p.pts) for p in copied] == [(p.data, p.pts) for p in original]


def _packets(path: Path):
    """Return the packets of each audio and subtitle track."""
    with open_tracks(path) as tracks:
        return tracks.rest()


def test_range_of_frames_at_another_rate(stream, tmp_path):
    out = tmp_path / "part.mkv"
    decoded = nvcodec.decode(stream, out, frames=slice(3, 9), fps=50, size=(24, 16))
    assert (decoded.frames, decoded.tracks) == (12, 1)
    frames, _ = read_clip(out)
    assert frames.pts[0] == 0
    with nvcodec.open(stream, device="cpu") as video:
        start = frame_times(video)[3]
        (shown,) = video.planes_at([start], (24, 16))[0]
    assert psnr(frames.y[:1], shown[None])[0] > 40
    times = [packet.pts / 48000 for part in _packets(out) for packet in part]
    # Sound starts with the pictures, within a packet of 1024 samples.
    assert 0 <= min(times) < 1100 / 48000


def test_resized_pictures_keep_their_shape_on_the_screen():
    info = VideoInfo(width=640, height=360, time_base=Fraction(1, 25), frame_rate=Fraction(25))
    for size in ((1280, 720), (853, 480), (854, 480), (427, 240)):
        assert resized(info, size).sample_aspect_ratio == 1
    assert resized(info, (640, 480)).sample_aspect_ratio == Fraction(4, 3)
    wide = resized(resized(info, (320, 360)), (640, 360))
    assert (wide.width, wide.sample_aspect_ratio) == (640, 1)


def test_frame_rate_converter():
    converter = FrameRateConverter.for_span(Fraction(60000, 1001), Fraction(1, 30), Fraction(2))
    assert (converter.time_base, converter.first, converter.step) == (
        Fraction(1, 60000),
        2000,
        1001,
    )
    assert converter.count == round(Fraction(59, 30) * Fraction(60000, 1001))
    # Where no tick fits both start and rate, the start is rounded.
    odd = FrameRateConverter.for_span(Fraction(60), Fraction(1, 2**31 - 1), Fraction(1))
    assert odd.step * odd.time_base == Fraction(1, 60)
    assert abs(odd.first * odd.time_base - Fraction(1, 2**31 - 1)) < Fraction(1, 2**31)


@pytest.mark.parametrize("fps", [0, -1, Fraction(1001, 1), Fraction(1, 2**32)])
def test_invalid_rates_are_refused(stream, tmp_path, fps):
    with pytest.raises(ConfigError, match="fps"):
        nvcodec.decode(stream, tmp_path / "a.mkv", fps=fps)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [(0, 10), (10, -1), (65536, 1), (10000, 10000)])
def test_invalid_sizes_are_refused(stream, tmp_path, size):
    with pytest.raises(ConfigError, match="size"):
        nvcodec.decode(stream, tmp_path / "a.mkv", size=size)
    with nvcodec.open(stream, device="cpu") as video, pytest.raises(ConfigError, match="size"):
        video.planes_at([0], size)
    assert not list(tmp_path.iterdir())
