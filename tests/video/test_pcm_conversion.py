"""Tests of sound that only its own container can describe: it is kept as PCM, without loss."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from nvcodec.video import open_sink, open_tracks
from tests.fixtures.videos import synthetic_frames, video_info

RATE = 48000


def sound(bits, count=8640):
    """Make stereo samples that use every bit, left-aligned in 32 bits, shape (samples, 2)."""
    generator = np.random.default_rng(bits)
    return generator.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (count, 2)) << (32 - bits)


def add_pictures(container):
    video = container.add_stream("mpeg2video", rate=25)
    video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
    return video


def encode_pictures(container, video):
    for t in range(4):
        frame = av.VideoFrame(64, 48, "yuv420p")
        frame.pts, frame.time_base = t, Fraction(1, 25)
        container.mux(video.encode(frame))
    container.mux(video.encode(None))


def disc(path, format_name, codec, samples, kind):
    """Write samples with an encoder of libav."""
    options = {"mpegts_m2ts_mode": "1"} if path.suffix == ".m2ts" else {}
    with av.open(str(path), "w", format=format_name, options=options) as container:
        video = add_pictures(container)
        stream = container.add_stream(codec, rate=RATE)
        stream.codec_context.format, stream.codec_context.layout = kind, "stereo"
        encode_pictures(container, video)
        size = stream.codec_context.frame_size or 480
        for start in range(0, len(samples), size):
            part = samples[start : start + size]
            packed = (part >> 16).astype(np.int16) if kind == "s16" else part.astype(np.int32)
            frame = av.AudioFrame.from_ndarray(packed.reshape(1, -1), kind, "stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def broadcast(path, samples):
    """Write 24-bit samples as SMPTE 302M, which libav only decodes: AES3 words, bits reversed."""
    reverse = np.array([int(f"{byte:08b}"[::-1], 2) for byte in range(256)], np.uint8)
    with av.open(str(path), "w", format="mpegts") as container:
        video = add_pictures(container)
        stream = container.add_mux_stream("s302m", rate=RATE, time_base=Fraction(1, 90000))
        encode_pictures(container, video)
        for start in range(0, len(samples), 480):
            left, right = (samples[start : start + 480].T >> 8) & 0xFFFFFF
            # Of each pair 24 bits, 4 status bits, 24 bits, 4 status bits, each the lowest first.
            word = np.stack(
                [
                    *(reverse[left >> shift & 255] for shift in (0, 8, 16)),
                    reverse[right << 4 & 0xF0],
                    *(reverse[right >> shift & 255] for shift in (4, 12)),
                    reverse[right >> 20 & 15],
                ],
                axis=1,
            ).astype(np.uint8)
            data = word.tobytes()
            packet = av.Packet(len(data).to_bytes(2, "big") + b"\x00\x20" + data)
            packet.stream, packet.time_base = stream, Fraction(1, RATE)
            packet.pts = packet.dts = start
            container.mux(packet)


def heard(path):
    """Decode PCM to left-aligned int32, shape (samples, 2)."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray().reshape(-1, 2) for frame in container.decode(audio=0)]
    samples = np.concatenate(frames)
    return samples.astype(np.int64) << (32 - 8 * samples.itemsize)


SOURCES = {
    "dvd.vob": ("vob", "pcm_dvd", "s16", 16),
    "dvd24.vob": ("vob", "pcm_dvd", "s32", 24),
    "bluray.m2ts": ("mpegts", "pcm_bluray", "s16", 16),
    "bluray24.m2ts": ("mpegts", "pcm_bluray", "s32", 24),
    "broadcast.ts": ("mpegts", "s302m", "s32", 24),
    "tta.mkv": ("matroska", "tta", "s16", 16),
    "tta24.mkv": ("matroska", "tta", "s32", 24),
    "tta short.mkv": ("matroska", "tta", "s32", 24),  # ends before the pictures
}


@pytest.mark.parametrize("name", SOURCES)
def test_pcm_that_cannot_be_copied_is_kept_without_loss(tmp_path, name):
    path = tmp_path / name
    format_name, codec, kind, bits = SOURCES[name]
    samples = sound(bits, 4801 if "short" in name else 8640)
    if codec == "s302m":
        broadcast(path, samples)
    else:
        disc(path, format_name, codec, samples, kind)
    with open_tracks(path) as tracks:
        (track,) = tracks.tracks
        packets = tracks.until(0.02)[0] + tracks.rest()[0]
        assert track.codec == f"pcm_s{bits}le"
        (warning,) = tracks.warnings
    assert f"({codec}) cannot be copied; its samples are kept without loss" in warning
    for suffix in (".mkv", ".mp4"):
        target = tmp_path / f"out{suffix}"
        with open_sink(target, video_info(), tracks=[track]) as sink:
            sink.write(synthetic_frames(4))
            sink.write_packets(0, packets)
        assert sink.warnings == []
        assert (heard(target) == samples).all()
    # A resumed encode skips packets, and gets the same ones behind them.
    with open_tracks(path) as tracks:
        tracks.skip([3])
        assert tracks.rest()[0] == packets[3:]
