"""Decoding networks of points: frames as they are stored, and at any moment and size."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nvcodec.media import ColourMode
from nvcodec.models.ngp.model import NGP

# Points decoded at a time: what they make on their way stays in the caches.
_PART = 1 << 15
# Rows of another size made at a time.
_BAND = 128
# Places are told apart to such a part of a point.
_FINE = 1 << 16


class _LumaPlaces(NamedTuple):
    """Where to look for the luma of a line.

    Attributes:
        places: In each phase of the points, shape (2, count), 0 to 1.
        shares: What is found there counts, likewise; both together one.
    """

    places: Tensor
    shares: Tensor


class PointSynthesis:
    """Decodes frames of a coordinate network.

    Args:
        model: A fitted model, on the device to decode on.
        dtype: Type the perceptron runs in.
    """

    def __init__(self, model: NGP, dtype: torch.dtype) -> None:
        self.model = model
        self._dtype = dtype
        self._device = next(model.parameters()).device

    @torch.inference_mode()
    def __call__(self, index: Tensor) -> Tensor:
        """Decode frames.

        Args:
            index: Frame numbers in the segment, shape (B,); fractions are moments between two.

        Returns:
            As `VideoModel.planes`, float32.
        """
        rows, columns = self._centres(self.model.config.native_size)
        return self._samples(index.to(self._device), rows, columns)

    @torch.inference_mode()
    def levels(self, index: Tensor) -> Tensor:
        """Decode frames to 8-bit samples.

        Args:
            index: Frame numbers in the segment, shape (B,); fractions are moments between two.

        Returns:
            As `VideoModel.planes`, times 255 and rounded to nearest, uint8.
        """
        return _levels(self(index))

    @torch.inference_mode()
    def sized(self, times: Tensor, size: tuple[int, int]) -> tuple[Tensor, ...]:
        """Pictures of another size, by asking the network for their points.

        A point of 4:2:0 has four luma samples, fitted where they lie around it. Luma anywhere is
        found in all four ways, of which the nearer to a fitted one counts the more: where a luma
        sample of the video lies, only its own.

        Args:
            times: In frames from the first one, shape (B,).
            size: Wanted height and width.

        Returns:
            uint8; for RGB one tensor, (B, 3, H, W); for 4:2:0 luma, (B, H, W), and chroma,
            (B, 2, ceil(H / 2), ceil(W / 2)), sited left as the video's.
        """
        config = self.model.config
        times = times.to(self._device)
        if config.colour is ColourMode.RGB:
            rows, columns = self._centres(size)
            return (_levels(self._samples(times, rows, columns)),)
        luma = torch.zeros(len(times), *size, device=self._device)
        down, across = (self._luma_places(count, axis) for axis, count in enumerate(size))
        columns, of_column = torch.unique(across.places, return_inverse=True)
        for top in range(0, size[0], _BAND):
            band = slice(top, top + _BAND)
            rows, of_row = torch.unique(down.places[:, band], return_inverse=True)
            found = self._samples(times, rows, columns, slice(0, 4))
            for phase, part in enumerate(found.unbind(1)):
                row, column = divmod(phase, 2)
                share = down.shares[row, band, None] * across.shares[column]
                luma[:, band] += part[:, of_row[row]][:, :, of_column[column]] * share
        rows, columns = (self._chroma_places(count, axis) for axis, count in enumerate(size))
        return _levels(luma), _levels(self._samples(times, rows, columns, slice(4, 6)))

    def _luma_places(self, count: int, axis: int) -> _LumaPlaces:
        native = self.model.config.native_size[axis]
        length = self.model.config.size[axis]
        line = torch.arange(count, dtype=torch.float64)
        sample = (line + 0.5) * (length / count) - 0.5
        points = torch.stack([sample, sample - 1]) / 2
        shares = 1 - 2 * (points - points.round()).abs()
        # Where a size is a multiple of the video's, both phases ask for the same places but for a
        # few: rounded, these are equal.
        places = (points * _FINE).round() / _FINE
        places = (places + 0.5) / native
        return _LumaPlaces(places.float().to(self._device), shares.float().to(self._device))

    def _chroma_places(self, count: int, axis: int) -> Tensor:
        """Where the chroma of a line is; between two luma rows, but at every other luma column."""
        native = self.model.config.native_size[axis]
        length = self.model.config.size[axis]
        shift = 0.5 if axis == 0 else 0.0
        sample = torch.arange(0, count, 2, device=self._device) + 0.5 + shift
        sample = sample * (length / count) - 0.5 - shift
        return (sample / 2 + 0.5) / native

    def _centres(self, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Where the rows and the columns of a picture lie."""
        rows, columns = ((torch.arange(count, device=self._device) + 0.5) / count for count in size)
        return rows, columns

    def _samples(
        self, times: Tensor, rows: Tensor, columns: Tensor, channels: slice = slice(None)
    ) -> Tensor:
        """Channels of a lattice, part by part, in [0, 1], float32."""
        count = len(range(self.model.config.colour.channels)[channels])
        made = torch.empty(len(times), count, len(rows), len(columns), device=self._device)
        some = max(1, _PART // len(columns))  # rows of a part
        frames = max(1, some // len(rows))
        reduced = self._dtype is not torch.float32
        with torch.autocast(self._device.type, self._dtype, enabled=reduced):
            for first in range(0, len(times), frames):
                moments = times[first : first + frames]
                for top in range(0, len(rows), some):
                    part = self.model.logits(moments, rows[top : top + some], columns)
                    made[first : first + frames, :, top : top + some] = part[:, channels]
        return made.tanh_().mul_(0.5).add_(0.5)


def _levels(samples: Tensor) -> Tensor:
    # The range ends at 0.5 and 255.5, so cutting off the fraction rounds and needs no clamp.
    return samples.mul(255).add_(0.5).to(torch.uint8)
