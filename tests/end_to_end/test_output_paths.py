"""Outputs to links, FIFOs, devices and existing files, and names of files that break other tools."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import logging
import os
import socket
import stat
import sys
import threading
from pathlib import Path

import pytest

import nvcodec
from nvcodec.cli import main
from nvcodec.errors import ConfigError, OutputExistsError, VideoError
from nvcodec.tokens import open_tokens
from nvcodec.tokens.files import load_ids
from nvcodec.video import open_source
from tests.fixtures.commands import run_here

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nodes and names of POSIX")

GOLDEN = Path(__file__).parents[1] / "golden" / "v1"
STREAM = GOLDEN / "nerv-yuv420" / "stream.nvc"
TOKENS = GOLDEN / "nerv-tokens-yuv420" / "stream.nvc"
BYTES = os.fsdecode(b"caf\xe9")  # a name that is not UTF-8
LONG = "é" * 30 + "x" * 191  # 251 bytes, 255 with a suffix


@pytest.fixture
def without_log():
    """Log nothing: pytest-xdist cannot pass on names that are not UTF-8."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def _nodes(folder: Path) -> dict[str, int]:
    """Return the kind of every node in a folder."""
    return {path.name: stat.S_IFMT(path.lstat().st_mode) for path in folder.iterdir()}


def _device(folder: Path) -> Path:
    """Return a device like `/dev/null`; for root a new one, so that no fault can replace that one."""
    if os.geteuid():
        return Path("/dev/null")
    path = folder / "device"
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        path.write_bytes(b"")
    except OSError:
        pytest.skip("no device can be made here")
    return path


def _read_fifo(path: Path) -> tuple[threading.Thread, list[bytes]]:
    """Make a FIFO, and a thread that reads it to its end."""
    os.mkfifo(path)
    content: list[bytes] = []
    thread = threading.Thread(target=lambda: content.append(path.read_bytes()))
    thread.start()
    return thread, content


@pytest.mark.parametrize("ladder", [None, (300, 600)])
def test_an_encode_to_a_fifo_or_device_is_refused_before_fitting(clip, tmp_path, settings, ladder):
    config = settings(parameters=None, ladder=ladder) if ladder else settings()
    encode = nvcodec.encode_ladder if ladder else nvcodec.encode
    device, link, fifo = _device(tmp_path), tmp_path / "link", tmp_path / "fifo.nvc"
    link.symlink_to(device)
    os.mkfifo(fifo)
    before = _nodes(tmp_path)
    for target in (device, link, fifo):
        for overwrite in (False, True):
            with pytest.raises(VideoError, match="is a FIFO or device"):
                encode(clip, target, config, overwrite=overwrite)
    assert _nodes(tmp_path) == before and stat.S_ISCHR(device.stat().st_mode)


def test_what_nothing_can_be_written_to(clip, tmp_path, settings):
    reasons = {"loop": "symbolic links", "lost": "absent", "socket": "a socket"}
    with contextlib.ExitStack() as stack:
        for suffix in (".nvc", ".y4m", ".mkv", ""):
            (tmp_path / f"loop{suffix}").symlink_to(f"loop{suffix}")
            (tmp_path / f"lost{suffix}").symlink_to("absent/a")
            unix = stack.enter_context(socket.socket(socket.AF_UNIX))
            unix.bind(str(tmp_path / f"socket{suffix}"))
        before = _nodes(tmp_path)
        for target in sorted(tmp_path.iterdir()):
            for overwrite in (False, True):
                with pytest.raises(VideoError, match=f"written: .*{reasons[target.stem]}"):
                    if target.suffix == ".nvc":
                        nvcodec.encode(clip, target, settings(), overwrite=overwrite)
                    else:
                        nvcodec.decode(STREAM, target, overwrite=overwrite)
        assert _nodes(tmp_path) == before


def test_encodes_follow_links(clip, stream, tmp_path, settings, interrupt):
    (tmp_path / "there").mkdir()
    link, real = tmp_path / "link.nvc", tmp_path / "there" / "real.nvc"
    link.symlink_to("there/real.nvc")  # which does not exist yet
    interrupt(clip, link, settings(), 1)
    assert sorted(_nodes(real.parent)) == ["real.nvc.partial", "real.nvc.partial.json"]
    report = nvcodec.encode(clip, link, settings(), resume=True, measure=False)
    assert report.file == str(link) and real.read_bytes() == stream.read_bytes()
    with pytest.raises(OutputExistsError):
        nvcodec.encode(clip, link, settings())
    real.write_bytes(b"old")
    nvcodec.encode(clip, link, settings(), overwrite=True, measure=False)
    assert real.read_bytes() == stream.read_bytes()
    assert link.is_symlink() and _nodes(real.parent) == {"real.nvc": stat.S_IFREG}
    (tmp_path / "b-3kB.nvc").symlink_to("there/c.nvc")
    (tmp_path / "b-4kB.nvc").symlink_to("there/c.nvc")
    ladder = settings(parameters=None, ladder=(3000, 4000))
    with pytest.raises(ConfigError, match="two targets lead to the same file"):
        nvcodec.encode_ladder(clip, tmp_path / "b.nvc", ladder)


@pytest.mark.parametrize("name", ["out.mkv", "out.mp4", "out.y4m", "pictures"])
def test_decodes_follow_links(tmp_path, name):
    (tmp_path / "there").mkdir()
    link, real = tmp_path / name, tmp_path / "there" / "real"
    link.symlink_to("there/real")
    count = nvcodec.decode(STREAM, link).frames
    with pytest.raises(OutputExistsError):
        nvcodec.decode(STREAM, link)
    assert nvcodec.decode(STREAM, link, overwrite=True).path == link
    assert link.is_symlink() and list(_nodes(real.parent)) == ["real"]
    with open_source(link) as source:
        assert len(source.read(100)) == count


def test_decodes_to_fifos_and_devices(tmp_path):
    nvcodec.decode(STREAM, tmp_path / "a.y4m")
    expected = (tmp_path / "a.y4m").read_bytes()
    for name in ("fifo", "fifo.y4m"):
        reader, content = _read_fifo(tmp_path / name)
        nvcodec.decode(STREAM, tmp_path / name)
        reader.join()
        assert content == [expected]
    device, link = _device(tmp_path), tmp_path / "link"
    link.symlink_to(device)
    for target in (device, link):
        assert nvcodec.decode(STREAM, target, overwrite=True).frames
    os.mkfifo(tmp_path / "fifo.mkv")
    with pytest.raises(VideoError, match=r"FIFO or device, through which only \.y4m"):
        nvcodec.decode(STREAM, tmp_path / "fifo.mkv", overwrite=True)
    assert stat.S_ISCHR(device.stat().st_mode) and link.is_symlink()
    assert all((tmp_path / f"fifo{suffix}").is_fifo() for suffix in ("", ".y4m", ".mkv"))
    assert len(_nodes(tmp_path)) == 5 + (device.parent == tmp_path)


def test_tokens_to_links_and_fifos(tmp_path):
    link, real = tmp_path / "link.npy", tmp_path / "real.npy"
    link.symlink_to("real.npy")
    assert run_here(["tokens", TOKENS, "-o", link]).returncode == 0
    assert link.is_symlink() and load_ids(real).size
    assert "exists" in run_here(["tokens", TOKENS, "-o", link]).stderr
    reader, content = _read_fifo(tmp_path / "fifo.npy")
    assert run_here(["tokens", TOKENS, "-o", tmp_path / "fifo.npy", "-y"]).returncode == 0
    reader.join()
    assert content == [real.read_bytes()]
    assert (tmp_path / "fifo.npy").is_fifo()
    assert "expected a name" in run_here(["tokens", TOKENS, "-o", "/dev/null", "-y"]).stderr


def test_permissions_of_files(clip, tmp_path, settings):
    """A new file follows the umask; a file that is replaced hands on what it had."""
    before = os.umask(0o027)
    try:
        for overwrite, mode in ((False, 0o640), (True, 0o604)):
            for target in (tmp_path / "a.y4m", tmp_path / "a.mkv"):
                nvcodec.decode(STREAM, target, overwrite=overwrite)
                assert stat.S_IMODE(target.stat().st_mode) == mode
                target.chmod(0o604)
            encoded, tokens = tmp_path / "a.nvc", tmp_path / "a.npy"
            nvcodec.encode(clip, encoded, settings(), overwrite=overwrite, measure=False)
            run_here(["tokens", TOKENS, "-o", tokens, "-y"])
            for target in (encoded, tokens):
                assert stat.S_IMODE(target.stat().st_mode) == mode
                target.chmod(0o604)
        nvcodec.decode(STREAM, tmp_path / "pictures")
        (tmp_path / "pictures").chmod(0o705)
        nvcodec.decode(STREAM, tmp_path / "pictures", overwrite=True)
        assert stat.S_IMODE((tmp_path / "pictures").stat().st_mode) == 0o705
    finally:
        os.umask(before)


@pytest.mark.parametrize("stem", [BYTES, LONG], ids=["not UTF-8", "long"])
@pytest.mark.usefixtures("without_log")
def test_names(clip, stream, tmp_path, settings, interrupt, stem):
    source = tmp_path / f"{stem}.mp4"
    source.write_bytes(clip.read_bytes())
    target = tmp_path / f"{stem}.nvc"
    interrupt(source, target, settings(), 1)
    left = set(os.listdir(tmp_path)) - {source.name}
    assert {Path(name).suffix for name in left} == {".partial", ".json"}
    with pytest.raises(OutputExistsError, match="--resume"):
        nvcodec.encode(source, target, settings())
    nvcodec.encode(source, target, settings(), resume=True, measure=False)
    assert target.read_bytes() == stream.read_bytes()
    assert set(os.listdir(tmp_path)) == {source.name, target.name}
    for name in (f"{stem}.mkv", f"{stem}.y4m", stem):
        nvcodec.decode(target, tmp_path / name)
        nvcodec.decode(target, tmp_path / name, overwrite=True)
        assert nvcodec.compare(clip, tmp_path / name).quality.frames == 12
    assert len(os.listdir(tmp_path)) == 5


@pytest.mark.usefixtures("without_log")
def test_names_on_the_command_line(clip, tmp_path, monkeypatch, measured_here):
    """The streams of a process hold bytes; those of stdout are strict."""
    (tmp_path / f"{BYTES}.mp4").write_bytes(clip.read_bytes())
    monkeypatch.chdir(tmp_path)
    common = "--model nerv --epochs 1 --segment 6 --bpp 3 --device cpu"
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
    codes = []
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        for line in (
            f"encode {BYTES}.mp4 -o {BYTES}.nvc {common}",
            f"encode {BYTES}.mp4 -o {BYTES}.nvc {common} -y --json --frames 0:6",
            f"encode {BYTES}.mp4 -o {BYTES}.nvc {common}",
            f"decode {BYTES}.nvc -o {BYTES}.mkv",
            f"decode {BYTES}.nvc -o {BYTES}.y4m --json",
            f"info {BYTES}.nvc",
        ):
            codes.append(main(line.split()))
    assert codes == [0, 0, 1, 0, 0, 0]
    out.flush()
    err.flush()
    lines, said = out.buffer.getvalue().splitlines(), err.buffer.getvalue()
    assert lines[0].startswith(b"caf\xe9.nvc: ") and b"caf\\udce9.nvc exists" in said
    reports = [json.loads(line) for line in lines if line.startswith(b"{")]
    assert [report["file"] for report in reports] == [f"{BYTES}.nvc", f"{BYTES}.y4m"]


@pytest.mark.usefixtures("without_log")
def test_tokens_of_a_name_that_is_not_utf8(tmp_path):
    source = tmp_path / f"{BYTES}.nvc"
    source.write_bytes(TOKENS.read_bytes())
    with open_tokens(source) as reader:
        assert reader.file_bytes
    for suffix in (".safetensors", ".jsonl"):
        assert run_here(["tokens", source, "-o", tmp_path / f"a{suffix}"]).returncode == 0
        content = (tmp_path / f"a{suffix}").read_bytes()
        assert b"caf\\\\xe9.nvc" in content
        content.decode("utf-8" if suffix == ".jsonl" else "latin-1")


@pytest.mark.parametrize("has_links", [True, False])
def test_a_target_that_appears_at_the_last_moment(clip, tmp_path, settings, monkeypatch, has_links):
    """Between the last check and the rename, with and without hard links on the filesystem."""
    target, real = tmp_path / "a.nvc", os.link

    def appear(old: Path, new: Path) -> None:
        target.write_bytes(b"precious")
        if not has_links:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        real(old, new)

    monkeypatch.setattr(os, "link", appear)
    with pytest.raises(OutputExistsError, match="appeared"):
        nvcodec.encode(clip, target, settings(segment=12), measure=False)
    assert target.read_bytes() == b"precious"
    assert set(_nodes(tmp_path)) == {"a.nvc", "a.nvc.partial", "a.nvc.partial.json"}
    target = tmp_path / "a.y4m"
    with pytest.raises(OutputExistsError, match="exists"):
        nvcodec.decode(STREAM, target)
    assert target.read_bytes() == b"precious" and len(_nodes(tmp_path)) == 4
