"""`Decoder`: iteration, indexing, batches, times, and kinds of sources."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest

import nvcodec
from nvcodec.decoding import segment_cache
from nvcodec.errors import BitstreamError, NvcodecError
from nvcodec.reconstruction import network_decoder


@pytest.fixture
def video(stream):
    with nvcodec.open(stream, device="cpu") as video:
        yield video


@pytest.fixture
def pictures(video) -> np.ndarray:
    return np.stack(list(video))


def test_iteration(video, pictures):
    assert len(video) == 12
    assert pictures.shape == (12, 32, 48, 3) and pictures.dtype == np.uint8
    assert len({picture.tobytes() for picture in pictures}) == 12
    assert (np.stack(list(video)) == pictures).all()


def test_numbers(video, pictures):
    for number in (0, 3, 4, 11, -1, -12, np.int64(7)):
        assert video[number].shape == (32, 48, 3)
        assert (video[number] == pictures[number]).all()


@pytest.mark.parametrize(
    "part", [slice(None), slice(2, 9), slice(-3, None), slice(None, None, -1), slice(1, 11, 4),
             slice(5, 5), slice(8, 99)]
)  # fmt: skip
def test_slices(video, pictures, part):
    assert video[part].shape == pictures[part].shape
    assert (video[part] == pictures[part]).all()


@pytest.mark.parametrize("numbers", [[5], [11, 0, 6, 1], [3, 3, -1, 3, 11], [], range(2, 10, 3)])
def test_lists_in_any_order(video, pictures, numbers):
    found = video[numbers]
    assert found.shape == (len(numbers), 32, 48, 3)
    assert all((a == pictures[n]).all() for a, n in zip(found, numbers, strict=True))


@pytest.mark.parametrize("number", [12, -13, 10**9, [0, 12], [-13], -(10**12)])
def test_numbers_out_of_range(video, number):
    with pytest.raises(IndexError):
        video[number]


@pytest.mark.parametrize("bad", ["a", 1.5, None, [0.5]])
def test_indices_of_other_types(video, bad):
    with pytest.raises(TypeError):
        video[bad]


def test_planes(video):
    part = video.planes([7, 0, 7])
    assert part.y.shape == (3, 32, 48) and part.u.shape == (3, 16, 24)
    whole = video.planes(range(12))
    assert (part.y == whole.y[[7, 0, 7]]).all()
    assert part.pts.tolist() == whole.pts[[7, 0, 7]].tolist()
    assert (np.diff(whole.pts) > 0).all() and (whole.durations > 0).all()
    assert len(video.planes([])) == 0


def test_frame_at(video, pictures):
    base = video.info.time_base
    times = [int(tick) * base for tick in video.planes(range(12)).pts]
    for number, time in enumerate(times):
        assert video.frame_number(time) == number
        assert video.frame_number(time + base / 3) == number
        if number:
            assert video.frame_number(time - base / 3) == number - 1
    assert video.frame_number(-5) == 0
    assert video.frame_number(1e6) == 11
    assert video.frame_number(0.1) == 2
    assert (video.frame_at(0.1) == pictures[2]).all()


def test_frames_in_batches(video):
    parts = list(video.frames(3, 10))
    assert sum(len(part) for part in parts) == 7
    assert (np.concatenate([p.y for p in parts]) == video.planes(range(3, 10)).y).all()
    assert list(video.frames(12)) == []


def test_batches_do_not_change_frames(stream, monkeypatch, pictures):
    monkeypatch.setattr(network_decoder, "_BATCH_SAMPLES", 1)
    with nvcodec.open(stream, device="cpu") as video:
        one_by_one = np.stack(list(video))
    difference = np.abs(one_by_one.astype(int) - pictures)
    assert (difference <= 1).mean() >= 0.999


def test_bytes_files_and_pipes(stream, pictures):
    data = stream.read_bytes()
    with nvcodec.open(data) as video:
        assert (video[5] == pictures[5]).all()
    with stream.open("rb") as file, nvcodec.open(file) as video:
        assert (video[5] == pictures[5]).all()

    class UnseekableFile(io.RawIOBase):
        def __init__(self) -> None:
            self._file = io.BytesIO(data)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer) -> int:
            return self._file.readinto(buffer)

    with nvcodec.open(io.BufferedReader(UnseekableFile())) as video:
        assert (video[5] == pictures[5]).all()


def test_weights_are_loaded_once_per_segment(stream, monkeypatch):
    loaded = []
    real = segment_cache.open_segment_decoder

    def opened(stored, *rest, **options):
        loaded.append(stored.payload)
        return real(stored, *rest, **options)

    monkeypatch.setattr(segment_cache, "open_segment_decoder", opened)
    with nvcodec.open(stream, device="cpu") as video:
        for number in (0, 11, 1, 10, 5, 2, 9, 6):
            video[number]
    assert len(loaded) == len(set(loaded)) == 3


@pytest.mark.parametrize("data", [b"", b"RIFF", b"\x8aNVC\r\n\x1a\n", bytes(1000)])
def test_other_files_are_refused(data, tmp_path):
    with pytest.raises(BitstreamError):
        nvcodec.open(data)
    path = tmp_path / "a.nvc"
    path.write_bytes(data)
    for use in (nvcodec.open, nvcodec.inspect, lambda p: nvcodec.decode(p, tmp_path / "o.y4m")):
        with pytest.raises(BitstreamError):
            use(path)
    assert not (tmp_path / "o.y4m").exists()


def test_a_missing_file(tmp_path):
    for use in (nvcodec.open, nvcodec.inspect):
        with pytest.raises((NvcodecError, FileNotFoundError)):
            use(tmp_path / "absent.nvc")


def test_a_decoder_needs_no_libav():
    modules = "nvcodec.decoding.decoder, nvcodec.reconstruction.latentgrid_decoder"
    code = f"import sys, {modules}; assert 'av' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
