"""Timestamps, audio and subtitle packets survive an encode and a decode."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import nvcodec
from nvcodec.cli import main
from nvcodec.container import Reader
from nvcodec.video import open_tracks
from tests.fixtures.videos import read_back


def _packets(path: Path):
    with open_tracks(path) as tracks:
        return [[(p.data, p.pts, p.dts, p.duration) for p in part] for part in tracks.rest()]


def _stored_packets(path: Path):
    with Reader(path) as reader:
        return [
            [(p.data, p.pts, p.dts, p.duration) for p in reader.packets(number)]
            for number in reader.tracks
        ]


def test_times_and_sound_of_a_variable_frame_rate_survive(make_clip, tmp_path, settings):
    pts = [0, 40, 95, 110, 300, 333, 500]
    clip = make_clip(
        "vfr.mkv", frames=7, size=(48, 32), pts=pts, time_base=Fraction(1, 1000), audio=["aac"]
    )
    target = tmp_path / "vfr.nvc"
    nvcodec.encode(clip, target, settings(segment=3), measure=False)
    _, original = read_back(clip)
    assert np.diff(original.pts).tolist() == np.diff(pts).tolist()
    with Reader(target) as reader:
        assert [
            tick for k in range(len(reader.segments)) for tick in reader.segment(k).pts
        ] == original.pts.tolist()
        assert reader.header.video.time_base == Fraction(1, 1000)
    (given,) = _packets(clip)
    assert _stored_packets(target) == [given]
    out = tmp_path / "out.mkv"
    done = nvcodec.decode(target, out)
    assert (done.frames, done.tracks) == (7, 1)
    _, again = read_back(out)
    assert again.pts.tolist() == original.pts.tolist()
    (copied,) = _packets(out)
    assert [(data, at) for data, at, _, _ in copied] == [(data, at) for data, at, _, _ in given]


SUBTITLES = (
    (0, 35, b"Hello"),
    (50, 61, b"<i>again</i>"),
    (400, 125, b"The end"),
    (900, 10, b"..."),
)


@pytest.fixture
def subtitled(make_clip) -> Path:
    """12 frames in 120 ms, half a second of sound and a second of subtitles."""
    return make_clip(
        "subtitled.mkv", frames=12, size=(48, 32), pts=range(0, 120, 10),
        time_base=Fraction(1, 1000), audio=["aac"], subtitles=SUBTITLES,
    )  # fmt: skip


def test_every_subtitle_survives(subtitled, encode_once, tmp_path, settings):
    stream, out = encode_once("subtitled.nvc", subtitled, settings()), tmp_path / "out.mkv"
    assert nvcodec.decode(stream, out).tracks == 2
    with open_tracks(out) as tracks:
        assert [track.kind for track in tracks.tracks] == ["audio", "subtitle"]
        assert tracks.tracks[1].time_base == Fraction(1, 1000)
    expected = [(text, pts, pts, duration) for pts, duration, text in SUBTITLES]
    for found in (_packets(subtitled), _stored_packets(stream), _packets(out)):
        assert found[1] == expected


def test_packets_after_the_last_frame_survive(subtitled, encode_once, tmp_path, settings):
    stream, out = encode_once("subtitled.nvc", subtitled, settings()), tmp_path / "out.mkv"
    nvcodec.decode(stream, out)
    given = _packets(subtitled)
    _, frames = read_back(subtitled)
    end = int(frames.pts[-1] + frames.durations[-1])  # in milliseconds, as those of packets
    late = [[packet for packet in track if packet[1] >= end] for track in given]
    assert len(late[0]) > 10 and len(late[1]) == 2
    assert _stored_packets(stream) == given
    for copied, track in zip(_packets(out), given, strict=True):
        assert [packet[:2] for packet in copied] == [packet[:2] for packet in track]


def test_without_sound(clip, tmp_path, settings):
    nvcodec.encode(clip, tmp_path / "a.nvc", settings(audio=False), measure=False)
    info = nvcodec.inspect(tmp_path / "a.nvc")
    assert info.tracks == {} and info.bytes == info.video_bytes


@pytest.mark.parametrize("name", ["out.mkv", "out.mp4"])
def test_sound_of_windows_media_beside_subtitles(make_clip, encode_once, tmp_path, settings, name):
    spoken = make_clip("spoken.wmv", codec="wmv2", frames=6, size=(48, 32), audio=["wmav2"])
    stream = encode_once("spoken.nvc", spoken, settings(resize=(47, 33)))
    done = nvcodec.decode(stream, tmp_path / name)
    assert done.tracks == 1
    converted = [line for line in done.warnings if "wmav2" in line]
    (copied,) = _packets(tmp_path / name)
    if name == "out.mkv":
        assert converted == []
        assert [packet[0] for packet in copied] == [packet[0] for packet in _packets(spoken)[0]]
    else:
        assert len(converted) == 1


def test_odd_size_and_subtitles_in_both_formats(subtitled, encode_once, tmp_path, settings):
    stream = encode_once("odd.nvc", subtitled, settings(resize=(47, 33)))
    aspect = nvcodec.inspect(stream).video.sample_aspect_ratio
    assert aspect != 1
    for name in ("odd.mkv", "odd.mp4"):
        done = nvcodec.decode(stream, tmp_path / name)
        assert done.tracks == 2
        source, frames = read_back(tmp_path / name)
        assert source.info.sample_aspect_ratio == aspect
        assert frames.y.shape == (12, 33, 47)


def test_decode_without_sound(subtitled, encode_once, tmp_path, settings, capsys):
    stream = encode_once("subtitled.nvc", subtitled, settings())
    for name in ("out.mkv", "out.mp4"):
        assert nvcodec.decode(stream, tmp_path / name, audio=False).tracks == 1
        with open_tracks(tmp_path / name) as tracks:
            assert [track.kind for track in tracks.tracks] == ["subtitle"]
    target = str(tmp_path / "command.mkv")
    assert main(["decode", str(stream), "-o", target, "--no-audio", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tracks"] == 1
    assert nvcodec.decode(stream, tmp_path / "out.y4m").tracks == 0
