"""Decoded pictures at another size, and pictures between two others where a model has none.

Sizes are changed with Lanczos kernels of three lobes, rows and columns apart, in float32 and rounded
once. Where a picture gets smaller the kernel is as much wider, so that nothing aliases. The outermost
samples are repeated. Chroma stays where 4:2:0 has it, sited left as in `nvcodec.video.colour`:
scaled as pictures of their own, its planes would move by up to half a luma sample of the smaller
picture.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import ceil, floor

import numpy as np
import torch
from torch import Tensor

from nvcodec.media import Planes, UInt8Array

_LOBES = 3
# Frames that a cross-fade keeps: playing on goes from the last two, across segments to the first.
_KEPT = 4
# Outputs per product: a band of the sparse matrix that is nearly full.
_BAND = 64


def resampled(pictures: Planes, size: tuple[int, int], device: torch.device) -> Planes:
    """Pictures at another size.

    Args:
        pictures: B pictures in 8-bit 4:2:0.
        size: Wanted height and width.
        device: Where to compute.

    Returns:
        B pictures; the very same if they have that size.
    """
    own = pictures[0].shape[1:]
    if own == tuple(size):
        return pictures
    made = []
    for plane, chroma in zip(pictures, (False, True, True), strict=True):
        lengths = [length // 2 + length % 2 if chroma else length for length in size]
        out = np.empty((len(plane), *lengths), np.uint8)
        # Rows lie half-way between two luma rows, which is where planes have their middle.
        down = _bands(own[0], size[0], chroma, 0.5, device)
        across = _bands(own[1], size[1], chroma, 0.0, device)
        for number, picture in enumerate(plane):
            samples = torch.from_numpy(picture).to(device).float()
            samples = _along_rows(_along_rows(samples, down).mT, across).mT
            out[number] = (samples + 0.5).clamp_(0, 255.5).to(torch.uint8).cpu().numpy()
        made.append(out)
    return made[0], made[1], made[2]


def _along_rows(plane: Tensor, bands: Sequence[tuple[int, Tensor]]) -> Tensor:
    """New rows, each a sum of old ones."""
    return torch.cat([band @ plane[first : first + band.shape[1]] for first, band in bands])


@lru_cache(maxsize=32)
def _bands(
    old: int, new: int, chroma: bool, shift: float, device: torch.device
) -> list[tuple[int, Tensor]]:
    """What each sample of a line is a sum of.

    Args:
        old: Luma samples of the line before.
        new: And after.
        chroma: The samples in question are chroma, every other luma sample.
        shift: How far behind the luma sample, in luma samples, its chroma sample lies.
        device: Where the weights are needed.

    Returns:
        For every 64 new samples the first old one that counts, and weights (new, old).
    """
    ratio = old / new
    step, shift = (2, shift) if chroma else (1, 0.0)
    have, want = -(-old // step), -(-new // step)
    places = (torch.arange(want, dtype=torch.float64) * step + shift + 0.5) * ratio - 0.5 - shift
    places /= step
    reach = _LOBES * max(ratio, 1.0)
    taps = torch.arange(-ceil(reach), ceil(reach) + 1)
    whole = places.floor().long()[:, None] + taps
    distances = (whole - places[:, None]) / max(ratio, 1.0)
    weights = torch.sinc(distances) * torch.sinc(distances / _LOBES) * (distances.abs() < _LOBES)
    weights /= weights.sum(1, keepdim=True)
    whole = whole.clamp_(0, have - 1)
    found = []
    for start in range(0, want, _BAND):
        some = whole[start : start + _BAND]
        first, last = int(some.min()), int(some.max())
        band = torch.zeros(len(some), last - first + 1, dtype=torch.float64)
        band.scatter_add_(1, some - first, weights[start : start + _BAND])
        found.append((first, band.float().to(device)))
    return found


def blended(before: Planes, after: Planes, share: float) -> Planes:
    """A cross-fade of pictures.

    Args:
        before: B pictures in 8-bit 4:2:0.
        after: As many.
        share: Of the latter, 0 to 1.
    """
    weight = round(256 * share)
    y, u, v = (_mixed(a, b, weight) for a, b in zip(before, after, strict=True))
    return y, u, v


def _mixed(before: UInt8Array, after: UInt8Array, weight: int) -> UInt8Array:
    if weight in (0, 256):
        return after if weight else before
    total = before.astype(np.uint16) * (256 - weight) + after.astype(np.uint16) * weight
    mixed: UInt8Array = ((total + 128) >> 8).astype(np.uint8)
    return mixed


def joined(parts: Sequence[Planes]) -> Planes:
    """The pictures of all parts, one after the other."""
    y, u, v = (np.concatenate(planes) for planes in zip(*parts, strict=True))
    return y, u, v


def some(pictures: Planes, places: Sequence[int] | slice) -> Planes:
    """Some of the pictures."""
    y, u, v = (plane[places] for plane in pictures)
    return y, u, v


class CrossFade:
    """Pictures at any moment as mixtures of the two frames around it.

    Args:
        decode: Whole frames; see `nvcodec.reconstruction.segment_decoder.SegmentDecoder.planes`.
        batch: Frames to ask it for at a time.
    """

    def __init__(self, decode: Callable[[Sequence[int]], Planes], batch: int) -> None:
        self._decode, self._batch = decode, batch
        self._known: OrderedDict[int, Planes] = OrderedDict()

    def __call__(self, times: Sequence[float]) -> Planes:
        """Pictures at moments, in frames from the first one; those of whole ones as decoded."""
        needed = sorted({frame for time in times for frame in (floor(time), ceil(time))})
        missing = [frame for frame in needed if frame not in self._known]
        for start in range(0, len(missing), self._batch):
            numbers = missing[start : start + self._batch]
            made = self._decode(numbers)
            for place, number in enumerate(numbers):
                self._known[number] = some(made, slice(place, place + 1))
        for frame in needed:
            self._known.move_to_end(frame)
        known = dict(self._known)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return joined(
            [blended(known[floor(time)], known[ceil(time)], time - floor(time)) for time in times]
        )


def placed(
    times: Sequence[float],
    whole: Callable[[Sequence[int]], Planes],
    between: Callable[[Sequence[float]], Planes],
) -> Planes:
    """Pictures at moments from what makes whole frames and what makes those between them.

    Args:
        times: Moments in frames from the first one, at least one.
        whole: For those that are frames.
        between: For all others.
    """
    frames = [place for place, time in enumerate(times) if time == floor(time)]
    if len(frames) == len(times):
        return whole([int(time) for time in times])
    others = [place for place, time in enumerate(times) if time != floor(time)]
    made = between([times[place] for place in others])
    if not frames:
        return made
    both = joined([whole([int(times[place]) for place in frames]), made])
    return some(both, np.argsort([*frames, *others]).tolist())
