"""Clips and encodes that the tests of the codec share; everything is tiny."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import nvcodec


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """For subprocesses that must compute as this process does."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def shelf(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("shelf")


@pytest.fixture
def clip(shelf: Path, make_clip: Callable[..., Path]) -> Path:
    """12 frames of 48x32 at 25 fps, with sound."""
    path = shelf / "clip.mp4"
    if not path.exists():
        shutil.move(make_clip("a.mp4", frames=12, size=(48, 32), audio=["aac"]), path)
    return path


@pytest.fixture
def silent(shelf: Path, make_clip: Callable[..., Path]) -> Path:
    """6 frames of 47x33, no sound."""
    path = shelf / "silent.mp4"
    if not path.exists():
        made = make_clip("b.mkv", frames=6, size=(47, 33), codec="libx264", pix_fmt="yuv444p")
        shutil.move(made, path)
    return path


def quick(**options) -> nvcodec.EncoderConfig:
    return nvcodec.EncoderConfig(
        **{
            "model": "hnerv",
            "epochs": 1,
            "parameters": 2500,
            "segment": 4,
            "device": "cpu",
            **options,
        }
    )


@pytest.fixture(scope="session")
def settings() -> Callable[..., nvcodec.EncoderConfig]:
    """Settings of an encode that takes a fraction of a second."""
    return quick


@pytest.fixture
def stream(shelf: Path, clip: Path) -> Path:
    """The clip as three segments with sound."""
    path = shelf / "clip.nvc"
    if not path.exists():
        nvcodec.encode(clip, path, quick(), measure=False)
    return path


@pytest.fixture
def small(shelf: Path, silent: Path) -> Path:
    """The silent clip as two segments, as small as it gets."""
    path = shelf / "silent.nvc"
    if not path.exists():
        config = dataclasses.replace(quick(model="nerv"), parameters=2400, segment=3)
        nvcodec.encode(silent, path, config, measure=False)
    return path
