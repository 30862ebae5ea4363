"""The scripts of docs/examples run, on a few small frames, and what they make is not empty."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nvcodec
from nvcodec.models import MODELS
from nvcodec.tokens import open_tokens
from tests.fixtures.torchvision import hide_broken_torchvision

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
Run = Callable[..., str]
hide_broken_torchvision()  # before anything imports transformers


@pytest.fixture
def run(monkeypatch, capsys, tmp_path, carphone) -> Run:
    """Runs the `main` of an example in an empty folder; what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)

    def main(name: str, *arguments: str) -> str:
        spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # Data classes look their module up.
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        module.main(arguments)
        return capsys.readouterr().out

    return main


def test_encode_and_look(run):
    said = run("encode_and_look", "--frames", "4", "--resize", "88x72", "--bpp", "1")
    quality = re.search(r"PSNR of luma ([\d.]+) dB", said)
    assert quality is not None and float(quality[1]) > 28, said
    picture = np.asarray(Image.open("out/side_by_side.png")).astype(float)
    assert picture.shape == (72, 2 * 88, 3)
    source, decoded = picture[:, :88], picture[:, 88:]
    # The same scene twice, one of them decoded.
    assert source.std() > 10 and 0 < np.square(source - decoded).mean() < 0.1 * source.var()
    assert nvcodec.inspect("out/clip.nvc").frames == 4


def test_frames_through_a_dataloader(tmp_path, carphone):
    # A process of its own: its workers are forked, which a process that runs tests should not be.
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    made = subprocess.run(
        [sys.executable, EXAMPLES / "dataloader.py", "--frames", "3", "--batch", "4"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert "6 different frames of 6 in 2 files" in made.stdout
    brightness = [float(mean) for mean in re.findall(r"mean ([\d.]+) of 255", made.stdout)]
    assert len(brightness) == 2
    with nvcodec.open(tmp_path / "out" / "first.nvc") as video:
        assert abs(video[0].mean() - np.mean(brightness)) < 10


def test_a_network_of_your_own(run):
    try:
        said = run("own_network", "--frames", "4", "--epochs", "40", "--bpp", "1", "--out", "a.nvc")
        quality = re.search(r"PSNR of luma ([\d.]+) dB", said)
        assert quality is not None and float(quality[1]) > 20, said
        info = nvcodec.inspect("a.nvc")
        assert (info.model, info.frames) == ("snake", 4)
        assert 0.9 < info.bpp < 1.1
        with nvcodec.open("a.nvc", device="cpu") as video:
            assert video[:].std() > 10
    finally:
        MODELS.pop("snake", None)
        for name in ("config", "model"):
            sys.modules.pop(f"snake.{name}", None)
    with pytest.raises(nvcodec.UnsupportedVersionError, match="model id 240"):
        nvcodec.inspect("a.nvc")


def test_tokens_into_a_language_model(run):
    pytest.importorskip("transformers")
    said = run("tokens_to_language_model", "--frames", "5", "--budget", "8", "--out", "a.nvc")
    with open_tokens("a.nvc") as reader:
        first = reader.grid().indices[0].ravel().tolist()
    assert f"ids of the first step: {first}\n" in said
    before, after = (float(loss) for loss in re.findall(r"loss ([\d.]+)", said))
    assert after < before / 2
    assert "the model says 'Y'" in said


def test_a_rate_distortion_figure(run):
    arguments = ["--frames", "2", "--rates", "0.4", "0.8", "--crf", "24", "32"]
    said = run("rate_distortion_figure", *arguments, "--preset", "ultrafast")
    curves = dict(re.findall(r"^(\w.*): (.* dB)$", said, re.MULTILINE))
    points = {
        name: sorted(
            (float(bpp), float(psnr)) for bpp, psnr in re.findall(r"([\d.]+) bpp ([\d.]+)", row)
        )
        for name, row in curves.items()
    }
    assert list(points) == ["nvcodec", "x264", "x264 tune=psnr"]
    for (few, low), (many, high) in points.values():
        assert 0 < few < many and 25 < low < high < 60
    assert points["x264"] != points["x264 tune=psnr"]
    assert np.asarray(Image.open("out/rate_distortion.png").convert("L")).std() > 10
