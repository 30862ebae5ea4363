"""Encode and decode destroy no existing file, and failures leave no partial output."""

from __future__ import annotations

import errno
import resource
from pathlib import Path

import pytest

import nvcodec
from nvcodec.container import writer as writing
from nvcodec.errors import ConfigError, OutputExistsError, VideoError


def _file_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_exists_is_not_touched(clip, tmp_path, settings, interrupt):
    target = tmp_path / "a.nvc"
    target.write_bytes(b"precious")
    with pytest.raises(OutputExistsError):
        nvcodec.encode(clip, target, settings())
    assert _file_names(tmp_path) == ["a.nvc"] and target.read_bytes() == b"precious"
    # An encode that may replace it does not touch it until the new file is finished.
    interrupt(clip, target, settings(), 0, overwrite=True)
    assert _file_names(tmp_path) == ["a.nvc"] and target.read_bytes() == b"precious"
    nvcodec.encode(clip, target, settings(), overwrite=True, measure=False)
    assert nvcodec.inspect(target).complete


def test_what_appears_while_encoding_is_not_touched(clip, stream, tmp_path, settings):
    target, partial = tmp_path / "a.nvc", tmp_path / "a.nvc.partial"

    def appear(progress: nvcodec.Progress) -> None:
        target.write_bytes(b"precious")

    with pytest.raises(OutputExistsError, match="appeared"):
        nvcodec.encode(clip, target, settings(), on_progress=appear)
    assert target.read_bytes() == b"precious"
    assert partial.read_bytes() == stream.read_bytes()
    # The work is not lost: with the name free again, a resumed encode has nothing left to fit.
    target.unlink()
    seen = []
    nvcodec.encode(clip, target, settings(), resume=True, measure=False, on_progress=seen.append)
    assert seen == [] and target.read_bytes() == stream.read_bytes()
    assert _file_names(tmp_path) == ["a.nvc"]


def test_work_that_cannot_be_read_after_a_failure_is_kept(clip, stream, tmp_path, settings):
    """The host has used up its file descriptors: the encode fails, and cannot look what it holds."""
    target = tmp_path / "a.nvc"
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def exhaust(progress: nvcodec.Progress) -> None:
        if progress.segment == 2:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
            (tmp_path / "another").open("wb")

    try:
        with pytest.raises(VideoError, match="Too many open files"):
            nvcodec.encode(clip, target, settings(), on_progress=exhaust)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert _file_names(tmp_path) == ["a.nvc.partial", "a.nvc.partial.json"]
    nvcodec.encode(clip, target, settings(), resume=True, measure=False)
    assert target.read_bytes() == stream.read_bytes()


@pytest.mark.parametrize("name", ["out.mkv", "out.y4m", "pictures"])
def test_what_appears_while_decoding_is_not_touched(stream, tmp_path, name):
    target = tmp_path / name
    precious = target if target.suffix else target / "precious.png"

    def appear(done: int, total: int) -> None:
        precious.parent.mkdir(exist_ok=True)
        precious.write_bytes(b"precious")

    with pytest.raises(OutputExistsError, match="exists"):
        nvcodec.decode(stream, target, on_progress=appear)
    assert precious.read_bytes() == b"precious" and _file_names(tmp_path) == [name]
    assert _file_names(precious.parent) == [precious.name]
    assert nvcodec.decode(stream, target, overwrite=True, on_progress=appear).frames == 12
    assert not precious.exists() or precious.read_bytes() != b"precious"


def test_an_interrupted_encode_is_not_thrown_away_silently(
    clip, tmp_path, settings, stream, interrupt
):
    target, partial = tmp_path / "a.nvc", tmp_path / "a.nvc.partial"
    interrupt(clip, target, settings(), 1)
    content = partial.read_bytes()
    with pytest.raises(OutputExistsError, match="--resume"):
        nvcodec.encode(clip, target, settings())
    assert partial.read_bytes() == content
    nvcodec.encode(clip, target, settings(), overwrite=True, measure=False)
    assert target.read_bytes() == stream.read_bytes()
    assert _file_names(tmp_path) == ["a.nvc"]


def test_failures_leave_nothing(clip, tmp_path, settings):
    source = tmp_path / "in"
    source.mkdir()
    (source / "text.mp4").write_text("no video")
    target = tmp_path / "out" / "a.nvc"
    with pytest.raises(VideoError, match="folder"):
        nvcodec.encode(clip, target, settings())
    target.parent.mkdir()
    for bad in (source / "text.mp4", source / "absent.mp4"):
        with pytest.raises((VideoError, OSError)):
            nvcodec.encode(bad, target, settings())
        assert _file_names(target.parent) == []
    with pytest.raises(VideoError):
        nvcodec.encode(clip, target.parent, settings(), overwrite=True)
    with pytest.raises(ConfigError):
        nvcodec.encode(clip, target, settings(parameters=3))
    assert _file_names(target.parent) == []


@pytest.mark.parametrize("room", [0, 60, 4000])
def test_a_full_disk(clip, stream, tmp_path, settings, monkeypatch, room):
    left = room
    real = writing.Writer._put

    def put(self, data: bytes) -> None:
        nonlocal left
        left -= len(data)
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, data)

    target = tmp_path / "a.nvc"
    with monkeypatch.context() as patch:
        patch.setattr(writing.Writer, "_put", put)
        with pytest.raises((OSError, VideoError), match="No space left"):
            nvcodec.encode(clip, target, settings())
    assert "a.nvc" not in _file_names(tmp_path)
    if room < 1000:
        assert _file_names(tmp_path) == []
    if _file_names(tmp_path):
        nvcodec.encode(clip, target, settings(), resume=True, measure=False)
        assert target.read_bytes() == stream.read_bytes()


def test_a_full_disk_while_decoding(stream, tmp_path, monkeypatch):
    target = tmp_path / "out.y4m"

    def stop(done: int, total: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        nvcodec.decode(stream, target, on_progress=stop)
    assert _file_names(tmp_path) == []
