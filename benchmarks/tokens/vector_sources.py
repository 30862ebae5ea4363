"""What a model is shown of a clip, always as the same number of vectors at the same places.

Tokens of the shared tokenizer; raw pixels, as area means, so that a vector has four moments of 4x4
parts of its cell; the same after a principal component analysis of full-resolution patches; the
middle frame alone, in finer parts; and latents of HNeRV, fitted to each clip with an encoder of its
own. Clips are those of `benchmarks.tokens.questions`: four steps (the first frame, then groups of
four) of 4x4 cells.
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

Shown = Callable[[Tensor], Tensor]
"""Clips, uint8, (N, 13, 3, 128, 128), to vectors, (N, budget, channels)."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """Vectors brought to a mean of 0 and a deviation of 1, as found on clips for training.

    Attributes:
        shown: What makes the vectors.
        mean: Of every channel.
        deviation: Likewise.
    """

    shown: Shown
    mean: Tensor
    deviation: Tensor

    @classmethod
    def on(cls, shown: Shown, clips: Tensor) -> Scaled:
        """Look at some clips."""
        flat = shown(clips).flatten(0, 1)
        return cls(shown, flat.mean(0), flat.std(0).clamp_min(1e-3))

    def __call__(self, clips: Tensor) -> Tensor:
        """Vectors of clips."""
        return (self.shown(clips) - self.mean) / self.deviation


def source(name: str, budget: int, tokenizer: VideoTokenizer, clips: Tensor) -> Scaled:
    """A way to show clips.

    Args:
        name: One of `SOURCES`.
        budget: Vectors for a clip, one of `BUDGETS`.
        tokenizer: For tokens.
        clips: Of training, to learn components and scales from.
    """
    side = 2 if budget == 16 else 4
    ways: dict[str, Shown] = {
        "tokens": lambda seen: _tokens(seen, tokenizer, side),
        "pixels": lambda seen: _pixels(seen, side),
        "frame": lambda seen: _frame(seen, budget),
        "latents": lambda seen: _latents(seen, side),
    }
    if name == "components":
        basis = _principal(_whole(clips, side))
        ways[name] = lambda seen: _whole(seen, side) @ basis
    return Scaled.on(ways[name], clips)


def places(name: str, budget: int) -> Tensor:
    """When, which row and which column of each vector, 0 to 1, shape (budget, 3)."""
    if name == "frame":
        side = round(budget**0.5)
        grid = torch.cartesian_prod(torch.tensor([0.5]), *[torch.linspace(0, 1, side)] * 2)
    else:
        side = 2 if budget == 16 else 4
        grid = torch.cartesian_prod(torch.linspace(0, 1, _STEPS), *[torch.linspace(0, 1, side)] * 2)
    return grid


def _tokens(clips: Tensor, tokenizer: VideoTokenizer, side: int) -> Tensor:
    """Codes; of neighbours together their mean."""
    codes = np.stack([codes_of(tokenizer.digits(clip)) for clip in clips])
    found = torch.from_numpy(codes).permute(0, 1, 4, 2, 3).flatten(0, 1)
    found = F.adaptive_avg_pool2d(found, side)
    return found.view(len(clips), _STEPS, -1, side, side).movedim(2, -1).flatten(1, 3)


def _pixels(clips: Tensor, side: int) -> Tensor:
    """4x4 area means of each cell in every frame of a step."""
    small = F.adaptive_avg_pool2d(_stepped(clips).flatten(0, 2).float() / 255, side * _PART)
    return _patches(small.view(len(clips), _STEPS, _FRAMES, 3, *small.shape[-2:]), side)


def _whole(clips: Tensor, side: int) -> Tensor:
    """Patches of all samples at half the size: more would not fit memory."""
    half = F.avg_pool2d(_stepped(clips).flatten(0, 2).float() / 255, 2)
    return _patches(half.view(len(clips), _STEPS, _FRAMES, 3, *half.shape[-2:]), side)


def _frame(clips: Tensor, budget: int) -> Tensor:
    """The middle frame alone, in as many parts as there are vectors, of 8x8 means at most."""
    side = round(budget**0.5)
    part = min(8, clips.shape[-1] // side)
    middle = clips[:, clips.shape[1] // 2].float() / 255
    small = F.adaptive_avg_pool2d(middle, side * part)
    return _patches(small[:, None, None], side)


def _latents(clips: Tensor, side: int) -> Tensor:
    """Those of a network of each clip's own; of neighbours together their mean."""
    found = torch.stack([_own(clip) for clip in clips])
    small = F.adaptive_avg_pool2d(_stepped(found).flatten(0, 2), side)
    return _patches(small.view(len(clips), _STEPS, _FRAMES, -1, side, side), side)


def _own(clip: Tensor) -> Tensor:
    """Fit a network, from a beginning that no other clip's has: shape (13, 16, 4, 4)."""
    return own_latents(clip, _OWN_EPOCHS, zlib.crc32(clip.numpy().tobytes())).latents


def _stepped(clips: Tensor) -> Tensor:
    """The frames of each step, the first one's four times, shape (N, 4, 4, C, H, W)."""
    first = clips[:, :1].expand(-1, _FRAMES, -1, -1, -1)
    return torch.cat([first, clips[:, 1:]], 1).unflatten(1, (_STEPS, _FRAMES))  # type: ignore[no-untyped-call]


def _patches(video: Tensor, side: int) -> Tensor:
    """(N, steps, frames, C, h, w) to (N, steps * side * side, values of a patch)."""
    count, steps, frames, channels, height, width = video.shape
    parts = video.view(count, steps, frames, channels, side, height // side, side, width // side)
    return parts.permute(0, 1, 4, 6, 2, 3, 5, 7).reshape(count, steps * side * side, -1)


def _principal(patches: Tensor) -> Tensor:
    """The first components of patches, shape (values, 48)."""
    flat = patches.flatten(0, 1)
    flat = flat[torch.randperm(len(flat), generator=torch.Generator().manual_seed(0))[:2000]]
    _, _, basis = torch.pca_lowrank(flat, _COMPONENTS)
    return basis
