"""Tests of tracks that a format stores converted, or in a form that PyAV refuses."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import av
import numpy as np
import pytest

from nvcodec.errors import VideoError
from nvcodec.media import Packet, Track
from nvcodec.video import open_sink, open_tracks
from nvcodec.video.sinks.track_storage import formats_for
from nvcodec.video.tracks import codec_parameters
from tests.fixtures.videos import synthetic_frames, video_info


def write(target, tracks, packets, frames=6):
    """Write tiny frames beside the packets of tracks, and return the warnings."""
    with open_sink(target, video_info(), tracks=tracks, overwrite=True) as sink:
        sink.write(synthetic_frames(frames))
        for index, track_packets in enumerate(packets):
            sink.write_packets(index, track_packets)
    return sink.warnings


def tracks_of(path):
    with open_tracks(path) as tracks:
        return tracks.tracks, tracks.rest(), tracks.warnings


def samples_of(path):
    """Decode the first audio stream to float64, shape (samples, channels)."""
    scale = {"u8": 2**7, "s16": 2**15, "s32": 2**31, "flt": 1, "dbl": 1}
    parts = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            part = frame.to_ndarray().astype(float)
            channels = frame.layout.nb_channels
            part = part.T if frame.format.is_planar else part.reshape(-1, channels)
            kind = frame.format.packed.name
            parts.append((part - (128 if kind == "u8" else 0)) / scale[kind])
    return np.concatenate(parts)


# Container, its video codec, the audio codec, and what `.mkv` and `.mp4` hold of it.
KINDS = [
    ("in.wmv", "wmv2", "wmav2", "wmav2", "pcm_f32le"),
    ("in.avi", "mpeg4", "wmav1", "wmav1", "pcm_f32le"),
    ("in.avi", "mpeg4", "pcm_alaw", "pcm_alaw", "pcm_s16le"),
    ("in.mov", "mpeg4", "pcm_mulaw", "pcm_mulaw", "pcm_s16le"),
    ("in.avi", "mpeg4", "adpcm_ms", "adpcm_ms", "pcm_s16le"),
    ("in.mov", "mpeg4", "adpcm_ima_qt", "pcm_s16le", "pcm_s16le"),
    ("in.mov", "mpeg4", "pcm_s8", "pcm_s16le", "pcm_s16le"),
    ("in.mov", "mpeg4", "pcm_f32be", "pcm_f32le", "pcm_f32be"),
    ("in.mkv", "mpeg4", "wavpack", "wavpack", "pcm_s32le"),
    ("in.mkv", "mpeg4", "alac", "alac", "alac"),
]


@pytest.mark.parametrize(("name", "video", "audio", "in_mkv", "in_mp4"), KINDS)
def test_every_kind_of_sound_is_stored(make_clip, tmp_path, name, video, audio, in_mkv, in_mp4):
    source = make_clip(name, codec=video, frames=6, audio=(audio,))
    tracks, packets, warnings = tracks_of(source)
    assert warnings == [] and tracks[0].codec == audio
    assert formats_for(tracks) == [".mkv", ".mp4"]
    expected = samples_of(source)
    for suffix, codec in ((".mkv", in_mkv), (".mp4", in_mp4)):
        target = tmp_path / f"out [{suffix[1:]}]'s | 1{suffix}"  # signs of the tee muxer
        lines = write(target, tracks, packets)
        (found,), (copied,), _ = tracks_of(target)
        assert found.codec == codec
        assert (samples_of(target) == expected).all()
        if codec == audio:
            assert lines == []
            assert b"".join(p.data for p in copied) == b"".join(p.data for p in packets[0])
        else:
            (line,) = lines
            assert f"track 0 (audio, {audio}) cannot be copied to {suffix}" in line
            assert codec in line


@pytest.mark.parametrize("audio", ["flac", "libopus", "alac"])
def test_the_last_packet_is_kept_where_the_source_states_no_durations(make_clip, tmp_path, audio):
    source = make_clip("in.mkv", codec="mpeg4", frames=12, audio=(audio,))
    tracks, (packets,), _ = tracks_of(source)
    unknown = [dataclasses.replace(packet, duration=0) for packet in packets]
    for count in (len(packets), 1):
        target = tmp_path / "out.mp4"
        write(target, tracks, [unknown[:count]])
        copied = tracks_of(target)[1][0]
        assert [p.data for p in copied] == [p.data for p in packets[:count]]
        stated = sum(p.duration for p in packets[:count]) * tracks[0].time_base
        if audio != "alac":
            with av.open(str(target)) as container:
                stream = container.streams.audio[0]
                assert abs(stream.duration * stream.time_base - stated) < Fraction(1, 10)


def pcm_track(rate=8000):
    parameters = codec_parameters.of_encoder("pcm_s16le", rate=rate, layout="mono")
    return Track(
        kind="audio", codec="pcm_s16le", time_base=Fraction(1, rate), parameters=parameters
    )


def tone(start, count, level):
    return Packet(data=np.full(count, level, "<i2").tobytes(), pts=start, dts=start, duration=count)


def test_a_gap_in_pcm_becomes_silence_in_mp4(tmp_path):
    packets = [tone(0, 800, 1), tone(800, 800, 2), tone(4000, 800, 3)]
    target = tmp_path / "out.mp4"
    assert write(target, [pcm_track()], [packets]) == []
    heard = np.rint(samples_of(target)[:, 0] * 2**15)
    assert (heard == np.repeat([1, 2, 0, 3], [800, 800, 2400, 800])).all()
    far = [tone(0, 800, 1), tone(8000 * 10**6, 800, 2)]
    (line,) = write(target, [pcm_track()], [far])
    assert "gaps of 1000000 s" in line and target.stat().st_size < 20_000


def test_times_finer_than_the_format_do_not_collide(tmp_path):
    track = dataclasses.replace(pcm_track(), time_base=Fraction(1, 10**7))
    packets = [
        Packet(data=bytes(1600), pts=time, dts=time, duration=10**6) for time in (0, 10**6, 10**6)
    ]
    (line,) = write(tmp_path / "out.mp4", [track], [packets])
    assert "1 packets of track 0 had decreasing times" in line


def test_a_time_beyond_64_bits_is_a_typed_error(tmp_path):
    with pytest.raises(VideoError, match="track 0 cannot be written: a time or duration"):
        write(tmp_path / "out.mkv", [pcm_track()], [[tone(2**63, 800, 1)]])


@pytest.fixture
def bitmap_track(tmp_path):
    """A track of Blu-ray subtitles, which are pictures and only Matroska holds."""
    path = tmp_path / "pgs.sup"
    # A display set without pictures: presentation and end segments.
    segment = b"PG" + bytes(8) + b"\x16\x00\x0b" + bytes(11) + b"PG" + bytes(8) + b"\x80\x00\x00"
    path.write_bytes(segment)
    (track,), _, _ = tracks_of(path)
    return track


def test_an_error_names_only_formats_that_work(make_clip, tmp_path, bitmap_track):
    assert (bitmap_track.kind, bitmap_track.codec) == ("subtitle", "hdmv_pgs_subtitle")
    sound = tracks_of(make_clip("in.wmv", codec="wmv2", audio=("wmav2",)))[0]
    mixed = [*sound, bitmap_track]
    assert formats_for(mixed) == [".mkv"]
    with pytest.raises(VideoError, match=r"track 1 .* cannot be stored in \.mp4; use \.mkv$"):
        write(tmp_path / "out.mp4", mixed, [])
    assert write(tmp_path / "out.mkv", mixed, []) == []


@pytest.fixture
def caption_track(tmp_path):
    """A track of EIA-608 captions, which only QuickTime holds."""
    path = tmp_path / "captions.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_mux_stream("eia_608", time_base=Fraction(1, 1000))
        packet = av.Packet(bytes.fromhex("0000000a636461749420"))
        packet.stream, packet.pts, packet.dts, packet.duration = stream, 0, 0, 1000
        packet.time_base = Fraction(1, 1000)
        container.mux(packet)
    (track,), _, _ = tracks_of(path)
    return track


def test_what_no_format_holds_is_left_out(tmp_path, caption_track):
    assert caption_track.codec == "eia_608"
    mixed = [caption_track, pcm_track()]
    assert formats_for(mixed) == []
    for suffix in (".mkv", ".mp4"):
        target = tmp_path / f"out{suffix}"
        (line,) = write(target, mixed, [[], [tone(0, 800, 1)]])
        assert line == f"track 0 (subtitle, eia_608) is not kept: {suffix} cannot hold it"
        assert len(samples_of(target)) == 800


def test_malformed_parameters_are_held_by_no_format():
    assert formats_for([dataclasses.replace(pcm_track(), parameters=b"")]) == []


def test_floating_point_of_wavpack_is_rounded_with_a_word(tmp_path):
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("wavpack", rate=8000)
        stream.codec_context.format, stream.codec_context.layout = "fltp", "mono"
        samples = np.linspace(-0.5, 0.5, 4096, dtype=np.float32)[None]
        frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 8000, 0, Fraction(1, 8000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    tracks, packets, _ = tracks_of(source)
    converted, rounded = write(tmp_path / "out.mp4", tracks, packets)
    assert "pcm_s32le" in converted and "rounded to 32 bits" in rounded
    assert np.abs(samples_of(tmp_path / "out.mp4") - samples_of(source)).max() < 1e-9
