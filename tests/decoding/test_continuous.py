"""Pictures at any moment and size: each family, across segments and cuts, over damage, to files."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import nvcodec
from nvcodec.container import Reader
from nvcodec.decoding import decoder as decoding
from nvcodec.decoding.interpolation import position
from nvcodec.decoding.output_timing import FrameRateConverter, resized
from nvcodec.errors import BitstreamError, ConfigError
from nvcodec.media import VideoInfo
from nvcodec.metrics import psnr
from nvcodec.reconstruction.resampling import CrossFade, blended, resampled
from nvcodec.video import open_source, open_tracks
from tests.fixtures.commands import run_here

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "v1"


def times_of(video) -> list[Fraction]:
    return [int(tick) * video.info.time_base for tick in video.planes(range(len(video))).pts]


def frames_of(path: Path):
    with open_source(path) as source:
        return source.read(1 << 20), source.info


@pytest.mark.parametrize("name", sorted(folder.name for folder in GOLDEN.iterdir()))
def test_at_the_time_of_a_frame_it_is_that_frame(name):
    data = (GOLDEN / name / "stream.nvc").read_bytes()
    with nvcodec.open(data, device="cpu") as video:
        whole, times = video.planes(range(len(video))), times_of(video)
    with nvcodec.open(data, device="cpu") as video:
        for made, plane in zip(video.planes_at(times), (whole.y, whole.u, whole.v), strict=True):
            assert np.array_equal(made, plane)
        # In any order, at another size, and between frames.
        size = (2 * video.info.width - 1, video.info.height + 3)
        middle = (times[0] + times[1]) / 2
        y, u, _ = video.planes_at([times[-1], middle, times[0]], size)
        assert y.shape == (3, *size[::-1]) and u.shape == (3, (size[1] + 1) // 2, size[0] // 2 + 1)
        filtered = resampled((whole.y[[-1, 0]], whole.u, whole.v), size[::-1], video.device)[0]
        off = np.abs(y[[0, 2]].astype(int) - filtered)
        # Networks of points are asked for other sizes.
        assert off.mean() < 5 if name.startswith("ngp") else not off.any()
        # Playing on gives the same.
        played = [part.y for part in video.frames(size=size)]
        assert np.array_equal(np.concatenate(played)[[-1, 0]], y[[0, 2]])
        assert video.pictures_at([middle]).shape == (1, video.info.height, video.info.width, 3)
        assert video.warnings == []


@pytest.mark.parametrize(
    "name", ["hnerv-yuv420", "nerv-boosted-yuv420", "nirvana-rgb", "ngp-yuv420"]
)
def test_networks_between_frames(name):
    with nvcodec.open((GOLDEN / name / "stream.nvc").read_bytes(), device="cpu") as video:
        times, whole = times_of(video), video.planes(range(2)).y.astype(float)
        steps = [times[0] + Fraction(n, 8) * (times[1] - times[0]) for n in range(9)]
        y = video.planes_at(steps)[0].astype(float)
        assert np.array_equal(y[[0, 8]], whole)
        # From one frame to the other, step by step, and never far from both.
        away = [np.abs(picture - whole[0]).mean() for picture in y]
        assert away == sorted(away) and away[1] < away[4] < away[7]
        assert (
            np.abs(
                y - np.linspace(0, 1, 9)[:, None, None] * (whole[1] - whole[0]) - whole[0]
            ).mean()
            < 3
        )


def sliding(t: int, width: int, height: int) -> np.ndarray:
    """Clouds that move to the left by two samples a frame."""
    chance = np.random.default_rng(3)
    spectrum = np.fft.rfft2(chance.normal(size=(height, 256)))
    y, x = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(256)
    clouds = np.fft.irfft2(spectrum / (0.003 + x**2 + y**2) ** 0.75, s=(height, 256))
    levels = np.clip(128 + 45 * clouds / clouds.std(), 0, 255).astype(np.uint8)
    return np.repeat(levels[:, 2 * t : 2 * t + width, None], 3, axis=2)


def test_latentgrid_moves_what_lies_between(kept, make_clip, settings):
    size = (96, 48)
    clip = make_clip(
        "even.mkv", frames=5, size=size, codec="ffv1", picture=lambda t, w, h: sliding(2 * t, w, h)
    )
    config = settings(model="latentgrid", parameters=None, lmbda=2.0, epochs=2, segment=5)
    with nvcodec.open(kept("sliding.nvc", clip, config), device="cpu") as video:
        times = times_of(video)
        gap = times[1] - times[0]
        decoded = video.planes(range(5))
        odd = frames_of(
            make_clip("odd.mkv", frames=4, size=size, codec="ffv1",
                      picture=lambda t, w, h: sliding(2 * t + 1, w, h))
        )[0].y  # fmt: skip
        made = video.planes_at([time + gap / 2 for time in times[:-1]])[0]
        mixed = [
            blended(*((decoded.y[n : n + 1],) * 3 for n in (t, t + 1)), 0.5)[0][0] for t in range(4)
        ]
        moved, faded = (
            np.mean([psnr(a[None], b[None])[0] for a, b in zip(odd, pictures, strict=True)])
            for pictures in (made, mixed)
        )
        assert moved > faded + 3
        # A quarter of the way is nearer to the first frame than half of it, and so on.
        steps = video.planes_at([times[2] + gap * Fraction(n, 4) for n in range(5)])[0].astype(int)
        away = [float(np.abs(step - steps[0]).mean()) for step in steps]
        assert away == sorted(away) and away[0] == 0 < away[1]


class Shown:
    """Frames of a segment as they are given."""

    batch = 2

    def __init__(self, frames: np.ndarray) -> None:
        self._luma = frames
        self._fade = CrossFade(self.planes, self.batch)
        self.asked: list[int] = []

    def planes(self, frames):
        self.asked += frames
        chroma = np.full((len(frames), 16, 24), 128, np.uint8)
        return self._luma[list(frames)], chroma, chroma

    def at(self, times, size):
        return resampled(self._fade(times), size, nvcodec.device.choose_device("cpu"))

    def state(self):
        raise AssertionError("nothing is predicted")


@pytest.fixture
def shown(stream, monkeypatch):
    """Three segments of four frames of two shots: the second shot begins with the last segment."""
    luma = np.stack(
        [sliding(t, 48, 32)[..., 0] if t < 8 else 255 - sliding(60 + t, 48, 32)[::-1, :, 0]
         for t in range(12)]
    )  # fmt: skip
    opened: dict[int, Shown] = {}

    def open_segment_decoder(stored, header, device, *, number, previous, fsq_indices):
        opened[number] = Shown(luma[stored.first_frame : stored.first_frame + 4])
        return opened[number]

    monkeypatch.setattr(decoding, "open_segment_decoder", open_segment_decoder)
    with nvcodec.open(stream, device="cpu") as video:
        yield video, luma, opened


def test_across_segments_and_cuts(shown):
    video, luma, _ = shown
    times = times_of(video)
    middles = [(times[n] + times[n + 1]) / 2 for n in (3, 7)]
    y, *_ = video.planes_at(middles)
    assert np.abs(y[0] - (luma[3].astype(int) + luma[4]) / 2).max() <= 0.5
    assert np.array_equal(y[1], luma[7])
    outside = video.planes_at([times[0] - 9, times[-1] + 9])[0]
    assert np.array_equal(outside, luma[[0, 11]])


def test_playing_on_decodes_every_frame_once(shown):
    video, luma, opened = shown
    times = times_of(video)
    for pictures in opened.values():
        pictures.asked.clear()
    gap = times[1] - times[0]
    moments = [times[0] + n * gap / 2 for n in range(24)]
    y, *_ = video.planes_at(moments)
    assert np.array_equal(y[::2], luma)
    assert max(pictures.asked.count(n) for pictures in opened.values() for n in range(4)) == 1


def test_what_turns_out_to_be_damaged_late_is_held_over(shown, monkeypatch):
    video, luma, opened = shown
    times = times_of(video)

    def fail(*arguments):
        raise BitstreamError("nothing comes of it")

    monkeypatch.setattr(opened[0], "at", fail)
    moments = [times[1], (times[3] + times[4]) / 2, times[5]]
    assert np.array_equal(video.planes_at(moments)[0], luma[[4, 4, 5]])
    assert [line for line in video.warnings if "frames 0..3" in line]
    monkeypatch.setattr(opened[2], "at", fail)
    assert np.array_equal(video.planes_at([(times[7] + times[8]) / 2])[0][0], luma[7])


def damaged(stream: Path, segments: list[int]) -> bytes:
    data = bytearray(stream.read_bytes())
    with Reader(bytes(data)) as reader:
        for number in segments:
            entry = reader.segments[number]
            data[entry.offset + entry.size - 40] ^= 4
    return bytes(data)


@pytest.mark.parametrize(("lost", "held"), [([1], 3), ([0], 4), ([2], 7), ([0, 1], 8)])
def test_what_is_damaged_is_held_over(stream, lost, held, tmp_path):
    with nvcodec.open(stream, device="cpu") as video:
        times, whole = times_of(video), video.planes(range(12)).y
    gap = times[1] - times[0]
    with nvcodec.open(damaged(stream, lost), device="cpu") as video:
        for number in lost:
            for time in (times[4 * number], times[4 * number + 3] + gap / 3):
                assert np.array_equal(video.planes_at([time])[0][0], whole[held])
        assert len(video.warnings) == len(lost)
        assert all(f"frames {4 * n}..{4 * n + 3}" in " ".join(video.warnings) for n in lost)
        if lost == [1]:
            # Nor is anything mixed with what is not there.
            assert np.array_equal(video.planes_at([times[3] + gap / 2])[0][0], whole[3])
    path = tmp_path / "damaged.nvc"
    path.write_bytes(damaged(stream, lost))
    done = nvcodec.decode(path, tmp_path / "out.mkv", fps=50)
    assert done.frames == 24 - 8 * ((0 in lost) + (2 in lost) + (1 in lost and 0 in lost))
    assert any("frames" in line for line in done.warnings)


def test_when_nothing_is_left(stream, tmp_path):
    path = tmp_path / "damaged.nvc"
    path.write_bytes(damaged(stream, [0, 1, 2]))
    with nvcodec.open(path, device="cpu") as video, pytest.raises(BitstreamError):
        video.planes_at([0])
    with pytest.raises(BitstreamError):
        nvcodec.decode(path, tmp_path / "out.mkv", fps=50)
    assert [file.name for file in tmp_path.iterdir()] == ["damaged.nvc"]


def test_positions():
    assert [position(Fraction(tick), [0, 10, 40]) for tick in (-5, 0, 5, 10, 25, 40, 99)] == [
        0, 0, 0.5, 1, 1.5, 2, 2,
    ]  # fmt: skip
    # 30 frames a second in milliseconds: what rounding moved is no motion.
    ticks = [0, 33, 67, 100]
    assert [position(Fraction(1000 * n, 30), ticks) for n in range(4)] == [0, 1, 2, 3]
    # Where a tick is a frame, half a tick is half-way.
    assert position(Fraction(1, 2), [0, 1]) == 0.5


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.y4m", "pictures"])
def test_files_at_twice_the_rate(stream, tmp_path, name):
    counts = []
    done = nvcodec.decode(
        stream, tmp_path / name, fps=50, size=(81, 54),
        on_progress=lambda n, total: counts.append((n, total)),
    )  # fmt: skip
    assert (done.frames, done.width, done.height) == (24, 81, 54)
    assert counts[-1] == (24, 24)
    frames, info = frames_of(tmp_path / name)
    assert len(frames) == 24 and frames.y.shape[1:] == (54, 81)
    assert info.frame_rate == 50 and info.sample_aspect_ratio == 1
    assert set(np.diff(frames.pts) * info.time_base) == {Fraction(1, 50)}


def test_half_the_rate_is_every_other_frame(stream, tmp_path):
    nvcodec.decode(stream, tmp_path / "half.y4m", fps=Fraction(25, 2))
    nvcodec.decode(stream, tmp_path / "same.y4m", fps=25)
    nvcodec.decode(stream, tmp_path / "all.y4m")
    half, same, every = (frames_of(tmp_path / f"{name}.y4m")[0] for name in ("half", "same", "all"))
    assert np.array_equal(half.y, every.y[::2])
    assert np.array_equal(same.y, every.y) and np.array_equal(same.u, every.u)


def test_variable_times_become_constant_and_sound_stays(make_clip, tmp_path, settings):
    pts = [500, 540, 595, 610, 800, 833, 1000]
    clip = make_clip(
        "vfr.mkv", frames=7, size=(48, 32), pts=pts, time_base=Fraction(1, 1000), audio=["aac"]
    )
    stream = tmp_path / "vfr.nvc"
    nvcodec.encode(clip, stream, settings(segment=3), measure=False)
    out = tmp_path / "out.mkv"
    nvcodec.decode(stream, out, fps=Fraction(60000, 1001))
    frames, info = frames_of(out)
    with nvcodec.open(stream, device="cpu") as video:
        times = times_of(video)
        last = video.reader.segment(2).durations[-1] * video.info.time_base
        assert len(frames) == round((times[-1] + last - times[0]) * Fraction(60000, 1001))
        # What libav stores in Matroska is rounded to milliseconds.
        assert int(frames.pts[0]) * info.time_base == times[0]
        third = times[3] + (times[4] - times[3]) / 3
        between = video.planes_at([third])[0][0]
        near = video.planes([3, 4]).y.astype(float)
        assert np.abs(between - (2 * near[0] + near[1]) / 3).max() <= 1
    given, copied = ([p for part in _packets(path) for p in part] for path in (clip, out))
    assert [(p.data, p.pts) for p in copied] == [(p.data, p.pts) for p in given]


def _packets(path: Path):
    with open_tracks(path) as tracks:
        return tracks.rest()


def test_a_part_at_another_rate(stream, tmp_path):
    out = tmp_path / "part.mkv"
    done = nvcodec.decode(stream, out, frames=slice(3, 9), fps=50, size=(24, 16))
    assert (done.frames, done.tracks) == (12, 1)
    frames, _ = frames_of(out)
    assert frames.pts[0] == 0
    with nvcodec.open(stream, device="cpu") as video:
        start = times_of(video)[3]
        (shown,) = video.planes_at([start], (24, 16))[0]
    assert psnr(frames.y[:1], shown[None])[0] > 40
    times = [packet.pts / 48000 for part in _packets(out) for packet in part]
    # Sound starts with the pictures: within a packet of 1024 samples.
    assert 0 <= min(times) < 1100 / 48000


def test_the_shape_on_the_screen_stays():
    info = VideoInfo(width=640, height=360, time_base=Fraction(1, 25), frame_rate=Fraction(25))
    for size in ((1280, 720), (853, 480), (854, 480), (427, 240)):
        assert resized(info, size).sample_aspect_ratio == 1
    assert resized(info, (640, 480)).sample_aspect_ratio == Fraction(4, 3)
    wide = resized(resized(info, (320, 360)), (640, 360))
    assert (wide.width, wide.sample_aspect_ratio) == (640, 1)


def test_cadence():
    made = FrameRateConverter.of(Fraction(60000, 1001), Fraction(1, 30), Fraction(2))
    assert (made.time_base, made.first, made.step) == (Fraction(1, 60000), 2000, 1001)
    assert made.count == round(Fraction(59, 30) * Fraction(60000, 1001))
    # A start that no common tick fits is rounded, the rate is not.
    odd = FrameRateConverter.of(Fraction(60), Fraction(1, 2**31 - 1), Fraction(1))
    assert odd.step * odd.time_base == Fraction(1, 60)
    assert abs(odd.first * odd.time_base - Fraction(1, 2**31 - 1)) < Fraction(1, 2**31)


@pytest.mark.parametrize("fps", [0, -1, Fraction(1001, 1), Fraction(1, 2**32)])
def test_rates_that_cannot_be(stream, tmp_path, fps):
    with pytest.raises(ConfigError, match="fps"):
        nvcodec.decode(stream, tmp_path / "a.mkv", fps=fps)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [(0, 10), (10, -1), (65536, 1), (10000, 10000)])
def test_sizes_that_cannot_be(stream, tmp_path, size):
    with pytest.raises(ConfigError, match="size"):
        nvcodec.decode(stream, tmp_path / "a.mkv", size=size)
    with nvcodec.open(stream, device="cpu") as video, pytest.raises(ConfigError, match="size"):
        video.planes_at([0], size)
    assert not list(tmp_path.iterdir())


def test_command_line(stream, tmp_path):
    def run(*arguments):
        return run_here(["decode", stream, "-o", *arguments])

    done = run(str(tmp_path / "a.y4m"), "--size", "64x48", "--fps", "59.94", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["frames"], found["width"], found["height"]) == (29, 64, 48)
    assert b" W64 H48 F60000:1001 Ip A9:8 " in (tmp_path / "a.y4m").read_bytes()[:90]
    wrong = run(str(tmp_path / "b.y4m"), "--fps", "fast")
    assert wrong.returncode == 2 and "frame rate" in wrong.stderr
