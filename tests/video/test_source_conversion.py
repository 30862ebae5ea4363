"""Tests of what a source converts: pixel formats, colour, rotation and size."""

from __future__ import annotations

import logging
from fractions import Fraction

import av
import numpy as np
import pytest

from nvcodec.errors import ConfigError
from nvcodec.video import open_source, yuv420
from tests.fixtures.videos import plane_samples, read_all

LOSSLESS = {"qp": "0"}


def test_full_range_is_recorded_and_samples_are_kept(make_clip):
    path = make_clip(pix_fmt="yuvj420p", full_range=True, options=LOSSLESS, frames=2)
    source, frames = read_all(path)
    assert source.info.colour.full_range
    with av.open(str(path)) as container:
        assert (frames.y[0] == plane_samples(next(container.decode(video=0)), 0)).all()


def test_colour_tags_are_code_points(make_clip):
    def tag(stream):
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = 9, 16, 9

    colour = read_all(make_clip(prepare=tag, frames=2))[0].info.colour
    assert (colour.primaries, colour.transfer, colour.matrix) == (9, 16, 9)
    assert not colour.full_range


@pytest.mark.parametrize(
    ("pix_fmt", "codec", "words"),
    [
        ("yuv420p10le", "ffv1", ["10-bit samples"]),
        ("yuv422p", "ffv1", ["4:2:2 chroma"]),
        ("yuv444p", "ffv1", ["4:4:4 chroma"]),
        ("yuv422p10le", "ffv1", ["10-bit samples", "4:2:2 chroma"]),
        ("yuva420p", "ffv1", ["the alpha channel"]),
        ("gray", "ffv1", ["gray"]),
        ("bgr0", "ffv1", ["full-resolution RGB"]),
        ("gbrp10le", "ffv1", ["10-bit samples", "full-resolution RGB"]),
        ("rgba", "png", ["the alpha channel", "full-resolution RGB"]),
        ("yuv410p", "ffv1", ["chroma"]),
        ("yuv411p", "ffv1", ["4:1:1 chroma"]),
        ("yuv440p", "ffv1", ["4:4:0 chroma"]),
    ],
)
@pytest.mark.parametrize("size", [(64, 48), (35, 25)])
def test_other_formats_become_420_with_one_warning(make_clip, caplog, pix_fmt, codec, words, size):
    def smooth(t, w, h):
        x, y = np.meshgrid(np.arange(w), np.arange(h))
        return np.stack([60 + x + t, 90 + y, 100 + (x + y) // 2], -1).astype(np.uint8)

    name = "f.mov" if codec == "png" else "f.mkv"
    path = make_clip(name, codec=codec, pix_fmt=pix_fmt, frames=2, picture=smooth, size=size)
    with caplog.at_level(logging.WARNING):
        source, frames = read_all(path)
    assert len(source.warnings) == 1
    assert all(word in source.warnings[0] for word in words)
    assert [r.name for r in caplog.records] == ["nvcodec.video.sources.source"]
    expected = yuv420(np.stack([smooth(t, *size) for t in range(2)]), source.info.colour)
    if pix_fmt == "gray":
        assert (frames.u == 128).all() and (frames.v == 128).all()
        return
    for got, want in zip((frames.y, frames.u, frames.v), expected, strict=True):
        assert np.abs(got.astype(int) - want).max() <= 4
        assert np.abs(got.astype(int) - want).mean() < 1.5


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("f.mkv", "ffv1", "bgr0"),
        ("f.mkv", "ffv1", "gbrp10le"),
        ("f.mov", "png", "rgba"),
        ("f.mkv", "ffv1", "yuv444p"),
        ("folder", "png", "rgb24"),
    ],
)
def test_chroma_made_from_full_resolution_is_sited_left(make_clip, tmp_path, name, codec, pix_fmt):
    def ramp(t, width, height):
        picture = np.zeros((height, width, 3), np.uint8)
        picture[:, :, 2] = 16 * np.arange(width)
        return picture

    path = tmp_path / name
    if name == "folder":
        path.mkdir()
        av.VideoFrame.from_ndarray(ramp(0, 16, 8), pix_fmt).save(path / "0.png")
    else:
        make_clip(name, codec=codec, pix_fmt=pix_fmt, frames=1, size=(16, 8), picture=ramp)
    _, frames = read_all(path)
    # In limited range a column adds 7 to U. Chroma sited at the centre would be 3.5 more.
    expected = 128 + 8 * np.arange(2, 16, 2) * 224 / 255
    assert np.abs(frames.u[0, :, 1:] - expected).max() <= 1


def test_ten_bits_are_rounded_to_eight(make_clip):
    path = make_clip("d.mkv", codec="ffv1", pix_fmt="yuv420p10le", frames=1)
    _, frames = read_all(path)
    with av.open(str(path)) as container:
        p = next(container.decode(video=0)).planes[0]
    deep = np.frombuffer(p, np.uint16).reshape(p.height, -1)[:, : p.width].astype(int)
    assert (frames.y[0] == np.minimum((deep + 2) >> 2, 255)).all()


def test_gif_is_recorded_as_limited_range(tmp_path):
    path = tmp_path / "a.gif"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("gif", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "rgb8"
        for t in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((16, 32, 3), 255 * (t % 2), np.uint8))
            frame = frame.reformat(format="rgb8")
            frame.pts, frame.time_base = t, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    source, frames = read_all(path)
    colour = source.info.colour
    assert (colour.primaries, colour.transfer, colour.matrix, colour.full_range) == (
        1,
        13,
        6,
        False,
    )
    assert frames.y[0::2].max() == 16
    assert 230 <= frames.y[1].min() <= frames.y[1].max() <= 235  # the palette has 8 reds


def test_interlaced_frames_are_said_to_be_woven(make_clip):
    path = make_clip(options={"x264-params": "tff=1"}, frames=4)
    source, _ = read_all(path)
    assert len(source.warnings) == 1
    assert "interlacing" in source.warnings[0]


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("flip", [False, True])
def test_rotation_is_applied_to_the_pixels(make_clip, degrees, flip):
    plain = read_all(make_clip("p.mp4", frames=2, options=LOSSLESS))[1]

    def turn(stream):
        stream.set_display_rotation(degrees, hflip=flip)
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    path = make_clip("r.mp4", frames=2, options=LOSSLESS, prepare=turn)
    with av.open(str(path)) as container:
        angle = next(container.decode(video=0)).rotation
    source, frames = read_all(path)
    turned = np.rot90(plain.y, angle // 90, axes=(1, 2))
    mirrored = (turned[:, :, ::-1], turned[:, ::-1])
    if flip:
        # With a mirror image the angle alone is ambiguous; the exact cases are in
        # test_orientation.py.
        assert any((frames.y == m).all() for m in (turned, *mirrored))
        assert not np.array_equal(frames.y, plain.y)
    else:
        assert (frames.y == turned).all()
    sideways = degrees % 180 == 90
    assert (source.info.width, source.info.height) == ((48, 64) if sideways else (64, 48))
    assert source.info.sample_aspect_ratio == (Fraction(3, 4) if sideways else Fraction(4, 3))
    assert source.warnings == []


def test_resize_keeps_the_shape_on_screen(make_clip):
    path = make_clip(size=(128, 96), frames=3)
    source, frames = read_all(path, resize=(51, 96))
    assert frames.y.shape == (3, 96, 51) and frames.u.shape == (3, 48, 26)
    assert source.info.sample_aspect_ratio == Fraction(128, 51)
    source, half = read_all(path, resize=(64, 48))
    assert source.info.sample_aspect_ratio == 1
    full = read_all(path)[1].y.astype(float)
    mean = full.reshape(3, 48, 2, 64, 2).mean((2, 4))
    assert np.abs(half.y - mean).mean() < 1.5
    with pytest.raises(ConfigError, match="resize"):
        open_source(path, resize=(0, 10))


def test_size_changes_are_scaled_to_the_first_size(make_clip, tmp_path):
    parts = [make_clip("a.h264", frames=3), make_clip("b.h264", size=(32, 80), frames=3)]
    path = tmp_path / "both.h264"
    path.write_bytes(b"".join(p.read_bytes() for p in parts))
    source, frames = read_all(path)
    assert frames.y.shape[1:] == (48, 64)
    lines = [line for line in source.warnings if "size changes" in line]
    assert len(lines) == 1 and "64x48" in lines[0]


@pytest.mark.parametrize("size", [(65, 47), (33, 2), (1, 1)])
def test_odd_sizes_round_chroma_up(make_clip, size):
    path = make_clip("odd.mkv", size=size, codec="ffv1", frames=3)
    _, frames = read_all(path)
    w, h = size
    assert frames.y.shape == (3, h, w)
    assert frames.u.shape == frames.v.shape == (3, (h + 1) // 2, (w + 1) // 2)
    with av.open(str(path)) as container:
        for t, frame in enumerate(container.decode(video=0)):
            assert (frames.v[t] == plane_samples(frame, 2)).all()
