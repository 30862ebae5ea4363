"""Clips and encodes that the tests of the codec share; everything is tiny."""

from __future__ import annotations

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
def kept(shelf: Path) -> Callable[[str, Path, nvcodec.EncoderConfig], Path]:
    """Makes an encode once for all tests: `kept("a.nvc", source, config)`."""

    def make(name: str, source: Path, config: nvcodec.EncoderConfig) -> Path:
        path = shelf / name
        if not path.exists():
            nvcodec.encode(source, path, config, measure=False)
        return path

    return make


@pytest.fixture
def stream(kept, clip: Path) -> Path:
    """The clip as three segments with sound."""
    return kept("clip.nvc", clip, quick())


@pytest.fixture
def small(kept, silent: Path) -> Path:
    """The silent clip as two segments, as small as it gets."""
    return kept("silent.nvc", silent, quick(model="nerv", parameters=2400, segment=3))


class InterruptedEncodeError(Exception):
    pass


@pytest.fixture
def interrupt() -> Callable[..., None]:
    """Encodes until the first progress of a segment, and stops there as a user would."""

    def encode(
        source: Path, target: Path, config: nvcodec.EncoderConfig, segment: int, **options: bool
    ) -> None:
        def stop(progress: nvcodec.Progress) -> None:
            if progress.segment == segment:
                raise InterruptedEncodeError

        with pytest.raises(InterruptedEncodeError):
            nvcodec.encode(source, target, config, on_progress=stop, **options)

    return encode
