"""Resampling of decoded pictures to another size, and cross-fades between frames.

Pictures are resampled with a separable Lanczos kernel of three lobes, in float32, and rounded once.
For a smaller size the kernel is wider by the same factor, to avoid aliasing. Samples on the border
are repeated. Chroma keeps its 4:2:0 position, sited left as in `nvcodec.video.colour`: chroma planes
that were scaled on their own would move by up to half a luma sample of the smaller picture.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import ceil, floor

import numpy as np
import torch
from torch import Tensor

from nvcodec.host.settings import OwnSettings
from nvcodec.media import Planes, UInt8Array

_LOBES = 3
# Frames that a cross-fade keeps. Playback needs the last two, and the first at the change of segments.
_CACHED_FRAMES = 4
# New samples per matrix product. The matrix of all weights is sparse; a band of 64 rows is nearly full.
_BAND = 64


def resampled(pictures: Planes, size: tuple[int, int], device: torch.device) -> Planes:
    """Resample pictures to another size.

    Args:
        pictures: B pictures in 8-bit 4:2:0.
        size: Height and width of the result, samples.
        device: Device that computes.

    Returns:
        B pictures; `pictures` itself if the size is the same.
    """
    if pictures[0].shape[1:] == tuple(size):
        return pictures
    with OwnSettings(device.type):
        return _resample(pictures, size, device)


def _resample(pictures: Planes, size: tuple[int, int], device: torch.device) -> Planes:
    """Resample pictures to another size; see `resampled`."""
    old_size = pictures[0].shape[1:]
    planes = []
    for plane, chroma in zip(pictures, (False, True, True), strict=True):
        lengths = [length // 2 + length % 2 if chroma else length for length in size]
        out = np.empty((len(plane), *lengths), np.uint8)
        # Vertically, chroma rows lie half-way between two luma rows. Horizontally, chroma columns lie
        # on luma columns.
        down = _bands(old_size[0], size[0], chroma, 0.5, device)
        across = _bands(old_size[1], size[1], chroma, 0.0, device)
        for number, picture in enumerate(plane):
            samples = torch.from_numpy(picture).to(device).float()
            samples = _along_rows(_along_rows(samples, down).mT, across).mT
            out[number] = (samples + 0.5).clamp_(0, 255.5).to(torch.uint8).cpu().numpy()
        planes.append(out)
    return planes[0], planes[1], planes[2]


def _along_rows(plane: Tensor, bands: Sequence[tuple[int, Tensor]]) -> Tensor:
    """Return new rows, each a weighted sum of old rows."""
    return torch.cat([band @ plane[first : first + band.shape[1]] for first, band in bands])


@lru_cache(maxsize=32)
def _bands(
    old: int, new: int, chroma: bool, shift: float, device: torch.device
) -> list[tuple[int, Tensor]]:
    """Return the weights of old samples in each new sample of a line.

    Args:
        old: Length of the line before resampling, luma samples.
        new: Length of the line after resampling, luma samples.
        chroma: Whether the line is one of chroma, with a sample for every second luma sample.
        shift: Distance of a chroma sample after its luma sample, luma samples.
        device: Device to store the weights on.

    Returns:
        For every 64 new samples: the number of the first old sample with a weight, and the weights,
        shape (new samples, old samples).
    """
    ratio = old / new
    spacing, shift = (2, shift) if chroma else (1, 0.0)
    old_count, new_count = -(-old // spacing), -(-new // spacing)
    positions = torch.arange(new_count, dtype=torch.float64) * spacing + shift + 0.5
    positions = (positions * ratio - 0.5 - shift) / spacing
    reach = _LOBES * max(ratio, 1.0)
    taps = torch.arange(-ceil(reach), ceil(reach) + 1)
    sources = positions.floor().long()[:, None] + taps
    distances = (sources - positions[:, None]) / max(ratio, 1.0)
    weights = torch.sinc(distances) * torch.sinc(distances / _LOBES) * (distances.abs() < _LOBES)
    weights /= weights.sum(1, keepdim=True)
    sources = sources.clamp_(0, old_count - 1)
    bands = []
    for start in range(0, new_count, _BAND):
        columns = sources[start : start + _BAND]
        first, last = int(columns.min()), int(columns.max())
        band = torch.zeros(len(columns), last - first + 1, dtype=torch.float64)
        band.scatter_add_(1, columns - first, weights[start : start + _BAND])
        bands.append((first, band.float().to(device)))
    return bands


def blended(before: Planes, after: Planes, share: float) -> Planes:
    """Cross-fade pictures.

    Args:
        before: B pictures in 8-bit 4:2:0.
        after: B pictures in 8-bit 4:2:0.
        share: Weight of `after`, 0 to 1.
    """
    weight = round(256 * share)
    y, u, v = (_blend_plane(a, b, weight) for a, b in zip(before, after, strict=True))
    return y, u, v


def _blend_plane(before: UInt8Array, after: UInt8Array, weight: int) -> UInt8Array:
    """Blend two planes; the weight of `after` is in 1/256."""
    if weight in (0, 256):
        return after if weight else before
    total = before.astype(np.uint16) * (256 - weight) + after.astype(np.uint16) * weight
    plane: UInt8Array = ((total + 128) >> 8).astype(np.uint8)
    return plane


def joined(parts: Sequence[Planes]) -> Planes:
    """Concatenate the pictures of all parts."""
    y, u, v = (np.concatenate(planes) for planes in zip(*parts, strict=True))
    return y, u, v


def select(pictures: Planes, places: Sequence[int] | slice) -> Planes:
    """Return the pictures at some places, in that order."""
    y, u, v = (plane[places] for plane in pictures)
    return y, u, v


class CrossFade:
    """Interpolates pictures at any time by a cross-fade of the two frames around it.

    Args:
        decode: Function that decodes frames by number, such as `SegmentDecoder.planes`.
        batch: Number of frames to decode at a time.
    """

    def __init__(self, decode: Callable[[Sequence[int]], Planes], batch: int) -> None:
        self._decode, self._batch = decode, batch
        self._cache: OrderedDict[int, Planes] = OrderedDict()

    def __call__(self, times: Sequence[float]) -> Planes:
        """Decode frames, and cross-fade between them.

        Args:
            times: Times in frames from the first one. At whole numbers, pictures are those decoded.
        """
        needed = sorted({frame for time in times for frame in (floor(time), ceil(time))})
        missing = [frame for frame in needed if frame not in self._cache]
        for start in range(0, len(missing), self._batch):
            numbers = missing[start : start + self._batch]
            decoded = self._decode(numbers)
            for place, number in enumerate(numbers):
                self._cache[number] = select(decoded, slice(place, place + 1))
        for frame in needed:
            self._cache.move_to_end(frame)
        frames = dict(self._cache)
        while len(self._cache) > _CACHED_FRAMES:
            self._cache.popitem(last=False)
        return joined(
            [blended(frames[floor(time)], frames[ceil(time)], time - floor(time)) for time in times]
        )


def decode_times(
    times: Sequence[float],
    whole: Callable[[Sequence[int]], Planes],
    between: Callable[[Sequence[float]], Planes],
) -> Planes:
    """Decode pictures at any times, with one function for frames and one for times between them.

    Args:
        times: Times in frames from the first one, at least one.
        whole: Function that decodes frames by number.
        between: Function that interpolates pictures at times between frames.

    Returns:
        Pictures in the order of `times`.
    """
    frames = [place for place, time in enumerate(times) if time == floor(time)]
    if len(frames) == len(times):
        return whole([int(time) for time in times])
    others = [place for place, time in enumerate(times) if time != floor(time)]
    interpolated = between([times[place] for place in others])
    if not frames:
        return interpolated
    both = joined([whole([int(times[place]) for place in frames]), interpolated])
    return select(both, np.argsort([*frames, *others]).tolist())
