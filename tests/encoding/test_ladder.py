"""Ladders: several files from one fit, each complete, and all resumable."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import nvcodec
from nvcodec.api import ladder_paths
from nvcodec.encoding.output_file import OutputFile
from nvcodec.errors import ConfigError, OutputExistsError

SIZES = (3000, 4500, 7000)


class EncodeStoppedBetweenFilesError(Exception):
    pass


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def config(settings) -> nvcodec.EncoderConfig:
    return settings(parameters=None, ladder=SIZES, segment=6, model="nerv")


@pytest.fixture
def whole(shared_folder: Path, clip, config) -> dict[str, bytes]:
    """The files of an uninterrupted encode, as a dictionary of names and contents."""
    folder = shared_folder / "ladder"
    if not folder.exists():
        folder.mkdir()
        nvcodec.encode_ladder(clip, folder / "a.nvc", config, measure=False)
    return contents(folder)


def test_names():
    names = [path.name for path in ladder_paths(Path("x/a.b.nvc"), (50_000, 1_500_000, 77, 10_240))]
    assert names == ["a.b-50kB.nvc", "a.b-1.5MB.nvc", "a.b-77B.nvc", "a.b-10.24kB.nvc"]
    numbers = range(999_000, 1_001_001)
    assert len(set(ladder_paths(Path("a"), numbers))) == len(numbers)


def test_files_of_the_sizes(clip, whole, config, tmp_path, measured_here):
    reports = nvcodec.encode_ladder(clip, tmp_path / "a.nvc", config)
    assert contents(tmp_path) == whole
    assert list(whole) == [path.name for path in tmp_path.iterdir()]
    assert [report.file for report in reports] == [
        str(tmp_path / name) for name in ("a-3kB.nvc", "a-4.5kB.nvc", "a-7kB.nvc")
    ]
    for report, size in zip(reports, SIZES, strict=True):
        assert report.video_bytes == pytest.approx(size, rel=0.06)
        assert report.bytes == os.path.getsize(report.file)
        assert report.frames == 12 and report.segments == 2 and report.psnr_y > 5
        with nvcodec.open(report.file, device="cpu") as video:
            assert len(video) == 12 and len(video.reader.tracks) == 1
            packets = sum(1 for _ in video.reader.packets(0))
        with nvcodec.open(reports[0].file, device="cpu") as video:
            assert packets == sum(1 for _ in video.reader.packets(0))
    assert len({report.parameters for report in reports}) == 1


def test_sizes_in_any_order(clip, whole, config, tmp_path):
    sizes = (SIZES[0], SIZES[2], SIZES[1])
    config = dataclasses.replace(config, ladder=sizes)
    reports = nvcodec.encode_ladder(clip, tmp_path / "a.nvc", config, measure=False)
    assert [Path(report.file).name for report in reports] == [
        "a-3kB.nvc", "a-7kB.nvc", "a-4.5kB.nvc"
    ]  # fmt: skip
    for report, size in zip(reports, sizes, strict=True):
        assert nvcodec.inspect(report.file).video_bytes == pytest.approx(size, rel=0.06)
    assert contents(tmp_path) == whole


def _resumed(clip: Path, folder: Path, config) -> dict[str, bytes]:
    nvcodec.encode_ladder(clip, folder / "a.nvc", config, resume=True, measure=False)
    return contents(folder)


@pytest.mark.parametrize("calls", [1, 2, 3, 4, 5])
def test_an_interruption_between_two_files(clip, whole, config, tmp_path, monkeypatch, calls):
    """The encode is interrupted after so many segments, over all files."""
    real: Callable[..., None] = OutputFile.add
    left = calls

    def add(self: OutputFile, *arguments: object) -> None:
        nonlocal left
        if not left:
            raise EncodeStoppedBetweenFilesError
        left -= 1
        real(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(OutputFile, "add", add)
        with pytest.raises(EncodeStoppedBetweenFilesError):
            nvcodec.encode_ladder(clip, tmp_path / "a.nvc", config)
    partial = [name for name in contents(tmp_path) if name.endswith(".partial")]
    assert len(partial) == min(calls, 3)
    with pytest.raises(OutputExistsError, match="--resume"):
        nvcodec.encode_ladder(clip, tmp_path / "a.nvc", config)
    other = dataclasses.replace(config, ladder=SIZES[:2])
    with pytest.raises(ConfigError, match="other settings"):
        nvcodec.encode_ladder(clip, tmp_path / "a.nvc", other, resume=True)
    assert _resumed(clip, tmp_path, config) == whole


@pytest.mark.parametrize("renamed", [1, 2])
def test_an_interruption_between_two_renames(clip, whole, config, tmp_path, monkeypatch, renamed):
    real, left = os.link, renamed

    def link(old: Path, new: Path) -> None:
        nonlocal left
        if not left:
            raise EncodeStoppedBetweenFilesError
        left -= 1
        real(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", link)
        with pytest.raises(EncodeStoppedBetweenFilesError):
            nvcodec.encode_ladder(clip, tmp_path / "a.nvc", config)
    with pytest.raises(OutputExistsError):
        nvcodec.encode_ladder(clip, tmp_path / "a.nvc", config)
    assert _resumed(clip, tmp_path, config) == whole


def test_what_exists_is_not_touched(clip, whole, config, tmp_path):
    encode_once = tmp_path / "a-4.5kB.nvc"
    encode_once.write_bytes(b"precious")
    with pytest.raises(OutputExistsError):
        nvcodec.encode_ladder(clip, tmp_path / "a.nvc", config)
    with pytest.raises(OutputExistsError):
        nvcodec.encode_ladder(clip, tmp_path / "a.nvc", config, resume=True)
    assert contents(tmp_path) == {encode_once.name: b"precious"}
    nvcodec.encode_ladder(clip, tmp_path / "a.nvc", config, overwrite=True, measure=False)
    assert contents(tmp_path) == whole


def test_nothing_to_resume(clip, config, tmp_path):
    with pytest.raises(ConfigError, match="nothing to resume"):
        nvcodec.encode_ladder(clip, tmp_path / "a.nvc", config, resume=True)
    assert contents(tmp_path) == {}


def test_settings(clip, config, settings, tmp_path):
    for bad in ((), (100, 100), (0,), (5, -5)):
        with pytest.raises(ConfigError):
            settings(parameters=None, ladder=bad)
    with pytest.raises(ConfigError, match="one target"):
        settings(parameters=None, ladder=(100,), bpp=0.1)
    with pytest.raises(ConfigError, match="encode_ladder"):
        nvcodec.encode(clip, tmp_path / "a.nvc", config)
    with pytest.raises(ConfigError, match="a ladder"):
        nvcodec.encode_ladder(clip, tmp_path / "a.nvc", settings())


def test_more_than_a_network_can_use(silent, settings, tmp_path, measured_here):
    config = settings(parameters=None, ladder=(300, 90_000), segment=6, model="nerv")
    reports = nvcodec.encode_ladder(silent, tmp_path / "a.nvc", config)
    assert "cannot use" in " ".join(reports[1].warnings)
    # With step sizes too fine for the range of a symbol, the frames would be ruined.
    assert reports[1].psnr_y > reports[0].psnr_y - 1
