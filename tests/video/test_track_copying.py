"""Tests of the audio and subtitle tracks that `.mp4` and `.mkv` output copies."""

from __future__ import annotations

import dataclasses
import re
from fractions import Fraction

import av
import pytest

from nvcodec.video import open_sink, open_source, open_tracks
from tests.fixtures.videos import read_back, seconds, synthetic_frames, video_info


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_start_before_zero_loses_no_frame(make_clip, tmp_path, suffix):
    source = make_clip("in.mkv", frames=10, audio=("aac",))
    target = tmp_path / f"o{suffix}"
    with open_tracks(source) as tracks:
        packets = tracks.rest()[0]
        with open_sink(target, video_info(), tracks=tracks.tracks) as sink:
            sink.write_packets(0, packets[:3])
            sink.write(synthetic_frames(10, start=-5))
            sink.write_packets(0, packets[3:])
    assert len(sink.warnings) == 1 and "0.200 s later" in sink.warnings[0]
    described, back = read_back(target)
    assert seconds(back, described.info.time_base) == [Fraction(i, 25) for i in range(10)]
    with open_tracks(target) as tracks:
        again = tracks.rest()[0]
        assert [p.data for p in again] == [p.data for p in packets]
        late = again[5].pts * tracks.tracks[0].time_base - Fraction(packets[5].pts, 1000)
        assert abs(late - Fraction(1, 5)) <= Fraction(1, 1000)


def copy(source, target, frames=None):
    with open_source(source, frames=frames) as video, open_tracks(source) as tracks:
        with open_sink(target, video.info, tracks=tracks.tracks) as sink:
            while len(part := video.read(8)):
                sink.write(part)
                end = int(part.pts[-1] + part.durations[-1]) * video.info.time_base
                for index, packets in enumerate(tracks.until(end)):
                    sink.write_packets(index, packets)
            if frames is None:
                for index, packets in enumerate(tracks.rest()):
                    sink.write_packets(index, packets)
        return tracks.tracks


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    "audio", [("aac",), ("libopus",), ("libmp3lame",), ("ac3", "aac"), ("pcm_s16le",), ("flac",)]
)
def test_tracks_are_copied_bit_for_bit(make_clip, tmp_path, suffix, audio):
    source = make_clip("in.mkv", frames=30, audio=audio)
    target = tmp_path / f"out{suffix}"
    before = copy(source, target)
    with open_tracks(source) as a, open_tracks(target) as b:
        assert [t.codec for t in b.tracks] == [t.codec for t in before]
        for track, other, old, new in zip(a.tracks, b.tracks, a.rest(), b.rest(), strict=True):
            assert [p.data for p in new] == [p.data for p in old]
            for p, q in zip(old, new, strict=True):
                assert abs(p.pts * track.time_base - q.pts * other.time_base) <= Fraction(1, 1000)
    # A player can decode the copies.
    with av.open(str(target)) as container:
        for stream in container.streams.audio:
            container.seek(0)
            assert sum(f.samples for f in container.decode(stream)) > 48000
    assert len(read_back(target)[1]) == 30


def test_language_title_and_disposition(make_clip, tmp_path):
    source = make_clip("in.mkv", frames=10, audio=("aac",))
    with open_tracks(source) as tracks:
        track = dataclasses.replace(
            tracks.tracks[0], language="fre", title="La bande son", disposition=1 | 64
        )
        packets = tracks.rest()[0]
    target = tmp_path / "o.mkv"
    with open_sink(target, video_info(), tracks=[track]) as sink:
        sink.write(synthetic_frames(10))
        sink.write_packets(0, packets)
    with open_tracks(target) as back:
        (found,) = back.tracks
    assert (found.language, found.title, found.disposition) == ("fre", "La bande son", 65)


SCRIPT = b"[Script Info]\r\nScriptType: v4.00+\r\n\r\n[V4+ Styles]\r\nFormat: Name\r\n"


def subtitle_file(path, codec, header, payloads):
    """Write a file with one subtitle stream, without the header of a subtitle encoder."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        stream = container.add_stream(codec)
        stream.codec_context.subtitle_header = header
        for index, payload in enumerate(payloads):
            packet = av.Packet(payload)
            packet.stream = stream
            packet.time_base = Fraction(1, 1000)
            packet.pts = packet.dts = 100 * index
            packet.duration = 100
            container.mux(packet)
        for t in range(10):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = t, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))


@pytest.mark.parametrize(
    ("name", "codec", "payloads"),
    [
        ("s.mkv", "subrip", [b"Hello", b"<i>again</i>"]),
        ("s.mkv", "ass", [b"0,0,Default,,0,0,0,,Hello", b"1,0,Default,,0,0,0,,{\\i1}again"]),
        ("s.mp4", "mov_text", [b"\x00\x05Hello", b"\x00\x05again"]),
    ],
)
def test_subtitles(tmp_path, name, codec, payloads):
    source = tmp_path / name
    subtitle_file(source, codec, SCRIPT, payloads)
    with open_tracks(source) as tracks:
        (track,) = tracks.tracks
        assert (track.kind, track.codec) == ("subtitle", codec)
        with av.open(str(source)) as container:
            original = container.streams.subtitles[0].codec_context.extradata
        packets = tracks.rest()[0]
    assert [p.data for p in packets] == payloads
    target = tmp_path / f"out{source.suffix}"
    copy(source, target)
    with open_tracks(target) as back, av.open(str(target)) as container:
        assert container.streams.subtitles[0].codec_context.extradata == original
        again = back.rest()[0]
        assert [p.data for p in again] == payloads
        base = back.tracks[0].time_base
        assert [p.pts * base for p in again] == [p.pts * track.time_base for p in packets]
        assert [p.duration * base for p in again] == [p.duration * track.time_base for p in packets]
    # The other format gets the same text in its own codec, and the user one warning.
    other = tmp_path / ("other.mp4" if source.suffix == ".mkv" else "other.mkv")
    with open_sink(other, video_info(), tracks=[track]) as sink:
        sink.write(synthetic_frames(10))
        sink.write_packets(0, packets)
    (warning,) = sink.warnings
    assert f"track 0 (subtitle, {codec}) cannot be copied" in warning
    assert shown_text(other) == [
        (0, Fraction(1, 10), "Hello"),
        (Fraction(1, 10), Fraction(1, 10), "again" if codec == "mov_text" else "_again"),
    ]


def shown_text(path):
    """Read the subtitles of a file: time and duration in seconds, and text, `_` before italics."""
    shown = []
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        for packet in container.demux(stream):
            for line in stream.codec_context.decode(packet) if packet.size > 2 else ():
                text = re.sub(r"\{\\i[01]\}", "_", line.dialogue.decode())
                shown.append(
                    (packet.pts * packet.time_base, packet.duration * packet.time_base, text)
                )
    return shown


def test_surround_sound_of_a_real_film(bunny, tmp_path):
    target = tmp_path / "o.mkv"
    with (
        open_source(bunny, frames=slice(0, 2)) as video,
        open_tracks(bunny) as tracks,
        open_sink(target, video.info, tracks=tracks.tracks) as sink,
    ):
        sink.write(video.read(2))
        sink.write_packets(0, tracks.until(1)[0])
    with av.open(str(target)) as container:
        assert container.streams.audio[0].layout.name == "5.1"
        assert sum(f.samples for f in container.decode(audio=0)) > 40_000


def test_packets_without_times_are_placed(make_clip, tmp_path):
    source = make_clip("in.mkv", frames=10, audio=("aac",))
    with open_tracks(source) as tracks:
        (track,) = tracks.tracks
        packets = [dataclasses.replace(p, pts=None, dts=None) for p in tracks.rest()[0]]
    target = tmp_path / "o.mkv"
    with open_sink(target, video_info(), tracks=[track]) as sink:
        sink.write(synthetic_frames(10))
        sink.write_packets(0, packets)
    with open_tracks(target) as back:
        assert [p.data for p in back.rest()[0]] == [p.data for p in packets]
