"""The command `nvcodec play`, with scripts in place of the players."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import nvcodec
from nvcodec.container import Reader
from tests.fixtures.commands import run_here, run_piped

STREAM = Path(__file__).parents[1] / "golden" / "v1" / "latentgrid-yuv420" / "stream.nvc"


@pytest.fixture
def player(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that makes a script the only player."""
    folder = tmp_path / "bin"
    folder.mkdir()
    system = os.environ["PATH"]
    monkeypatch.setenv("PATH", str(folder))

    def make(name: str, line: str) -> None:
        script = folder / name
        script.write_text(
            f'#!/bin/sh\nPATH="{system}"\ncd "{tmp_path}"\necho "$@" > said\n{line}\n'
        )
        script.chmod(0o755)

    return make


@pytest.mark.parametrize("name", ["ffplay", "mpv"])
def test_a_player_gets_the_pictures(name, player, tmp_path):
    player(name, "cat > got.y4m")
    done = run_here(["play", STREAM, "--device", "cpu"])
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    nvcodec.decode(STREAM, tmp_path / "expected.y4m", device="cpu")
    assert (tmp_path / "got.y4m").read_bytes() == (tmp_path / "expected.y4m").read_bytes()
    said = (tmp_path / "said").read_text().split()
    assert said[-1] == "-" and any("nvcodec" in word for word in said)


def test_a_start_and_standard_input(player, tmp_path):
    player("ffplay", "cat > got.y4m")
    with nvcodec.open(STREAM, device="cpu") as video:
        times = [int(tick) * video.info.time_base for tick in video.planes(range(5)).pts]
    start = float(times[3] - times[0] + (times[4] - times[3]) / 2)
    play = ["play", "-", "--device", "cpu", "--size", "70x34", "--start"]
    done = run_piped([*play, start], STREAM.read_bytes())
    assert done.returncode == 0, done.stderr
    got = (tmp_path / "got.y4m").read_bytes()
    assert got.count(b"FRAME\n") == 2 and got.startswith(b"YUV4MPEG2 W70 H34 ")
    late = run_piped([*play, 60], STREAM.read_bytes())
    assert late.returncode == 1 and b"--start: expected a time before" in late.stderr


def test_a_player_may_be_closed_or_fail(player):
    player("mpv", "exec 0<&-; exit 0")
    assert run_here(["play", STREAM, "-q"]).returncode == 0
    player("mpv", "exit 3")
    done = run_here(["play", STREAM, "-q"])
    assert done.returncode == 1 and "mpv ended with exit code 3" in done.stderr


def test_without_a_player_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = run_here(["play", STREAM])
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and "install FFmpeg or mpv" in line


def test_a_damaged_file_ends_the_player(player, tmp_path):
    player("ffplay", "exec sleep 20")
    bad, data = tmp_path / "bad.nvc", bytearray(STREAM.read_bytes())
    bad.write_bytes(data[:20])
    done = run_here(["play", bad, "--device", "cpu"])
    assert done.returncode == 1 and "error" in done.stderr
    assert not (tmp_path / "said").exists()
    with Reader(STREAM) as reader:
        for segment in reader.segments:
            data[segment.offset + segment.size // 2] ^= 255
    bad.write_bytes(data)
    done = run_here(["play", bad, "--device", "cpu"])
    assert done.returncode == 1 and "none of the frames" in done.stderr
