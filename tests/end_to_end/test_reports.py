"""The reports of encode, compare and inspect describe the file on disk."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

import nvcodec
from nvcodec.container import Reader
from nvcodec.errors import VideoError
from tests.fixtures.videos import mean_psnr, read_back


def test_the_report_is_about_the_file(clip, tmp_path, settings):
    target = tmp_path / "a.nvc"
    report = nvcodec.encode(clip, target, settings(epochs=3, seed=5))
    assert report.file == str(target)
    assert report.bytes == target.stat().st_size
    with Reader(target) as reader:
        packets = list(reader.packets(0))
        assert report.video_bytes == reader.video_bytes < report.bytes - sum(
            len(packet.data) for packet in packets
        )  # fmt: skip
    assert report.bpp == pytest.approx(8 * report.video_bytes / (12 * 48 * 32))
    assert (report.frames, report.width, report.height, report.fps) == (12, 48, 32, 25.0)
    assert (report.model, report.device, report.seed, report.segments) == ("hnerv", "cpu", 5, 3)
    assert report.epochs == 4
    assert report.warnings == ()
    assert report.ms_ssim is None  # too small for five scales
    # Quality, computed from the frames that this process decodes.
    _, original = read_back(clip)
    with nvcodec.open(target) as video:
        decoded = video.planes(range(12))
    for name in ("y", "u", "v"):
        expected = mean_psnr(getattr(original, name), getattr(decoded, name))
        assert getattr(report, f"psnr_{name}") == pytest.approx(expected, abs=0.02)
    y, u, v = report.psnr_y, report.psnr_u, report.psnr_v
    assert report.psnr_yuv == pytest.approx((6 * y + u + v) / 8)
    comparison = nvcodec.compare(clip, target)
    assert comparison.bytes == report.bytes and comparison.video_bytes == report.video_bytes
    assert comparison.quality.psnr_y == pytest.approx(y, abs=0.02)
    assert comparison.quality.psnr_rgb == pytest.approx(report.psnr_rgb, abs=0.02)
    assert comparison.warnings == ()


def test_compare_any_video(clip, make_clip):
    same = nvcodec.compare(clip, clip)
    assert same.quality.psnr_y == same.quality.psnr_rgb == 100.0
    assert same.bytes == clip.stat().st_size
    assert 0 < same.video_bytes < same.bytes
    shorter = make_clip("short.mp4", frames=5, size=(48, 32))
    comparison = nvcodec.compare(clip, shorter)
    assert comparison.quality.frames == 5
    assert any("7 frames" in line for line in comparison.warnings)
    with pytest.raises(VideoError):
        nvcodec.compare(clip, clip.with_name("absent.mp4"))


def test_inspect(stream):
    info = nvcodec.inspect(stream)
    assert info.complete and info.damage == ()
    assert info.segments == ((0, 4), (4, 4), (8, 4))
    assert info.frames == 12 and info.duration == Fraction(12, 25)
    assert info.bytes == stream.stat().st_size
    assert info.model == "hnerv" and info.parameters > 0 and info.macs_per_pixel > 0
    assert [track.kind for track in info.tracks.values()] == ["audio"]
    assert nvcodec.inspect(stream.read_bytes()) == info


def test_reports_are_json(stream):
    info = nvcodec.inspect(stream)
    assert json.dumps([info.bpp, info.parameters, float(info.duration)])


def test_frames_without_a_counterpart_are_named_once(make_clip):
    long, short = make_clip("long.mp4", frames=30), make_clip("short.mp4", frames=6)
    assert nvcodec.compare(long, long, frames=slice(0, 6)).warnings == ()
    (warning,) = nvcodec.compare(short, long).warnings
    assert warning == f"24 frames of {long} have no counterpart in {short}"
