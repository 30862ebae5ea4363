"""Encode, decode, compare: the file is the truth."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import nvcodec
from nvcodec.container import Reader
from nvcodec.errors import ConfigError, OutputExistsError, VideoError
from nvcodec.media import ColourMode
from nvcodec.video import open_source, open_tracks


def _source_frames(path: Path, **options):
    with open_source(path, **options) as source:
        return source.read(1000)


def _psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = ((one.astype(float) - other.astype(float)) ** 2).mean(axis=(1, 2))
    return float(np.mean(10 * np.log10(255**2 / error)))


@pytest.mark.parametrize(
    ("model", "colour", "boost"),
    [
        *((model, colour, False) for model in ("nerv", "hnerv") for colour in ColourMode),
        ("nervpp", ColourMode.RGB, False),
        ("nirvana", ColourMode.RGB, False),
        ("ngp", ColourMode.YUV420, False),
        ("nerv", ColourMode.RGB, True),
        ("hnerv", ColourMode.YUV420, True),
        ("nervpp", ColourMode.YUV420, True),
    ],
)
def test_what_is_decoded_is_what_was_fitted(clip, tmp_path, settings, model, colour, boost):
    target = tmp_path / "a.nvc"
    seen = []
    chosen = {"epochs": 12, "parameters": 3000}
    if boost:
        chosen = {"boost": True, "epochs": 6, "parameters": 12_000}
    report = nvcodec.encode(
        clip, target, settings(model=model, colour=colour, **chosen), measure=False,
        on_progress=seen.append,
    )  # fmt: skip
    info = nvcodec.inspect(target)
    assert (info.model, info.boosted) == (model, boost)
    assert report.parameters == 3 * info.parameters
    original = _source_frames(clip)
    with nvcodec.open(target, device="cpu") as video:
        assert video.warnings == []
        decoded = video.planes(range(len(video)))
    assert decoded.y.shape == (12, 32, 48)
    assert decoded.u.shape == decoded.v.shape == (12, 16, 24)
    assert (decoded.pts == original.pts).all()
    assert (decoded.durations == original.durations).all()
    # Far better than noise, and as good as the last epoch of each segment says.
    fitted = np.mean([p.fit.psnr for p in seen if p.fit.epoch == p.fit.epochs])
    found = (
        6 * _psnr(original.y, decoded.y)
        + _psnr(original.u, decoded.u)
        + _psnr(original.v, decoded.v)
    ) / 8
    assert found > fitted - 2.5


def test_only_networks_are_boosted(clip, tmp_path, settings):
    with pytest.raises(ConfigError, match=r"boost.*latentgrid"):
        nvcodec.encode(clip, tmp_path / "a.nvc", settings(model="latentgrid", boost=True))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(47, 33), (49, 32), (16, 16)])
@pytest.mark.parametrize("colour", list(ColourMode))
def test_odd_sizes(make_clip, tmp_path, settings, size, colour):
    clip = make_clip("odd.mkv", frames=3, size=size, codec="ffv1", pix_fmt="yuv444p")
    config = settings(model="nerv", colour=colour, parameters=3000)
    report = nvcodec.encode(clip, tmp_path / "odd.nvc", config, measure=False)
    assert (report.width, report.height) == size
    with nvcodec.open(tmp_path / "odd.nvc") as video:
        assert video[:].shape == (3, size[1], size[0], 3)


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
    # Quality, computed here from what this process decodes.
    original = _source_frames(clip)
    with nvcodec.open(target) as video:
        decoded = video.planes(range(12))
    for name in ("y", "u", "v"):
        expected = _psnr(getattr(original, name), getattr(decoded, name))
        assert getattr(report, f"psnr_{name}") == pytest.approx(expected, abs=0.02)
    y, u, v = report.psnr_y, report.psnr_u, report.psnr_v
    assert report.psnr_yuv == pytest.approx((6 * y + u + v) / 8)
    comparison = nvcodec.compare(clip, target)
    assert comparison.bytes == report.bytes and comparison.video_bytes == report.video_bytes
    assert comparison.quality.psnr_y == pytest.approx(y, abs=0.02)
    assert comparison.quality.psnr_rgb == pytest.approx(report.psnr_rgb, abs=0.02)
    assert comparison.warnings == ()


def test_another_process_decodes_the_same(stream, environment):
    with nvcodec.open(stream, device="cpu") as video:
        expected = video.planes(range(12))
    program = (
        "import sys, hashlib, nvcodec\n"
        "video = nvcodec.open(sys.argv[1], device='cpu')\n"
        "part = video.planes(range(12))\n"
        "digest = hashlib.sha256(b''.join(p.tobytes() for p in (part.y, part.u, part.v)))\n"
        "print(digest.hexdigest())\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(stream)], capture_output=True, text=True,
        env=environment, check=True,
    )  # fmt: skip
    import hashlib

    planes = b"".join(plane.tobytes() for plane in (expected.y, expected.u, expected.v))
    assert run.stdout.strip() == hashlib.sha256(planes).hexdigest()


def test_the_same_seed_gives_the_same_file(clip, stream, tmp_path, settings):
    nvcodec.encode(clip, tmp_path / "again.nvc", settings(), measure=False)
    assert (tmp_path / "again.nvc").read_bytes() == stream.read_bytes()
    nvcodec.encode(clip, tmp_path / "other.nvc", settings(seed=1), measure=False)
    assert (tmp_path / "other.nvc").read_bytes() != stream.read_bytes()


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
    original = _source_frames(clip)
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
    again = _source_frames(out)
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


def test_every_subtitle_survives(subtitled, kept, tmp_path, settings):
    stream, out = kept("subtitled.nvc", subtitled, settings()), tmp_path / "out.mkv"
    assert nvcodec.decode(stream, out).tracks == 2
    with open_tracks(out) as tracks:
        assert [track.kind for track in tracks.tracks] == ["audio", "subtitle"]
        assert tracks.tracks[1].time_base == Fraction(1, 1000)
    expected = [(text, pts, pts, duration) for pts, duration, text in SUBTITLES]
    for found in (_packets(subtitled), _stored_packets(stream), _packets(out)):
        assert found[1] == expected


def test_packets_after_the_last_frame_survive(subtitled, kept, tmp_path, settings):
    stream, out = kept("subtitled.nvc", subtitled, settings()), tmp_path / "out.mkv"
    nvcodec.decode(stream, out)
    given = _packets(subtitled)
    frames = _source_frames(subtitled)
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


def test_a_part_of_a_video(clip, tmp_path, settings):
    target = tmp_path / "a.nvc"
    report = nvcodec.encode(clip, target, settings(frames=slice(3, 8)), measure=False)
    assert report.frames == 5
    with nvcodec.open(target) as video:
        assert (video.planes(range(5)).pts == _source_frames(clip).pts[3:8]).all()
    comparison = nvcodec.compare(clip, target)
    assert comparison.quality.frames == 5
    out = tmp_path / "part.y4m"
    assert nvcodec.decode(target, out, frames=slice(1, 3)).frames == 2
    with nvcodec.open(target) as video:
        assert (_source_frames(out).y == video.planes([1, 2]).y).all()
    with pytest.raises(ConfigError):
        nvcodec.decode(target, tmp_path / "none.y4m", frames=slice(7, 9))
    assert not (tmp_path / "none.y4m").exists()


def test_resize(clip, tmp_path, settings):
    report = nvcodec.encode(clip, tmp_path / "a.nvc", settings(resize=(32, 18)), measure=False)
    assert (report.width, report.height) == (32, 18)
    comparison = nvcodec.compare(clip, tmp_path / "a.nvc")
    assert (comparison.width, comparison.height) == (32, 18)


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


@pytest.mark.parametrize("target", ["size", "bpp"])
def test_a_size_is_reached(make_clip, tmp_path, settings, target):
    clip = make_clip("a.mp4", frames=16, size=(96, 64))
    wanted = 4000
    value = wanted if target == "size" else 8 * wanted / (16 * 96 * 64)
    config = settings(parameters=None, segment=8, epochs=20, **{target: value})
    report = nvcodec.encode(clip, tmp_path / "a.nvc", config, measure=False)
    assert report.video_bytes == pytest.approx(wanted, rel=0.05)


def test_progress_of_an_encode(clip, tmp_path, settings):
    seen = []
    nvcodec.encode(
        clip, tmp_path / "a.nvc", settings(epochs=2), measure=False, on_progress=seen.append
    )
    assert [p.segment for p in seen] == [0] * 3 + [1] * 3 + [2] * 3
    assert {p.segments for p in seen} == {3}
    assert all(isinstance(p, nvcodec.Progress) for p in seen)
    assert [p.seconds for p in seen] == sorted(p.seconds for p in seen)
    assert seen[2].bpp > 0 and seen[0].bpp is None


def test_a_time_limit_ends_in_a_whole_file(clip, tmp_path, settings):
    config = settings(epochs=1_000_000, time_limit=1.0)
    report = nvcodec.encode(clip, tmp_path / "a.nvc", config, measure=False)
    assert report.frames == 12 and report.segments == 3
    assert nvcodec.inspect(tmp_path / "a.nvc").complete


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.y4m", "pictures"])
def test_every_kind_of_output(stream, tmp_path, name):
    counts = []
    target = tmp_path / name
    done = nvcodec.decode(stream, target, on_progress=lambda n, total: counts.append((n, total)))
    assert isinstance(done, nvcodec.Decoded)
    assert (done.frames, done.width, done.height) == (12, 48, 32)
    assert counts[-1] == (12, 12)
    assert len(_source_frames(target)) == 12
    if target.suffix in (".mp4", ".mkv"):
        with av.open(str(target)) as container:
            assert [s.type for s in container.streams] == ["video", "audio"]
    else:
        assert done.warnings  # the sound has no place there
    with pytest.raises(OutputExistsError):
        nvcodec.decode(stream, target)
    assert nvcodec.decode(stream, target, overwrite=True).frames == 12


def test_inspect(stream):
    info = nvcodec.inspect(stream)
    assert info.complete and info.damage == ()
    assert info.segments == ((0, 4), (4, 4), (8, 4))
    assert info.frames == 12 and info.duration == Fraction(12, 25)
    assert info.bytes == stream.stat().st_size
    assert info.model == "hnerv" and info.parameters > 0 and info.macs_per_pixel > 0
    assert [track.kind for track in info.tracks.values()] == ["audio"]
    assert nvcodec.inspect(stream.read_bytes()) == info


@pytest.mark.parametrize("model", ["nerv", "hnerv"])
def test_lmbda_sets_network_and_rate(clip, tmp_path, settings, model):
    reports = []
    for lmbda in (0.1, 0.4):
        config = settings(model=model, parameters=None, lmbda=lmbda, segment=6, epochs=2)
        target = tmp_path / f"{lmbda}.nvc"
        reports.append(nvcodec.encode(clip, target, config, measure=False))
    fine, coarse = reports
    assert fine.parameters == pytest.approx(0.3 / 0.1 * 12 * 48 * 32, rel=0.1)
    assert coarse.parameters == pytest.approx(fine.parameters / 4, rel=0.3)  # of tiny ones
    assert coarse.bpp < 0.5 * fine.bpp


def test_header_overhead_is_small(silent, tmp_path, settings):
    target = tmp_path / "one.nvc"
    nvcodec.encode(silent, target, settings(model="nerv", segment=6), measure=False)
    with Reader(target) as reader:
        assert len(reader.segments) == 1
        assert target.stat().st_size - len(reader.payload(0)) <= 150


@pytest.mark.parametrize(
    "bad",
    [
        {"model": "nevr"},
        {"preset": "quick"},
        {"size": 10, "bpp": 0.1},
        {"lmbda": 2.0, "psnr": 30.0},
        {"lmbda": 0.0},
        {"bpp": 0.0},
        {"bpp": float("nan")},
        {"size": -1},
        {"epochs": 0},
        {"segment": 0},
        {"time_limit": 0.0},
        {"seed": -1},
    ],
)
def test_settings_are_checked(bad):
    with pytest.raises(ConfigError):
        nvcodec.EncoderConfig(**bad)


def test_devices_that_are_not_there(clip, stream, tmp_path, settings):
    for device in ("tpu", "cuda:99", "meta"):
        with pytest.raises(ConfigError):
            nvcodec.encode(clip, tmp_path / "a.nvc", settings(device=device), measure=False)
        with pytest.raises(ConfigError):
            nvcodec.open(stream, device=device)
    assert list(tmp_path.iterdir()) == []


def test_reports_are_json(stream):
    info = nvcodec.inspect(stream)
    assert json.dumps([info.bpp, info.parameters, float(info.duration)])
