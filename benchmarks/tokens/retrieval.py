"""Which second half of a video belongs to a first half: descriptors of halves, nearest neighbours.

Long clips are cut into stretches, so that most wrong answers come from the same film.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from nvcodec.errors import NvcodecError
from nvcodec.tokenizer.token_ids import LEVELS, codes_of
from nvcodec.tokens.from_pixels import small_size
from nvcodec.video import open_source, rgb

FloatArray = npt.NDArray[np.float64]
_MOST = 1700  # frames of a clip


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a clip.

    Attributes:
        clip: The file's name.
        halves: uint8, shape (frames, 3, H, W) each, at the size tokens are made at from pixels.
    """

    clip: str
    halves: tuple[Tensor, Tensor]


def stretches(path: Path, half: int, most: int) -> list[Stretch]:
    """Parts of a clip that have no frame in common, evenly over time.

    Args:
        path: Of the clip.
        half: Frames of half a part.
        most: Parts.
    """
    with open_source(path) as source:
        size = small_size(source.info.width, source.info.height)
    pictures = []
    with open_source(path, resize=size) as source:
        for _ in range(_MOST // half):
            part = source.read(half)
            if len(part) < half:
                break
            made = rgb(part.y, part.u, part.v, source.info.colour)
            pictures.append(torch.from_numpy(np.ascontiguousarray(np.moveaxis(made, -1, 1))))
    pairs = len(pictures) // 2
    chosen = np.unique(np.linspace(0, pairs - 1, min(most, pairs)).astype(int)) if pairs else []
    return [Stretch(path.name, (pictures[2 * k], pictures[2 * k + 1])) for k in chosen]


def videos(folder: Path, without: Sequence[str]) -> list[Path]:
    """Clips of a folder that can be read."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name not in without:
            try:
                with open_source(path) as source:
                    source.read(1)
            except NvcodecError:
                continue
            found.append(path)
    return found


def moments(values: FloatArray) -> FloatArray:
    """Mean and standard deviation of each channel of (..., C), shape (2 C,)."""
    flat = values.reshape(-1, values.shape[-1])
    return np.concatenate([flat.mean(0), flat.std(0)])


def token_moments(digits: npt.NDArray[np.uint8]) -> FloatArray:
    """Of codes, 12 numbers."""
    return moments(codes_of(digits).astype(np.float64))


def fsq_index_frequencies(digits: npt.NDArray[np.uint8]) -> FloatArray:
    """Square roots of how frequent the values of each digit are, 39 numbers."""
    flat = digits.reshape(-1, len(LEVELS))
    counts = [np.bincount(flat[:, k], minlength=size) for k, size in enumerate(LEVELS)]
    return np.sqrt(np.concatenate(counts) / len(flat))


def colour_moments(pictures: Tensor) -> FloatArray:
    """Of red, green and blue of 8x8 samples, 6 numbers: what no tokenizer is needed for."""
    means = F.avg_pool2d(pictures.float(), 8).movedim(1, -1)
    return moments(means.double().numpy())


@dataclass(frozen=True, slots=True)
class Recall:
    """What nearest neighbours are.

    Attributes:
        same: Share of first halves whose nearest second half is their own.
        clip: Whose nearest second half is of the same clip.
        count: Of the pairs.
    """

    same: float
    clip: float
    count: int


def recall(first: FloatArray, second: FloatArray, clips: Sequence[str]) -> Recall:
    """Nearest neighbours of descriptors, every number standardised over all of them.

    Args:
        first: Of first halves, shape (n, C).
        second: Of second halves, in the same order.
        clips: What clips they are of.
    """
    every = np.concatenate([first, second])
    middle, scale = every.mean(0), every.std(0) + 1e-9
    first, second = (first - middle) / scale, (second - middle) / scale
    distances = ((first[:, None] - second[None]) ** 2).sum(-1)
    nearest = distances.argmin(1)
    names = np.array(clips)
    return Recall(
        same=float((nearest == np.arange(len(first))).mean()),
        clip=float((names[nearest] == names).mean()),
        count=len(first),
    )
