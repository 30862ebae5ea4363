"""Grids of tokens as a tokenizer could make them."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

from nvcodec.tokens.grid import TokenGrid
from nvcodec.tokens.ids import LEVELS
from nvcodec.tokens.layout import SPACE_STRIDE

try:
    import torchvision  # noqa: F401
except (ImportError, RuntimeError):
    # Built for another torch, such as one with CUDA. CompressAI brings it, nothing here needs it,
    # and transformers imports it wherever it is.
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    sys.modules["torchvision"] = None  # type: ignore[assignment]

TOKENIZER = "0123456789abcdef" * 2


def scene(
    shape: tuple[int, int, int] = (9, 4, 6), seed: int = 0, cuts: tuple[int, ...] = ()
) -> TokenGrid:
    """A still background that changes at `cuts`, with a spot that goes right, a cell a step.

    The first step lasts a frame of 40 ms, the others four; tokens that are new take more bits.
    """
    steps, height, width = shape
    chance = np.random.default_rng(seed)
    digits = np.empty((*shape, 6), np.uint8)
    for begin, end in zip((0, *cuts), (*cuts, steps), strict=True):
        digits[begin:end] = chance.integers(0, LEVELS, (height, width, 6))
    spot = chance.integers(0, LEVELS)
    for step in range(steps):
        digits[step, height // 2, step % width] = spot
    new = np.ones(shape, np.bool_)
    new[1:] = (digits[1:] != digits[:-1]).any(-1)
    ends = 0.04 * (1 + 4 * np.arange(steps))
    return TokenGrid(
        digits=digits,
        bits=np.where(new, 14, 2).astype(np.float32) + chance.random(shape).astype(np.float32),
        starts=np.concatenate([[0], ends[:-1]]),
        ends=ends,
        size=(SPACE_STRIDE * width, SPACE_STRIDE * height),
        tokenizer_id=TOKENIZER,
    )


@pytest.fixture
def make_scene() -> Callable[..., TokenGrid]:
    return scene


@pytest.fixture
def grid() -> TokenGrid:
    return scene()
