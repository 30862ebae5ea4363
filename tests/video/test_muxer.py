"""Tests of `.mp4` and `.mkv` output: timestamps, colour, sizes, encoders and what is refused."""

from __future__ import annotations

import dataclasses
import os
import time
from fractions import Fraction

import av
import numpy as np
import pytest

from nvcodec.errors import ConfigError, VideoError
from nvcodec.media import Colour
from nvcodec.video import open_sink, open_tracks
from tests.fixtures.videos import VFR, read_back, seconds, synthetic_frames, video_info


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("full", [False, True])
def test_times_aspect_and_colour_come_back(tmp_path, suffix, full):
    path = tmp_path / f"out{suffix}"
    colour = Colour(primaries=9, transfer=16, matrix=9, full_range=full)
    described = video_info(
        time_base=Fraction(1, 1000), sample_aspect_ratio=Fraction(16, 15), colour=colour
    )
    frames = dataclasses.replace(
        synthetic_frames(6, pts=VFR), durations=np.array([40, 5, 255, 1, 699, 123])
    )
    with open_sink(path, described) as sink:
        sink.write(frames)
    assert sink.warnings == []
    source, back = read_back(path)
    assert source.warnings == []
    assert seconds(back, source.info.time_base) == seconds(frames, described.time_base)
    if suffix == ".mp4":
        ticks = described.time_base / source.info.time_base
        assert (back.durations == frames.durations * ticks).all()
    assert source.info.sample_aspect_ratio == Fraction(16, 15)
    assert source.info.colour == colour
    error = np.mean((back.y.astype(float) - frames.y) ** 2)
    assert 10 * np.log10(255**2 / error) > 42
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("time_base", [Fraction(1001, 30000), Fraction(1, 90000), Fraction(1, 600)])
@pytest.mark.parametrize("start", [0, 7, 12345])
def test_mp4_keeps_any_clock_exactly(tmp_path, time_base, start):
    path = tmp_path / "out.mp4"
    described = video_info(time_base=time_base, frame_rate=Fraction(30000, 1001))
    step = max(round(1 / (described.frame_rate * time_base)), 1)
    frames = synthetic_frames(5, pts=[start + step * i for i in range(5)])
    with open_sink(path, described) as sink:
        sink.write(frames)
    source, back = read_back(path)
    assert seconds(back, source.info.time_base) == seconds(frames, time_base)


@pytest.mark.parametrize("size", [(65, 47), (1, 1), (33, 48), (64, 3)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_odd_sizes_keep_their_size(tmp_path, size, suffix):
    path = tmp_path / f"odd{suffix}"
    with open_sink(path, video_info(size)) as sink:
        sink.write(synthetic_frames(3, size))
    assert len(sink.warnings) == 1 and "libvpx-vp9" in sink.warnings[0]
    _, back = read_back(path)
    assert back.y.shape == (3, size[1], size[0])
    assert np.abs(back.y.astype(int) - synthetic_frames(3, size).y).mean() < 4


ASPECTS = [Fraction(4, 3), Fraction(63, 64), Fraction(65535, 32768), Fraction(65521, 65519)]


@pytest.mark.parametrize("encoder", [None, "ffv1"])
@pytest.mark.parametrize("aspect", ASPECTS)
def test_odd_sizes_keep_any_aspect_in_matroska(tmp_path, make_clip, encoder, aspect):
    sound = make_clip("in.wmv", codec="wmv2", audio=("wmav2",))  # beside a track through "tee"
    path = tmp_path / "odd.mkv"
    with open_tracks(sound) as tracks:
        described = video_info((65, 47), sample_aspect_ratio=aspect, colour=Colour(matrix=6))
        with open_sink(path, described, tracks=tracks.tracks, encoder=encoder) as sink:
            sink.write(synthetic_frames(3, (65, 47)))
            sink.write_packets(0, tracks.rest()[0])
    source, back = read_back(path)
    assert source.info.sample_aspect_ratio == aspect
    assert source.info.colour == Colour(matrix=6)
    assert back.y.shape == (3, 47, 65)
    with av.open(str(path)) as container:
        assert "title" not in container.streams.video[0].metadata
        assert sum(packet.size > 0 for packet in container.demux(audio=0)) > 3


def test_ffv1_is_lossless_at_any_size(tmp_path):
    path = tmp_path / "odd.mkv"
    with open_sink(path, video_info((35, 27)), encoder="ffv1") as sink:
        sink.write(synthetic_frames(4, (35, 27)))
    back = read_back(path)[1]
    assert (back.y == synthetic_frames(4, (35, 27)).y).all() and (back.u == 110).all()


def test_quality_and_encoders(tmp_path):
    sizes = []
    for encoder, quality in (("libx264", 12), ("libx264", 45), ("libx265", 30), ("libvpx-vp9", 40)):
        path = tmp_path / f"{encoder}{quality}.mkv"
        with open_sink(path, video_info(), encoder=encoder, quality=quality) as sink:
            sink.write(synthetic_frames(12))
        assert len(read_back(path)[1]) == 12
        sizes.append(path.stat().st_size)
    assert sizes[1] < sizes[0]


def test_what_cannot_be_stored_is_refused_and_says_what_can(tmp_path):
    with pytest.raises(ConfigError, match=r"libvpx-vp9 or ffv1"):
        open_sink(tmp_path / "a.mp4", video_info((65, 47)), encoder="libx264")
    with pytest.raises(ConfigError, match="expected one of libx264"):
        open_sink(tmp_path / "a.mp4", video_info(), encoder="nothing")
    with pytest.raises(ConfigError, match=r"\.mp4, \.mkv, \.y4m"):
        open_sink(tmp_path / "a.xyz", video_info())
    with pytest.raises(ConfigError, match="apply to"):
        open_sink(tmp_path / "a.y4m", video_info(), quality=3)
    assert list(tmp_path.iterdir()) == []


def test_hostile_colour_and_times_are_typed_errors(tmp_path):
    for index, changes in enumerate(
        [
            {"colour": Colour(primaries=255, transfer=255, matrix=255)},
            {"colour": Colour(primaries=0, transfer=3, matrix=0)},
            {"time_base": Fraction(1, 2**40)},
            {"frame_rate": Fraction(2**40, 3)},
            {"sample_aspect_ratio": Fraction(2**40, 3)},
        ]
    ):
        for suffix in ("mp4", "mkv"):
            try:
                with open_sink(tmp_path / f"{index}.{suffix}", video_info(**changes)) as sink:
                    sink.write(synthetic_frames(2))
                    sink.write(synthetic_frames(1, pts=[2**62]))
            except VideoError as error:
                assert "\n" not in str(error)


def test_timing_of_the_module_is_quiet(tmp_path, capfd):
    start = time.monotonic()
    with open_sink(tmp_path / "o.mp4", video_info(), encoder="libx265") as sink:
        sink.write(synthetic_frames(2))
    assert capfd.readouterr() == ("", "")
    assert time.monotonic() - start < 30
