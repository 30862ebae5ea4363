"""Interpolated pictures: within segments, across segments and scene cuts, and over damage."""

from __future__ import annotations

import gc
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import nvcodec
from nvcodec.container import Reader
from nvcodec.decoding import segment_cache
from nvcodec.decoding.interpolation import position
from nvcodec.errors import BitstreamError
from nvcodec.metrics import psnr
from nvcodec.reconstruction.resampling import CrossFade, blended, resampled
from tests.fixtures.clips import frame_times, read_clip

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "v1"


@pytest.mark.parametrize("name", sorted(folder.name for folder in GOLDEN.iterdir()))
def test_pictures_at_frame_times_are_the_frames(name):
    data = (GOLDEN / name / "stream.nvc").read_bytes()
    with nvcodec.open(data, device="cpu") as video:
        whole, times = video.planes(range(len(video))), frame_times(video)
    with nvcodec.open(data, device="cpu") as video:
        for shown, plane in zip(video.planes_at(times), (whole.y, whole.u, whole.v), strict=True):
            assert np.array_equal(shown, plane)
        # In any order, at another size, and between frames.
        size = (2 * video.info.width - 1, video.info.height + 3)
        middle = (times[0] + times[1]) / 2
        y, u, _ = video.planes_at([times[-1], middle, times[0]], size)
        assert y.shape == (3, *size[::-1]) and u.shape == (3, (size[1] + 1) // 2, size[0] // 2 + 1)
        filtered = resampled((whole.y[[-1, 0]], whole.u, whole.v), size[::-1], video.device)[0]
        off = np.abs(y[[0, 2]].astype(int) - filtered)
        # Networks of points are evaluated at the other size; pictures of others are resampled.
        assert off.mean() < 5 if name.startswith("ngp") else not off.any()
        # Decoding in order gives the same pictures.
        played = [part.y for part in video.frames(size=size)]
        assert np.array_equal(np.concatenate(played)[[-1, 0]], y[[0, 2]])
        assert video.pictures_at([middle]).shape == (1, video.info.height, video.info.width, 3)
        assert video.warnings == []


@pytest.mark.parametrize(
    "name", ["hnerv-yuv420", "nerv-boosted-yuv420", "nirvana-rgb", "ngp-yuv420"]
)
def test_networks_between_frames(name):
    with nvcodec.open((GOLDEN / name / "stream.nvc").read_bytes(), device="cpu") as video:
        times, whole = frame_times(video), video.planes(range(2)).y.astype(float)
        steps = [times[0] + Fraction(n, 8) * (times[1] - times[0]) for n in range(9)]
        y = video.planes_at(steps)[0].astype(float)
        assert np.array_equal(y[[0, 8]], whole)
        # Pictures move steadily from one frame to the other, and stay close to a cross-fade.
        away = [np.abs(picture - whole[0]).mean() for picture in y]
        assert away == sorted(away) and away[1] < away[4] < away[7]
        assert (
            np.abs(
                y - np.linspace(0, 1, 9)[:, None, None] * (whole[1] - whole[0]) - whole[0]
            ).mean()
            < 3
        )


def sliding(t: int, width: int, height: int) -> np.ndarray:
    """Return a picture of clouds that move to the left by two samples per frame."""
    chance = np.random.default_rng(3)
    spectrum = np.fft.rfft2(chance.normal(size=(height, 256)))
    y, x = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(256)
    clouds = np.fft.irfft2(spectrum / (0.003 + x**2 + y**2) ** 0.75, s=(height, 256))
    levels = np.clip(128 + 45 * clouds / clouds.std(), 0, 255).astype(np.uint8)
    return np.repeat(levels[:, 2 * t : 2 * t + width, None], 3, axis=2)


def test_latentgrid_interpolates_motion(encode_once, make_clip, settings):
    size = (96, 48)
    clip = make_clip(
        "even.mkv", frames=5, size=size, codec="ffv1", picture=lambda t, w, h: sliding(2 * t, w, h)
    )
    config = settings(model="latentgrid", parameters=None, lmbda=2.0, epochs=2, segment=5)
    with nvcodec.open(encode_once("sliding.nvc", clip, config), device="cpu") as video:
        times = frame_times(video)
        gap = times[1] - times[0]
        decoded = video.planes(range(5))
        odd = read_clip(
            make_clip("odd.mkv", frames=4, size=size, codec="ffv1",
                      picture=lambda t, w, h: sliding(2 * t + 1, w, h))
        )[0].y  # fmt: skip
        between = video.planes_at([time + gap / 2 for time in times[:-1]])[0]
        cross_faded = [
            blended(*((decoded.y[n : n + 1],) * 3 for n in (t, t + 1)), 0.5)[0][0] for t in range(4)
        ]
        moved, faded = (
            np.mean([psnr(a[None], b[None])[0] for a, b in zip(odd, pictures, strict=True)])
            for pictures in (between, cross_faded)
        )
        assert moved > faded + 3
        # The later a picture, the farther it is from the first frame.
        steps = video.planes_at([times[2] + gap * Fraction(n, 4) for n in range(5)])[0].astype(int)
        away = [float(np.abs(step - steps[0]).mean()) for step in steps]
        assert away == sorted(away) and away[0] == 0 < away[1]


class PlainSegmentDecoder:
    """Decoder of a segment that returns given frames and counts the requests."""

    batch = 2

    def __init__(self, frames: np.ndarray) -> None:
        self._luma = frames
        self._cross_fade = CrossFade(self.planes, self.batch)
        self.requested: list[int] = []

    def planes(self, frames):
        self.requested += frames
        chroma = np.full((len(frames), 16, 24), 128, np.uint8)
        return self._luma[list(frames)], chroma, chroma

    def interpolate(self, times, size):
        return resampled(self._cross_fade(times), size, nvcodec.device.choose_device("cpu"))

    def reference_state(self):
        raise AssertionError("nothing is predicted")


@pytest.fixture
def two_shots(stream, monkeypatch):
    """Open three segments of four frames; the last segment begins a second shot."""
    luma = np.stack(
        [sliding(t, 48, 32)[..., 0] if t < 8 else 255 - sliding(60 + t, 48, 32)[::-1, :, 0]
         for t in range(12)]
    )  # fmt: skip
    opened: dict[int, PlainSegmentDecoder] = {}

    def open_segment_decoder(stored, header, device, *, number, previous, fsq_indices):
        opened[number] = PlainSegmentDecoder(luma[stored.first_frame : stored.first_frame + 4])
        return opened[number]

    monkeypatch.setattr(segment_cache, "open_segment_decoder", open_segment_decoder)
    with nvcodec.open(stream, device="cpu") as video:
        yield video, luma, opened


def test_across_segments_and_cuts(two_shots):
    video, luma, _ = two_shots
    times = frame_times(video)
    middles = [(times[n] + times[n + 1]) / 2 for n in (3, 7)]
    y, *_ = video.planes_at(middles)
    assert np.abs(y[0] - (luma[3].astype(int) + luma[4]) / 2).max() <= 0.5
    assert np.array_equal(y[1], luma[7])
    outside = video.planes_at([times[0] - 9, times[-1] + 9])[0]
    assert np.array_equal(outside, luma[[0, 11]])


def test_playback_decodes_every_frame_once(two_shots):
    video, luma, opened = two_shots
    times = frame_times(video)
    for decoder in opened.values():
        decoder.requested.clear()
    gap = times[1] - times[0]
    y, *_ = video.planes_at([times[0] + n * gap / 2 for n in range(24)])
    assert np.array_equal(y[::2], luma)
    assert max(decoder.requested.count(n) for decoder in opened.values() for n in range(4)) == 1


def test_nearest_frame_is_held_where_an_open_segment_fails(two_shots, monkeypatch):
    video, luma, opened = two_shots
    times = frame_times(video)

    def fail(*arguments):
        raise BitstreamError("the body is malformed")

    monkeypatch.setattr(opened[0], "interpolate", fail)
    asked = [times[1], (times[3] + times[4]) / 2, times[5]]
    assert np.array_equal(video.planes_at(asked)[0], luma[[4, 4, 5]])
    assert [line for line in video.warnings if "frames 0..3" in line]
    monkeypatch.setattr(opened[2], "interpolate", fail)
    assert np.array_equal(video.planes_at([(times[7] + times[8]) / 2])[0][0], luma[7])


def damaged(stream: Path, segments: list[int]) -> bytes:
    """Return a file with a flipped bit in some of its segments."""
    data = bytearray(stream.read_bytes())
    with Reader(bytes(data)) as reader:
        for number in segments:
            entry = reader.segments[number]
            data[entry.offset + entry.size - 40] ^= 4
    return bytes(data)


def test_a_damaged_segment_keeps_no_pictures_alive(stream):
    with nvcodec.open(stream, device="cpu") as video:
        times = [frame_times(video)[4]] * 4
    size = (640, 360)
    with nvcodec.open(damaged(stream, [1]), device="cpu") as video:
        video.planes_at(times, size)
        gc.collect()
        tracemalloc.start()
        try:
            for _ in range(5):
                pictures = video.planes_at(times, size)
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held < 1.5 * sum(plane.nbytes for plane in pictures)


@pytest.mark.parametrize(("lost", "held"), [([1], 3), ([0], 4), ([2], 7), ([0, 1], 8)])
def test_nearest_frame_is_held_over_damage(stream, lost, held, tmp_path):
    with nvcodec.open(stream, device="cpu") as video:
        times, whole = frame_times(video), video.planes(range(12)).y
    gap = times[1] - times[0]
    with nvcodec.open(damaged(stream, lost), device="cpu") as video:
        for number in lost:
            for time in (times[4 * number], times[4 * number + 3] + gap / 3):
                assert np.array_equal(video.planes_at([time])[0][0], whole[held])
        assert len(video.warnings) == len(lost)
        assert all(f"frames {4 * n}..{4 * n + 3}" in " ".join(video.warnings) for n in lost)
        if lost == [1]:
            # The frame before the damage is not cross-faded with anything.
            assert np.array_equal(video.planes_at([times[3] + gap / 2])[0][0], whole[3])
    path = tmp_path / "damaged.nvc"
    path.write_bytes(damaged(stream, lost))
    decoded = nvcodec.decode(path, tmp_path / "out.mkv", fps=50)
    assert decoded.frames == 24 - 8 * ((0 in lost) + (2 in lost) + (1 in lost and 0 in lost))
    assert any("frames" in line for line in decoded.warnings)


def test_files_without_a_readable_segment(stream, tmp_path):
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
    # At 30 frames per second in milliseconds, a rounded frame time still means the frame.
    ticks = [0, 33, 67, 100]
    assert [position(Fraction(1000 * n, 30), ticks) for n in range(4)] == [0, 1, 2, 3]
    # Where a frame lasts one tick, half a tick is half-way between frames.
    assert position(Fraction(1, 2), [0, 1]) == 0.5
