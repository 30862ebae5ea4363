"""Sources of the vectors that describe a clip, always of the same number at the same positions.

The sources are tokens of the shared tokenizer; raw pixels, as means of 4x4 parts of a cell in each
of four frames; principal components of patches at half the resolution; the middle frame alone, in
finer parts; and latents of an HNeRV that is fitted to each clip with its encoder. Clips are those
of `benchmarks.tokens.questions`: four steps (the first frame, then groups of four) of 4x4 cells.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.tokens.linear_probe import own_latents
from nvcodec.tokenizer.token_ids import codes_of
from nvcodec.tokenizer.tokenizer import VideoTokenizer

BUDGETS = (16, 64)
QUICK = ("tokens", "pixels", "components", "frame")
SOURCES = (*QUICK, "latents")
_PART = 4
_COMPONENTS = 48
_OWN_EPOCHS = 10
_STEPS, _FRAMES, _CELLS = 4, 4, 4

VectorFunction = Callable[[Tensor], Tensor]
"""A function from clips, uint8, (N, 13, 3, 128, 128), to vectors, (N, budget, channels)."""


@dataclass(frozen=True, slots=True)
class StandardisedSource:
    """A source whose vectors have mean 0 and standard deviation 1 on clips for training.

    Attributes:
        describe: Function from clips to vectors.
        mean: Mean of every channel.
        deviation: Standard deviation of every channel.
    """

    describe: VectorFunction
    mean: Tensor
    deviation: Tensor

    @classmethod
    def on(cls, describe: VectorFunction, clips: Tensor) -> StandardisedSource:
        """Measure mean and deviation on clips for training.

        Args:
            describe: Function from clips to vectors.
            clips: The clips.
        """
        flat = describe(clips).flatten(0, 1)
        return cls(describe, flat.mean(0), flat.std(0).clamp_min(1e-3))

    def __call__(self, clips: Tensor) -> Tensor:
        """Return the standardised vectors of clips."""
        return (self.describe(clips) - self.mean) / self.deviation


def make_source(
    name: str, budget: int, tokenizer: VideoTokenizer, clips: Tensor
) -> StandardisedSource:
    """Return a source of vectors.

    Args:
        name: One of `SOURCES`.
        budget: Number of vectors of a clip, one of `BUDGETS`.
        tokenizer: The shared tokenizer.
        clips: Clips for training, from which components, means and deviations are computed.
    """
    side = 2 if budget == 16 else 4
    functions: dict[str, VectorFunction] = {
        "tokens": lambda batch: _tokens(batch, tokenizer, side),
        "pixels": lambda batch: _pixels(batch, side),
        "frame": lambda batch: _frame(batch, budget),
        "latents": lambda batch: _latents(batch, side),
    }
    if name == "components":
        basis = _principal(_patches_of_pixels(clips, side))
        functions[name] = lambda batch: _patches_of_pixels(batch, side) @ basis
    return StandardisedSource.on(functions[name], clips)


def places(name: str, budget: int) -> Tensor:
    """Return time, row and column of each vector, 0 to 1, shape (budget, 3).

    Args:
        name: One of `SOURCES`.
        budget: Number of vectors of a clip, one of `BUDGETS`.
    """
    if name == "frame":
        side = round(budget**0.5)
        positions = torch.cartesian_prod(torch.tensor([0.5]), *[torch.linspace(0, 1, side)] * 2)
    else:
        side = 2 if budget == 16 else 4
        positions = torch.cartesian_prod(
            torch.linspace(0, 1, _STEPS), *[torch.linspace(0, 1, side)] * 2
        )
    return positions


def _tokens(clips: Tensor, tokenizer: VideoTokenizer, side: int) -> Tensor:
    """Return codes of tokens, averaged over neighbouring cells where there are fewer vectors."""
    codes = np.stack([codes_of(tokenizer.digits(clip)) for clip in clips])
    values = torch.from_numpy(codes).permute(0, 1, 4, 2, 3).flatten(0, 1)
    values = F.adaptive_avg_pool2d(values, side)
    return values.view(len(clips), _STEPS, -1, side, side).movedim(2, -1).flatten(1, 3)


def _pixels(clips: Tensor, side: int) -> Tensor:
    """Return 4x4 area means of each cell in every frame of a step."""
    small = F.adaptive_avg_pool2d(_by_step(clips).flatten(0, 2).float() / 255, side * _PART)
    return _patches(small.view(len(clips), _STEPS, _FRAMES, 3, *small.shape[-2:]), side)


def _patches_of_pixels(clips: Tensor, side: int) -> Tensor:
    """Return patches of all samples at half the resolution; more would not fit in memory."""
    half = F.avg_pool2d(_by_step(clips).flatten(0, 2).float() / 255, 2)
    return _patches(half.view(len(clips), _STEPS, _FRAMES, 3, *half.shape[-2:]), side)


def _frame(clips: Tensor, budget: int) -> Tensor:
    """Return patches of the middle frame, as many as vectors, of at most 8x8 area means."""
    side = round(budget**0.5)
    part = min(8, clips.shape[-1] // side)
    middle = clips[:, clips.shape[1] // 2].float() / 255
    small = F.adaptive_avg_pool2d(middle, side * part)
    return _patches(small[:, None, None], side)


def _latents(clips: Tensor, side: int) -> Tensor:
    """Return latents of a network fitted to each clip, averaged over neighbouring cells."""
    values = torch.stack([_own_latents(clip) for clip in clips])
    small = F.adaptive_avg_pool2d(_by_step(values).flatten(0, 2), side)
    return _patches(small.view(len(clips), _STEPS, _FRAMES, -1, side, side), side)


def _own_latents(clip: Tensor) -> Tensor:
    """Return latents of a network fitted to a clip with a seed of its own, shape (13, 16, 4, 4)."""
    return own_latents(clip, _OWN_EPOCHS, zlib.crc32(clip.numpy().tobytes())).latents


def _by_step(clips: Tensor) -> Tensor:
    """Return the frames of each step, the first frame four times, shape (N, 4, 4, C, H, W)."""
    first = clips[:, :1].expand(-1, _FRAMES, -1, -1, -1)
    return torch.cat([first, clips[:, 1:]], 1).unflatten(1, (_STEPS, _FRAMES))  # type: ignore[no-untyped-call]


def _patches(video: Tensor, side: int) -> Tensor:
    """Return patches of shape (N, steps * side * side, values) of (N, steps, frames, C, h, w)."""
    count, steps, frames, channels, height, width = video.shape
    parts = video.view(count, steps, frames, channels, side, height // side, side, width // side)
    return parts.permute(0, 1, 4, 6, 2, 3, 5, 7).reshape(count, steps * side * side, -1)


def _principal(patches: Tensor) -> Tensor:
    """Return the first principal components of patches, shape (values, 48)."""
    flat = patches.flatten(0, 1)
    flat = flat[torch.randperm(len(flat), generator=torch.Generator().manual_seed(0))[:2000]]
    _, _, basis = torch.pca_lowrank(flat, _COMPONENTS)
    return basis
