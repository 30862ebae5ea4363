"""Usage errors, names of files that look like something else, URLs, and shell completion."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from nvcodec.errors import VideoError
from nvcodec.video import open_source
from tests.fixtures.commands import run_here

STREAM = Path(__file__).parents[1] / "golden" / "v1" / "nerv-yuv420" / "stream.nvc"


@pytest.mark.parametrize(
    ("arguments", "missing", "example"),
    [
        (["encode"], "INPUT, -o/--output", "nvcodec encode clip.mp4 -o clip.nvc"),
        (["encode", "a.mp4"], ": -o/--output", "nvcodec encode clip.mp4 -o clip.nvc"),
        (["decode", "a.nvc"], ": -o/--output", "nvcodec decode clip.nvc -o clip.mp4"),
        (["compare", "a.mp4"], ": OTHER", "nvcodec compare clip.mp4 clip.nvc"),
        (["info"], "IN.nvc", "nvcodec info clip.nvc"),
        (["play"], "IN.nvc", "nvcodec play clip.nvc"),
        ([], "COMMAND", "nvcodec encode clip.mp4 -o clip.nvc"),
    ],
)
def test_what_is_missing_is_said_in_one_line(arguments, missing, example):
    done = run_here(arguments)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert missing in line and example in line


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("https://example.com/a.mp4", "curl -L https://example.com/a.mp4 | nvcodec"),
        ("rtsp://camera/1", "ffmpeg -i rtsp://camera/1"),
        ("concat:a.ts|b.ts", "ffmpeg -i 'concat:a.ts|b.ts'"),
        ("file:a.mp4", "give the name alone"),
        ("pipe:0", "give - for standard input"),
    ],
)
def test_urls_are_refused_in_a_sentence(name, advice, tmp_path):
    commands = [
        ["encode", name, "-o", "a.nvc"],
        ["encode", STREAM, "--mask", name, "-o", "a.nvc"],
        ["decode", name, "-o", "a.y4m"],
        ["info", name],
        ["compare", name, STREAM],
        ["compare", STREAM, name],
    ]
    for command in commands:
        done = run_here(command, tmp_path)
        (line,) = done.stderr.splitlines()
        assert done.returncode == 1 and name in line and "found a URL" in line and advice in line
    with pytest.raises(VideoError, match="found a URL"):
        open_source(name)
    for command in (["encode", STREAM, "-o", name], ["decode", STREAM, "-o", name]):
        assert "to pipe it on, write to -" in run_here(command, tmp_path).stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a:b", "file:a", "-x", "-"])
def test_names_that_look_like_something_else_are_files(name, make_clip, tmp_path):
    stream, video = f"{name}.nvc", f"{name}.mkv"
    shutil.copyfile(STREAM, tmp_path / stream)
    options = ["--device", "cpu", "-q"]
    done = run_here(["decode", *options, "-o", f"./{video}", "--", stream], tmp_path)
    assert done.returncode == 0, done.stderr
    done = run_here(["compare", *options, "--", video, stream], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == run_here(["compare", f"./{video}", f"./{stream}"], tmp_path).stdout


def test_a_file_that_is_called_as_standard_input_is(tmp_path):
    shutil.copyfile(STREAM, tmp_path / "-")
    assert run_here(["info", "./-"], tmp_path).returncode == 0


def test_shells_complete_commands_options_and_files():
    scripts = {name: run_here(["--print-completion", name]) for name in ("bash", "zsh", "tcsh")}
    for done in scripts.values():
        assert (done.returncode, done.stderr) == (0, "")
        assert "compare" in done.stdout and "preset" in done.stdout
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash to try the script in")
    program = (
        scripts["bash"].stdout
        + "COMP_WORDS=(nvcodec {}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n"
        "$(complete -p nvcodec | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); echo ${{COMPREPLY[@]}}"
    )
    folder = STREAM.parent
    for words, expected in {
        "de": "decode",
        "encode --pres": "--preset",
        "encode --preset sl": "slow",
        "info str": "stream.nvc",
        "encode a -o str": "stream.nvc",
    }.items():
        script = program.replace("{}", words).replace("{{", "{").replace("}}", "}")
        done = subprocess.run(
            [bash, "-c", script], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.stdout.split() == [expected], (words, done)
