"""Interrupted encodes are resumed, and the result is the file of an uninterrupted encode."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import nvcodec
from nvcodec.container import Reader
from nvcodec.errors import ConfigError, NvcodecError


def _file_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("segment", [1, 2])
def test_a_resumed_encode_is_an_uninterrupted_one(
    clip, stream, tmp_path, settings, segment, interrupt
):
    target = tmp_path / "a.nvc"
    interrupt(clip, target, settings(), segment)
    assert _file_names(tmp_path) == ["a.nvc.partial", "a.nvc.partial.json"]
    # The partial file can be decoded already.
    with nvcodec.open(tmp_path / "a.nvc.partial") as video:
        assert len(video) == 4 * segment
    seen = []
    report = nvcodec.encode(
        clip, target, settings(), resume=True, measure=False, on_progress=seen.append
    )
    assert {progress.segment for progress in seen} == set(range(segment, 3))
    assert _file_names(tmp_path) == ["a.nvc"]
    assert target.read_bytes() == stream.read_bytes()
    assert report.segments == 3 and report.frames == 12
    whole = nvcodec.encode(clip, tmp_path / "b.nvc", settings(), measure=False)
    assert report.parameters == whole.parameters
    assert report.macs_per_pixel == whole.macs_per_pixel


def _two_shots(t: int, width: int, height: int) -> np.ndarray:
    rng = np.random.default_rng(t >= 9)
    cells = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return cells.repeat(8, 0).repeat(8, 1)


def test_a_resumed_encode_finds_the_same_cuts(
    make_clip, tmp_path, settings, monkeypatch, interrupt
):
    clip = make_clip("shots.mp4", frames=18, size=(48, 32), picture=_two_shots)
    config = settings(segment=None)
    report = nvcodec.encode(clip, tmp_path / "a.nvc", config, measure=False)
    assert nvcodec.inspect(tmp_path / "a.nvc").segments == ((0, 9), (9, 9))
    interrupt(clip, tmp_path / "b.nvc", config, 1)
    with monkeypatch.context() as patch:
        patch.setattr("nvcodec.encoding.segmentation.is_cut", lambda *_: False)
        with pytest.raises(ConfigError, match="does not hold the frames"):
            nvcodec.encode(clip, tmp_path / "b.nvc", config, resume=True)
    nvcodec.encode(clip, tmp_path / "b.nvc", config, resume=True, measure=False)
    assert (tmp_path / "a.nvc").read_bytes() == (tmp_path / "b.nvc").read_bytes()
    assert report.segments == 2


@pytest.mark.parametrize("target", [{"size": 2500}, {"bpp": 1.2}, {"lmbda": 0.2}])
def test_a_resumed_encode_aims_at_the_same_size(clip, tmp_path, settings, target, interrupt):
    config = settings(parameters=None, **target)
    nvcodec.encode(clip, tmp_path / "a.nvc", config, measure=False)
    interrupt(clip, tmp_path / "b.nvc", config, 1)
    nvcodec.encode(clip, tmp_path / "b.nvc", config, resume=True, measure=False)
    assert (tmp_path / "a.nvc").read_bytes() == (tmp_path / "b.nvc").read_bytes()


def test_a_torn_partial_file_is_resumed(clip, stream, tmp_path, settings, interrupt):
    target, partial = tmp_path / "a.nvc", tmp_path / "a.nvc.partial"
    interrupt(clip, target, settings(), 2)
    data = stream.read_bytes()
    with Reader(stream) as reader:
        first = reader.segments[0].offset + reader.segments[0].size
    for content in (data[: first + 5], data[:first] + b"\0" * 500, data[:30], b""):
        partial.write_bytes(content)
        note = (tmp_path / "a.nvc.partial.json").read_bytes()
        nvcodec.encode(clip, target, settings(), resume=True, measure=False)
        assert target.read_bytes() == data
        target.unlink()
        (tmp_path / "a.nvc.partial.json").write_bytes(note)


def test_resume_refuses_anything_else(clip, tmp_path, settings, interrupt):
    target, partial = tmp_path / "a.nvc", tmp_path / "a.nvc.partial"
    with pytest.raises(ConfigError, match="nothing to resume"):
        nvcodec.encode(clip, target, settings(), resume=True)
    interrupt(clip, target, settings(), 1)
    content = partial.read_bytes()
    others = [
        settings(seed=1),
        settings(epochs=2),
        settings(segment=3),
        settings(parameters=3000),
        settings(parameters=None, lmbda=1.0),
        settings(audio=False),
        settings(frames=slice(0, 11)),
        settings(colour=nvcodec.ColourMode.RGB),
    ]
    for config in others:
        with pytest.raises(ConfigError, match="other settings"):
            nvcodec.encode(clip, target, config, resume=True)
        assert partial.read_bytes() == content
    changed = tmp_path / clip.name
    shutil.copy(clip, changed)
    with changed.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ConfigError, match="another video"):
        nvcodec.encode(changed, target, settings(), resume=True)
    with pytest.raises((NvcodecError, OSError)):
        nvcodec.encode(tmp_path / "absent.mp4", target, settings(), resume=True)
    (tmp_path / "a.nvc.partial.json").unlink()
    with pytest.raises(ConfigError):
        nvcodec.encode(clip, target, settings(), resume=True)
    assert partial.read_bytes() == content


def _signalled(clip: Path, target: Path, number: int, environment: dict[str, str]):
    """Run an encode, send it a signal once its first segment is on disk, and return its output."""
    command = [sys.executable, "-m", "nvcodec", "encode", str(clip), "-o", str(target)]
    command += [
        "--segment",
        "4",
        "--epochs",
        "10",
        "--model",
        "nerv",
        "--bpp",
        "3",
        "--device",
        "cpu",
    ]
    partial = target.with_name(target.name + ".partial")
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # Background jobs of a shell ignore SIGINT, and so would the child process.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        while process.poll() is None:
            if partial.exists():
                try:
                    with Reader(partial) as reader:
                        if reader.segments:
                            break
                except (NvcodecError, OSError):
                    pass
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate()
        return process.returncode, out, err


def test_signals(clip, tmp_path, settings, environment):
    config = settings(parameters=None, bpp=3.0, epochs=10, model="nerv")
    expected = tmp_path / "whole.nvc"
    nvcodec.encode(clip, expected, config, measure=False)
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT):
        folder = tmp_path / number.name
        folder.mkdir()
        target = folder / "a.nvc"
        code, out, err = _signalled(clip, target, number, environment)
        assert out == ""
        assert _file_names(folder) == ["a.nvc.partial", "a.nvc.partial.json"], err
        if number is signal.SIGKILL:
            assert code == -number
        else:
            assert code == 130
            assert "interrupted" in err and "Traceback" not in err
        if number is not signal.SIGINT:
            nvcodec.encode(clip, target, config, resume=True, measure=False)
            assert target.read_bytes() == expected.read_bytes()
            assert _file_names(folder) == ["a.nvc"]
