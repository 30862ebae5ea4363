"""Retrieval of the second half of a video by its first half: descriptors and nearest neighbours.

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
_MAX_FRAMES = 1700  # Frames of a clip that are read.


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a clip, in two halves.

    Attributes:
        clip: Name of the file.
        halves: uint8, shape (frames, 3, H, W) each, at the size at which pictures are tokenised.
    """

    clip: str
    halves: tuple[Tensor, Tensor]


def stretches(path: Path, half: int, max_count: int) -> list[Stretch]:
    """Read parts of a clip that have no frame in common, evenly over time.

    Args:
        path: The clip.
        half: Number of frames of a half.
        max_count: Largest number of parts.
    """
    with open_source(path) as source:
        size = small_size(source.info.width, source.info.height)
    pictures = []
    with open_source(path, resize=size) as source:
        for _ in range(_MAX_FRAMES // half):
            part = source.read(half)
            if len(part) < half:
                break
            pictures_of_half = rgb(part.y, part.u, part.v, source.info.colour)
            pictures.append(
                torch.from_numpy(np.ascontiguousarray(np.moveaxis(pictures_of_half, -1, 1)))
            )
    pairs = len(pictures) // 2
    chosen = (
        np.unique(np.linspace(0, pairs - 1, min(max_count, pairs)).astype(int)) if pairs else []
    )
    return [Stretch(path.name, (pictures[2 * k], pictures[2 * k + 1])) for k in chosen]


def videos(folder: Path, excluded: Sequence[str]) -> list[Path]:
    """Return the files of a folder that can be read as video.

    Args:
        folder: The folder.
        excluded: Names of files to leave out.
    """
    paths = []
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name not in excluded:
            try:
                with open_source(path) as source:
                    source.read(1)
            except NvcodecError:
                continue
            paths.append(path)
    return paths


def moments(values: FloatArray) -> FloatArray:
    """Return mean and standard deviation of each channel of (..., C), shape (2 C,)."""
    flat = values.reshape(-1, values.shape[-1])
    return np.concatenate([flat.mean(0), flat.std(0)])


def token_moments(fsq_indices: npt.NDArray[np.uint8]) -> FloatArray:
    """Return mean and standard deviation of the codes of tokens, 12 numbers."""
    return moments(codes_of(fsq_indices).astype(np.float64))


def fsq_index_frequencies(fsq_indices: npt.NDArray[np.uint8]) -> FloatArray:
    """Return square roots of the frequencies of the values of each FSQ index, 39 numbers."""
    flat = fsq_indices.reshape(-1, len(LEVELS))
    counts = [np.bincount(flat[:, k], minlength=size) for k, size in enumerate(LEVELS)]
    return np.sqrt(np.concatenate(counts) / len(flat))


def colour_moments(pictures: Tensor) -> FloatArray:
    """Return mean and deviation of red, green and blue of 8x8 samples, 6 numbers: the baseline."""
    means = F.avg_pool2d(pictures.float(), 8).movedim(1, -1)
    return moments(means.double().numpy())


@dataclass(frozen=True, slots=True)
class Recall:
    """The outcome of a retrieval.

    Attributes:
        same: Share of first halves whose nearest second half is their own.
        clip: Share of first halves whose nearest second half is of the same clip.
        count: Number of pairs.
    """

    same: float
    clip: float
    count: int


def recall(first: FloatArray, second: FloatArray, clips: Sequence[str]) -> Recall:
    """Find nearest neighbours of descriptors, each number of which is standardised first.

    Args:
        first: Descriptors of first halves, shape (n, C).
        second: Descriptors of second halves, in the same order.
        clips: Names of their clips.
    """
    descriptors = np.concatenate([first, second])
    centre, scale = descriptors.mean(0), descriptors.std(0) + 1e-9
    first, second = (first - centre) / scale, (second - centre) / scale
    distances = ((first[:, None] - second[None]) ** 2).sum(-1)
    nearest = distances.argmin(1)
    names = np.array(clips)
    return Recall(
        same=float((nearest == np.arange(len(first))).mean()),
        clip=float((names[nearest] == names).mean()),
        count=len(first),
    )
