"""Pipes as inputs and outputs of the command line and of the library."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

import nvcodec
from nvcodec.cli.progress_bars import EncodeBar
from nvcodec.errors import ConfigError, OutputExistsError, VideoError
from nvcodec.video import open_source
from tests.fixtures.commands import piped, run_here, run_piped
from tests.fixtures.encodes import quick

GOLDEN = Path(__file__).parents[1] / "golden" / "v1"
STREAM = GOLDEN / "latentgrid-yuv420" / "stream.nvc"
ENCODE = ["--model", "nerv", "--epochs", "1", "--bpp", "8", "--device", "cpu"]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which pipes are kept."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def y4m(tmp_path: Path) -> bytes:
    """Return a y4m stream of five frames of 35x17."""
    nvcodec.decode(STREAM, tmp_path / "source.y4m", device="cpu")
    return (tmp_path / "source.y4m").read_bytes()


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.nut"])
def test_an_encode_from_a_pipe_is_that_of_the_file(name, make_clip, tmp_path, temporary):
    clip = make_clip(name, frames=2, size=(32, 24), codec="mpeg4", audio=["mp2"])
    target, expected = tmp_path / "piped.nvc", tmp_path / "file.nvc"
    with piped(clip.read_bytes()) as descriptor, os.fdopen(os.dup(descriptor), "rb") as file:
        nvcodec.encode(file, target, quick(model="nerv"), measure=False)
    nvcodec.encode(clip, expected, quick(model="nerv"), measure=False)
    assert target.read_bytes() == expected.read_bytes()
    assert list(temporary.iterdir()) == []


def test_a_command_encodes_standard_input(tmp_path, temporary, y4m, measured_here):
    target, expected = tmp_path / "piped.nvc", tmp_path / "file.nvc"
    done = run_piped(["encode", "-", "-o", target, "--json", *ENCODE], y4m)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["psnr_y"] is not None
    done = run_here(["encode", tmp_path / "source.y4m", "-o", expected, *ENCODE])
    assert done.returncode == 0 and target.read_bytes() == expected.read_bytes()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("missing", [0, 1, 900])
def test_a_pipe_that_ends_too_early_is_said_to(missing, tmp_path, y4m):
    # The program that writes it may have failed.
    report = nvcodec.encode(
        io.BytesIO(y4m[: len(y4m) - missing]), tmp_path / "a.nvc", quick(), measure=False
    )
    assert report.frames == 5 - bool(missing)
    assert ["ends inside" in line for line in report.warnings] == [True] * bool(missing)


def test_pipes_that_have_names(tmp_path, temporary, y4m):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(y4m,))
    writer.start()
    first = nvcodec.encode(fifo, tmp_path / "a.nvc", quick(), measure=False)
    writer.join()
    with piped(y4m) as descriptor:
        name = f"/dev/fd/{descriptor}"
        again = run_here(
            ["compare", name, tmp_path / "a.nvc", "--json", "--device", "cpu", "--frames", "0:5"]
        )
    assert again.returncode == 0, again.stderr
    assert first.frames == json.loads(again.stdout)["frames"] == 5
    assert list(temporary.iterdir()) == []


def test_a_pipe_that_is_opened_more_than_once_is_refused(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(VideoError, match="found a pipe; save it to a file first"):
        open_source(fifo)


def test_an_encode_from_a_pipe_is_resumed_with_the_same_content(
    clip, stream, tmp_path, temporary, settings, interrupt
):
    data, target = clip.read_bytes(), tmp_path / "a.nvc"
    interrupt(io.BytesIO(data), target, settings(), 1)
    assert "nvcodec-" not in target.with_name("a.nvc.partial.json").read_text()
    with pytest.raises(ConfigError, match="another video"):
        nvcodec.encode(io.BytesIO(data + b"\0"), target, settings(), resume=True)
    nvcodec.encode(io.BytesIO(data), target, settings(), resume=True, measure=False)
    assert target.read_bytes() == stream.read_bytes()
    # A target in the way is found before the pipe is read, which cannot be taken back.
    source = io.BytesIO(data)
    with pytest.raises(OutputExistsError):
        nvcodec.encode(source, target, settings())
    assert source.tell() == 0 and list(temporary.iterdir()) == []


def test_decode_info_and_compare_read_pipes(tmp_path, temporary, y4m):
    data = STREAM.read_bytes()
    done = run_piped(["info", "-", "--json"], data)
    info = json.loads(done.stdout)
    assert (info["file"], info["frames"], info["bytes"]) == ("-", 5, len(data))
    done = run_piped(["decode", "-", "-o", "-", "--device", "cpu"], data)
    assert done.returncode == 0 and done.stdout == y4m, done.stderr
    source, compared = tmp_path / "source.y4m", ["--json", "--device", "cpu"]
    first = run_piped(["compare", "-", STREAM, *compared], y4m)
    second = run_piped(["compare", source, "-", *compared], data)
    for done in (first, second):
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["bytes"] == len(data) and report["frames"] > 0
        # The frames of y4m are evenly spaced, those of the file are not.
        assert b"standard input" in done.stderr and b"nvcodec-" not in done.stderr
    assert run_piped(["compare", "-", "-"]).returncode == 2
    stored = (GOLDEN / "nerv-tokens-yuv420" / "stream.nvc").read_bytes()
    done = run_piped(["tokens", "-", "--json"], stored)
    assert done.returncode == 0 and json.loads(done.stdout)["file_bytes"] == len(stored)
    assert list(temporary.iterdir()) == []


def test_the_reader_of_a_path_takes_pipes(y4m):
    with piped(STREAM.read_bytes()) as descriptor:
        assert nvcodec.inspect(f"/dev/fd/{descriptor}").frames == 5
    with piped(STREAM.read_bytes()) as descriptor, nvcodec.open(f"/dev/fd/{descriptor}") as video:
        assert video[4].shape == (17, 35, 3)


def test_standard_output_holds_only_the_stream(
    tmp_path, temporary, y4m, measured_here, monkeypatch
):
    def update(self: EncodeBar, progress: nvcodec.Progress) -> None:
        print("noise")  # noqa: T201

    monkeypatch.setattr(EncodeBar, "update", update)
    expected = tmp_path / "a.nvc"
    assert run_piped(["encode", "-", "-o", expected, *ENCODE], y4m).returncode == 0
    done = run_piped(["encode", "-", "-o", "-", "--json", *ENCODE], y4m)
    assert done.returncode == 0 and done.stdout == expected.read_bytes(), done.stderr
    lines = done.stderr.decode().splitlines()
    report = json.loads(lines[-1])
    assert "noise" in lines and report["file"] == "-"
    assert report["bytes"] == len(done.stdout) and report["psnr_y"] is not None
    assert list(temporary.iterdir()) == []
    # A decode says what y4m cannot hold, and with -q nothing.
    loud = run_piped(["decode", STREAM, "-o", "/dev/stdout", "--device", "cpu"])
    quiet = run_piped(["decode", STREAM, "-o", "-", "-q", "--device", "cpu"])
    assert loud.stdout == quiet.stdout == y4m and quiet.stderr == b""
    assert loud.stderr.count(b"tracks are not stored") == 1


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_the_reader_of_standard_output_may_leave(command, tmp_path, temporary, y4m):
    source = tmp_path / "source.y4m" if command == "encode" else STREAM
    options = ENCODE if command == "encode" else ["--device", "cpu"]
    done = run_piped([command, source, "-o", "-", "-q", *options], reader_leaves=True)
    assert (done.returncode, done.stderr) == (1, b"")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["encode", "-", "-o", "-", "--resume"], "expected a file to go on with"),
        (["encode", "-", "-o", "-", "--ladder", "1kB,2kB"], "name a file"),
        (["encode", "-", "-o", "a.nvc"], "standard input: expected a video file, found an empty"),
        (["decode", STREAM, "-o", "-", "--encoder", "ffv1"], "not to a pipe"),
        (["decode", "-", "-o", "-"], "byte 0"),
    ],
)
def test_what_cannot_work_is_refused(arguments, reason, tmp_path, temporary, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run_piped(arguments)
    (line,) = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (1, b"") and reason in line
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]
    assert list(temporary.iterdir()) == []


def test_terminals_are_refused(tmp_path, monkeypatch):
    leader, follower = os.openpty()
    try:
        with os.fdopen(os.dup(follower), "r") as terminal, monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", terminal)
            done = run_here(["info", "-"])
        assert done.returncode == 1 and "found a terminal" in done.stderr
        with os.fdopen(os.dup(follower), "w") as terminal:
            for command in (["decode", STREAM], ["encode", "absent.mp4"]):
                stderr = io.StringIO()
                with monkeypatch.context() as patch:
                    patch.setattr(sys, "stdout", terminal)
                    patch.setattr(sys, "stderr", stderr)
                    assert nvcodec_main([*map(str, command), "-o", "-"]) == 1
                (line,) = stderr.getvalue().splitlines()
                assert "not written to a terminal" in line
    finally:
        os.close(leader)
        os.close(follower)


def nvcodec_main(arguments: list[str]) -> int:
    from tests.fixtures import commands

    with commands._own_process_state():
        return commands.main(arguments)


def test_a_full_disk(temporary):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(VideoError, match=r"cannot be kept in .*temporary: .*TMPDIR"):
            nvcodec.compare(io.BytesIO(bytes(3 << 20)), STREAM)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(temporary.iterdir()) == []
    temporary.rmdir()
    with pytest.raises(VideoError, match="TMPDIR"):
        nvcodec.compare(io.BytesIO(bytes(9)), STREAM)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_leave_nothing(number, tmp_path, temporary, y4m, monkeypatch):
    def update(self: EncodeBar, progress: nvcodec.Progress) -> None:
        assert list(temporary.iterdir())
        signal.raise_signal(number)

    monkeypatch.setattr(EncodeBar, "update", update)
    done = run_piped(["encode", "-", "-o", "-", *ENCODE], y4m)
    assert (done.returncode, done.stdout) == (130, b"")
    assert b"interrupted" in done.stderr and b"--resume" not in done.stderr
    assert list(temporary.iterdir()) == []


def test_file_objects_of_the_library(tmp_path, y4m):
    made, pictures = io.BytesIO(), io.BytesIO()
    report = nvcodec.encode(io.BytesIO(y4m), made, quick(), measure=False)
    assert (report.file, report.bytes, report.frames) == ("-", len(made.getvalue()), 5)
    made.seek(0)
    decoded = nvcodec.decode(made, pictures, device="cpu")
    assert (str(decoded.path), decoded.frames) == ("-", 5)
    (tmp_path / "b.y4m").write_bytes(pictures.getvalue())
    with open_source(tmp_path / "b.y4m") as source, nvcodec.open(made.getvalue()) as video:
        assert np.array_equal(source.read(9).y, video.planes(range(5)).y)
