"""The command line: arguments, output and exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import nvcodec
from nvcodec.models import MODELS
from nvcodec.video import open_source
from tests.fixtures.commands import run_here

ENCODE_FIELDS = [
    "file",
    "bytes",
    "video_bytes",
    "bpp",
    "frames",
    "width",
    "height",
    "fps",
    "model",
    "parameters",
    "macs_per_pixel",
    "psnr_y",
    "psnr_u",
    "psnr_v",
    "psnr_yuv",
    "psnr_rgb",
    "ms_ssim",
    "encode_seconds",
    "decode_seconds",
    "epochs",
    "device",
    "seed",
    "segments",
]
COMPARE_FIELDS = [
    "frames",
    "bytes",
    "bpp",
    "psnr_y",
    "psnr_u",
    "psnr_v",
    "psnr_yuv",
    "psnr_rgb",
    "ms_ssim",
]
# On tiny tensors, several threads only wait for each other.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def run_process(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own; return its result."""
    command = [sys.executable, "-m", "nvcodec", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def run(*arguments: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in this process; return its result."""
    return run_here(arguments, folder)


def refused(done: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """Check that a command failed with one line on stderr; return the line."""
    assert (done.returncode, done.stdout) == (code, ""), done
    (line,) = done.stderr.splitlines()
    assert line.startswith("nvcodec: error: ")
    return line


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_closed_standard_streams_change_nothing(small, tmp_path, closed):
    """Services and `>&-` start programs without a stream, whose number the next open file gets."""
    target = tmp_path / "out.y4m"
    command = [sys.executable, "-m", "nvcodec", "decode", small, "-o", target, "--device", "cpu"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=ENVIRONMENT,
        preexec_fn=lambda: os.close(closed),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert target.read_bytes().startswith(b"YUV4MPEG2 W47 H33 ")
    done = subprocess.run(
        [*command, "--size", "0x0"], capture_output=True, text=True, check=False, env=ENVIRONMENT,
        preexec_fn=lambda: os.close(closed),
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")  # an error does not go elsewhere


def test_help_and_models():
    done = run("--help")
    assert done.returncode == 0 and done.stderr == ""
    for command in ("encode", "decode", "info", "compare", "play", "tokens", "models"):
        assert re.search(rf"^ +{command} ", done.stdout, re.MULTILINE)
    done = run("encode", "--help")
    for option in [
        "--model",
        "--preset",
        "--size",
        "--bpp",
        "--psnr",
        "--lmbda",
        "--ladder",
        "--epochs",
        "--time-limit",
        "--resize",
        "--frames",
        "--segment",
        "--no-audio",
        "--device",
        "--seed",
        "--resume",
        "--json",
        "-y",
        "-q",
        "-v",
        "-o",
    ]:
        assert option in done.stdout, option
    done = run("models")
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(MODELS)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("transcode",),
        ("encode", "a.mp4"),
        ("encode", "a.mp4", "-o", "b.nvc", "--size", "1kB", "--bpp", "1"),
        ("encode", "a.mp4", "-o", "b.nvc", "--lmbda", "1", "--psnr", "30"),
        ("encode", "a.mp4", "-o", "b.nvc", "--size", "large"),
        ("encode", "a.mp4", "-o", "b.nvc", "--workers", "many"),
        ("encode", "a.mp4", "-o", "b.nvc", "--ladder", "1kB,,2kB"),
        ("encode", "a.mp4", "-o", "b.nvc", "--ladder", "1kB,2kB", "--bpp", "1"),
        ("encode", "a.mp4", "-o", "b.nvc", "--size", "1..5kB"),
        ("encode", "a.mp4", "-o", "b.nvc", "--time-limit", "soon"),
        ("encode", "a.mp4", "-o", "b.nvc", "--resize", "32"),
        ("encode", "a.mp4", "-o", "b.nvc", "--frames", "1-3"),
        ("encode", "a.mp4", "-o", "b.nvc", "--model", "nevr"),
        ("info", "a.nvc", "-q", "-v"),
    ],
)
def test_wrong_usage(arguments, tmp_path):
    done = run(*arguments, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert re.match(r"nvcodec( encode| info)?: error: .*; for example: nvcodec ", line)
    assert list(tmp_path.iterdir()) == []


def test_round_trip(make_clip: Callable[..., Path], tmp_path: Path):
    """The encode runs in a process, which measures the file in another; the rest runs here."""
    clip = make_clip("clip.mp4", frames=6, size=(48, 32), audio=["aac"])
    target, out = tmp_path / "clip.nvc", tmp_path / "out.y4m"
    encode = ["encode", clip, "-o", target, "--json", "--device", "cpu"]
    done = run_process(*encode, "--model", "nerv", "--epochs", 2, "--bpp", 2, "--segment", "3")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    report = json.loads(done.stdout)
    assert list(report) == ENCODE_FIELDS
    assert report["bytes"] == target.stat().st_size
    assert report["segments"] == 2 and report["model"] == "nerv" and report["frames"] == 6

    content = target.read_bytes()
    assert "-y" in refused(run(*encode))
    assert target.read_bytes() == content

    done = run("decode", target, "-o", out, "--json")
    assert done.returncode == 0, done.stderr
    decoded = json.loads(done.stdout)
    assert (decoded["file"], decoded["frames"]) == (str(out), 6)
    assert (decoded["width"], decoded["height"]) == (48, 32)
    with open_source(out) as source:
        frames = source.read(9)
    with nvcodec.open(target, device="cpu") as video:
        expected = video.planes(range(6))
    near = abs(frames.y.astype(int) - expected.y) <= 1
    assert frames.y.shape == expected.y.shape and near.mean() >= 0.999
    assert str(out) in refused(run("decode", target, "-o", out))

    done = run("compare", clip, target, "--json")
    compared = json.loads(done.stdout)
    assert set(COMPARE_FIELDS) <= set(compared)
    assert compared["bytes"] == report["bytes"]
    assert abs(compared["psnr_y"] - report["psnr_y"]) < 0.02

    done = run("info", target, "--json")
    info = json.loads(done.stdout)
    assert info["bytes"] == report["bytes"] and info["frames"] == 6 and info["complete"] is True
    assert info["segments"] == [[0, 3], [3, 3]] and info["tracks"][0]["codec"] == "aac"
    assert run("info", target).stdout.count("\n") == len(info)


def test_a_ladder(make_clip: Callable[..., Path], tmp_path: Path, measured_here: None):
    clip = make_clip("clip.mp4", frames=4, size=(48, 32))
    encode = ["encode", clip, "-o", tmp_path / "clip.nvc", "--device", "cpu", "--model", "nerv"]
    encode += ["--epochs", 2, "--ladder", "1.2kB,2kB"]
    done = run(*encode, "--json")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    files = json.loads(done.stdout)["files"]
    assert [list(report) for report in files] == [ENCODE_FIELDS] * 2
    for report, name in zip(files, ("clip-1.2kB.nvc", "clip-2kB.nvc"), strict=True):
        assert report["file"] == str(tmp_path / name)
        assert report["bytes"] == (tmp_path / name).stat().st_size
    assert "clip-1.2kB.nvc" in refused(run(*encode))
    done = run(*encode, "-y")
    assert done.returncode == 0 and done.stdout.count("\n") == 2


@pytest.mark.parametrize(
    ("arguments", "code"), [(("info", "absent.nvc"), 1), (("transcode",), 2), (("models",), 0)]
)
def test_a_process_ends_as_the_command_does(arguments, code, tmp_path):
    done, expected = run_process(*arguments), run(*arguments, folder=tmp_path)
    assert done.returncode == expected.returncode == code
    assert (done.stdout, done.stderr) == (expected.stdout, expected.stderr)


def test_bad_files(tmp_path):
    bad, absent = tmp_path / "bad.nvc", tmp_path / "absent.nvc"
    bad.write_bytes(b"\x8aNVC\r\n\x1a\n\x09\x00" + bytes(50))
    assert "9.0" in refused(run("info", bad))
    assert "absent.nvc" in refused(run("info", absent))
    bad.write_bytes(b"no stream\n")
    refused(run("info", bad))
    refused(run("decode", bad, "-o", tmp_path / "o.mp4"))
    assert "bad.nvc" in refused(run("encode", bad, "-o", tmp_path / "o.nvc"))
    refused(run("encode", absent, "-o", tmp_path / "p.nvc"))
    assert [path.name for path in tmp_path.iterdir()] == ["bad.nvc"]


def test_commands_without_torch_do_not_import_it(tmp_path):
    """Help and `info` import neither torch nor PyAV; top-level `models` and `entropy` stay unused."""
    from nvcodec.container import Header, Segment, Writer
    from nvcodec.media import ColourMode, VideoInfo
    from nvcodec.models import config_class

    config = config_class("nerv").from_budget(5000, size=(32, 48), frames=2, colour=ColourMode.RGB)
    path = tmp_path / "a.nvc"
    with Writer(path) as writer:
        info = VideoInfo(width=48, height=32, time_base=1, frame_rate=1)
        writer.header(
            Header(video=info, model=1, colour_mode=ColourMode.RGB, configuration=config.pack())
        )
        writer.segment(Segment(first_frame=0, pts=[0, 1], durations=[1, 1], payload=b"x"))
        writer.finish()
    program = (
        "import sys\n"
        "from nvcodec.cli import main\n"
        "for arguments in (['--help'], ['encode', '--help'], ['models'], ['info', sys.argv[1]]):\n"
        "    try:\n"
        "        code = main(arguments)\n"
        "    except SystemExit as leave:\n"
        "        code = leave.code\n"
        "    assert code == 0, arguments\n"
        "names = {'torch', 'av', 'compressai', 'numba', 'shtab', 'models', 'entropy', 'cuda'}\n"
        "names &= set(sys.modules)\n"
        "print('found', sorted(names))\n"
        "import nvcodec.api\n"
        "print('found', sorted({'compressai', 'torchvision', 'models', 'entropy'}"
        " & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("found []") == 2, done.stdout[-200:]


def test_options_are_parsed():
    from nvcodec.cli.values import frames, resize, size, span

    sizes = ("250kB", "1.5MB", "10 KiB", "77", "3b")
    assert [size(text) for text in sizes] == [250_000, 1_500_000, 10_240, 77, 3]
    assert [span(text) for text in ("90", "90s", "1.5m", "2h")] == [90, 90, 90, 7200]
    assert resize("640x360") == (640, 360)
    assert [frames(text) for text in ("2:5", ":5", "2:", ":")] == [
        slice(2, 5), slice(None, 5), slice(2, None), slice(None, None)
    ]  # fmt: skip


def test_only_the_command_line_changes_how_memory_is_kept(make_clip, tmp_path):
    program = (
        "import sys, nvcodec\n"
        "from nvcodec.allocation import keep_freed_memory\n"
        "from nvcodec.cli import main\n"
        "clip, target = sys.argv[1:]\n"
        "config = nvcodec.EncoderConfig(model='nerv', bpp=4, epochs=1, device='cpu')\n"
        "nvcodec.encode(clip, target, config, measure=False)\n"
        "print(keep_freed_memory.cache_info().currsize)\n"
        # The command sets it first, and so also if it then refuses to overwrite.
        "assert main(['encode', clip, '-o', target, '--quiet']) == 1\n"
        "print(keep_freed_memory.cache_info().currsize)\n"
    )
    clip = make_clip("clip.mkv", frames=2, size=(48, 32))
    done = subprocess.run(
        [sys.executable, "-c", program, str(clip), str(tmp_path / "made.nvc")],
        capture_output=True, text=True, check=False, env=ENVIRONMENT,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and (lines[0], lines[-1]) == ("0", "1"), done
