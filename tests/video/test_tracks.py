"""Tests of reading audio and subtitle tracks, and of their codec parameters."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import av
import numpy as np
import pytest

from nvcodec.errors import VideoError
from nvcodec.media import Track
from nvcodec.video import open_tracks
from nvcodec.video.tracks.codec_parameters import template


def demuxed(path):
    """Read the packets of each audio or subtitle stream with PyAV alone."""
    with av.open(str(path)) as container:
        streams = [s for s in container.streams if s.type in ("audio", "subtitle")]
        packets = {s.index: [] for s in streams}
        for packet in container.demux(streams):
            if packet.size:
                packets[packet.stream_index].append(
                    (bytes(packet), packet.pts, packet.dts, packet.duration, packet.is_keyframe)
                )
    return list(packets.values())


def fields(packets):
    return [(p.data, p.pts, p.dts, p.duration, p.keyframe) for p in packets]


@pytest.fixture
def two_tracks(make_clip):
    return make_clip("two.mkv", frames=50, audio=("aac", "libopus"))


def test_every_packet_is_bit_exact(bunny):
    with open_tracks(bunny) as tracks:
        (track,) = tracks.tracks
        assert (track.kind, track.codec, track.time_base) == ("audio", "aac", Fraction(1, 48000))
        assert track.language == "" and track.disposition == 1
        assert fields(tracks.rest()[0]) == demuxed(bunny)[0]
        assert tracks.rest() == [[]]
        assert tracks.warnings == []


def test_until_holds_back_what_is_past(two_tracks):
    expected = demuxed(two_tracks)
    with open_tracks(two_tracks) as tracks:
        assert [t.codec for t in tracks.tracks] == ["aac", "opus"]
        gathered = [[], []]
        for end in (0, 0.5, Fraction(1), 1.25):
            for index, packets in enumerate(tracks.until(end)):
                base = tracks.tracks[index].time_base
                assert all(p.dts * base < end for p in packets)
                gathered[index] += packets
            assert tracks.until(end) == [[], []]
        for index, packets in enumerate(tracks.rest()):
            assert all(p.dts * tracks.tracks[index].time_base >= 1.25 for p in packets)
            gathered[index] += packets
    assert [fields(g) for g in gathered] == expected


def test_skip_resumes_where_an_earlier_run_stopped(two_tracks):
    with open_tracks(two_tracks) as first:
        given = first.until(0.7)
        rest = first.until(1.2)
    with open_tracks(two_tracks) as second:
        second.skip([len(g) for g in given])
        assert second.until(0.7) == [[], []]
        assert second.until(1.2) == rest


def test_a_trimmed_start_drops_what_ends_before_it(two_tracks):
    with open_tracks(two_tracks, start=Fraction(1)) as tracks:
        packets = tracks.until(1.5)
        for track, kept in zip(tracks.tracks, packets, strict=True):
            ends = [(p.pts + p.duration) * track.time_base for p in kept]
            assert min(ends) > 1
            assert kept[0].pts * track.time_base <= 1 + Fraction(1, 1000)


def test_side_data_is_kept(make_clip):
    path = make_clip("s.mp4", frames=30, audio=("aac",))
    with open_tracks(path) as tracks:
        first = tracks.rest()[0][0]
    assert first.pts < 0
    assert (11, (1024).to_bytes(4, "little") + bytes(6)) in first.side_data


def test_no_tracks_in_a_folder_or_a_silent_clip(tmp_path, carphone):
    for path in (tmp_path, carphone):
        with open_tracks(path) as tracks:
            assert tracks.tracks == ()
            assert tracks.until(10) == [] and tracks.rest() == []


def test_missing_file(tmp_path):
    with pytest.raises(VideoError, match="no such file"):
        open_tracks(tmp_path / "nothing.mp4")


@pytest.mark.parametrize(
    ("codec", "name", "layout"),
    [
        ("aac", "a.mp4", "stereo"),
        ("aac", "a.mp4", "5.1"),
        ("aac", "a.ts", "stereo"),
        ("libopus", "a.mkv", "5.1"),
        ("libmp3lame", "a.mp4", "stereo"),
        ("mp2", "a.mkv", "stereo"),
        ("ac3", "a.mkv", "5.1(side)"),
        ("eac3", "a.mp4", "stereo"),
        ("flac", "a.mkv", "stereo"),
        ("alac", "a.mov", "stereo"),
        ("pcm_s16le", "a.mkv", "stereo"),
        ("pcm_s24le", "a.mov", "5.1"),
        ("pcm_mulaw", "a.mov", "mono"),
        ("adpcm_ima_wav", "a.avi", "stereo"),
    ],
)
def test_parameters_reopen_the_codec(make_clip, codec, name, layout):
    codec_options = {"video": "mpeg4"} if name.endswith("avi") else {}
    path = make_clip(
        name,
        frames=6,
        audio=(codec,),
        layout=layout,
        codec=codec_options.get("video", "libx264"),
    )
    with open_tracks(path) as tracks, av.open(str(path)) as container:
        (track,) = tracks.tracks
        original = container.streams.audio[0].codec_context
        assert tracks.warnings == []
        assert len(track.parameters) < 500
        with template(track) as described:
            found = described.streams.audio[0].codec_context
            assert found.codec.canonical_name == track.codec
            assert found.extradata == original.extradata
            assert found.sample_rate == original.sample_rate
            assert found.layout.nb_channels == original.layout.nb_channels


def test_parameters_do_not_depend_on_the_run(bunny):
    with open_tracks(bunny) as first, open_tracks(bunny) as second:
        assert first.tracks == second.tracks


def refused(track, data):
    """Check that hostile parameters raise an error of one line."""
    with pytest.raises(VideoError, match="malformed parameters") as caught:
        template(dataclasses.replace(track, parameters=data)).close()
    assert "\n" not in str(caught.value)


def test_hostile_parameters_are_typed_errors(two_tracks):
    with open_tracks(two_tracks) as tracks:
        track = tracks.tracks[0]
    good = track.parameters
    for length in range(len(good)):
        refused(track, good[:length])
    for data in (b"", bytes(11), b"\xff" * 40, good[:7] + b"\xff\xff\xff\xff" + good[11:]):
        refused(track, data)
    refused(dataclasses.replace(track, codec="mp3"), good)
    refused(dataclasses.replace(track, kind="subtitle"), good)


def test_mutated_headers_never_crash(two_tracks):
    import struct
    import zlib

    with open_tracks(two_tracks) as tracks:
        track = tracks.tracks[0]
    head = struct.Struct("<BBIBI")
    _, kind, rate, named, size = head.unpack_from(track.parameters)
    start = head.size + named
    layout = track.parameters[head.size : start]
    raw = zlib.decompress(track.parameters[start:])
    assert len(raw) == size
    generator = np.random.default_rng(3)
    opened = 0
    for container in (kind, 2, 3, 4):
        for _ in range(60):
            broken = bytearray(raw)
            for position in generator.integers(0, len(raw), 3):
                broken[position] = generator.integers(0, 256)
            parameters = head.pack(1, container, rate, named, size) + layout
            changed = Track(
                kind="audio",
                codec="aac",
                time_base=track.time_base,
                parameters=parameters + zlib.compress(bytes(broken)),
            )
            try:
                template(changed).close()
                opened += 1
            except VideoError:
                continue
    assert opened > 0
