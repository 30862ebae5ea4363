"""Inference of Instant-NGP: frames of a segment, and pictures at any time and size."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nvcodec.media import ColourMode
from nvcodec.models.ngp.model import NGP

# Number of points decoded at a time, and of their values before or within the perceptron: few enough
# for intermediate results to stay in the caches.
_POINTS_AT_A_TIME = 1 << 15
_VALUES_AT_A_TIME = 1 << 24
# Number of rows of a resized picture decoded at a time.
_ROWS_AT_A_TIME = 128
# Positions are rounded to this fraction of the distance between points.
_POSITIONS_PER_POINT = 1 << 16


class _LumaPositions(NamedTuple):
    """Positions of luma samples along an axis in each of the two phases of the points.

    Attributes:
        positions: Positions in the picture, shape (2, count), 0 to 1.
        weights: Weights of the samples there, shape (2, count); the two of a position have the
            sum 1.
    """

    positions: Tensor
    weights: Tensor


class PointSynthesis:
    """Decoder of frames of an Instant-NGP network.

    Args:
        model: Fitted model, on the device to decode on.
        dtype: Type in which the perceptron is computed.
    """

    def __init__(self, model: NGP, dtype: torch.dtype) -> None:
        self.model = model
        self._dtype = dtype
        self._device = next(model.parameters()).device

    @torch.inference_mode()
    def __call__(self, index: Tensor) -> Tensor:
        """Decode frames.

        Args:
            index: Frame numbers in the segment, shape (B,); fractions lie between frames.

        Returns:
            Frames in the layout of `VideoModel.planes`, float32 in [0, 1].
        """
        rows, columns = self._centres(self.model.config.native_size)
        return self._samples(index.to(self._device), rows, columns)

    @torch.inference_mode()
    def levels(self, index: Tensor) -> Tensor:
        """Decode frames to 8-bit samples.

        Args:
            index: Frame numbers in the segment, shape (B,); fractions lie between frames.

        Returns:
            Frames in the layout of `VideoModel.planes`, times 255 and rounded to nearest, uint8.
        """
        return _levels(self(index))

    @torch.inference_mode()
    def decode_at_size(self, times: Tensor, size: tuple[int, int]) -> tuple[Tensor, ...]:
        """Decode pictures of another size by evaluating the network at their points.

        In 4:2:0, a point has four luma samples, which were fitted at their positions around it. A
        luma sample at any position is a weighted mean of the four outputs, evaluated at four
        different points. An output has the more weight the nearer the position is to a luma sample
        of the video that was fitted to that output; at such a sample it has all the weight.

        Args:
            times: Times in frames from the first one, shape (B,).
            size: Height and width of the pictures.

        Returns:
            uint8 tensors. For RGB one, shape (B, 3, H, W). For 4:2:0 luma, shape (B, H, W), and
            chroma, shape (B, 2, ceil(H / 2), ceil(W / 2)), sited left like that of the video.
        """
        config = self.model.config
        times = times.to(self._device)
        if config.colour is ColourMode.RGB:
            rows, columns = self._centres(size)
            return (_levels(self._samples(times, rows, columns)),)
        luma = torch.zeros(len(times), *size, device=self._device)
        vertical, horizontal = (
            self._luma_positions(count, axis) for axis, count in enumerate(size)
        )
        columns, column_index = torch.unique(horizontal.positions, return_inverse=True)
        for top in range(0, size[0], _ROWS_AT_A_TIME):
            band = slice(top, top + _ROWS_AT_A_TIME)
            rows, row_index = torch.unique(vertical.positions[:, band], return_inverse=True)
            outputs = self._samples(times, rows, columns, slice(0, 4))
            for phase, output in enumerate(outputs.unbind(1)):
                row, column = divmod(phase, 2)
                weight = vertical.weights[row, band, None] * horizontal.weights[column]
                luma[:, band] += output[:, row_index[row]][:, :, column_index[column]] * weight
        rows, columns = (self._chroma_positions(count, axis) for axis, count in enumerate(size))
        return _levels(luma), _levels(self._samples(times, rows, columns, slice(4, 6)))

    def _luma_positions(self, count: int, axis: int) -> _LumaPositions:
        """Return the positions at which to evaluate the network for luma, along one axis.

        Args:
            count: Height or width of the picture.
            axis: 0 for height, 1 for width.
        """
        native = self.model.config.native_size[axis]
        length = self.model.config.size[axis]
        line = torch.arange(count, dtype=torch.float64)
        sample = (line + 0.5) * (length / count) - 0.5
        points = torch.stack([sample, sample - 1]) / 2
        weights = 1 - 2 * (points - points.round()).abs()
        # If the size is a multiple of the video's, the two phases have most positions in common.
        # Rounding makes these equal, so that they are evaluated once.
        positions = (points * _POSITIONS_PER_POINT).round() / _POSITIONS_PER_POINT
        positions = (positions + 0.5) / native
        return _LumaPositions(positions.float().to(self._device), weights.float().to(self._device))

    def _chroma_positions(self, count: int, axis: int) -> Tensor:
        """Return the positions of chroma samples along one axis, 0 to 1.

        Chroma lies between two luma rows, and at every other luma column.

        Args:
            count: Height or width of the picture in luma samples.
            axis: 0 for height, 1 for width.
        """
        native = self.model.config.native_size[axis]
        length = self.model.config.size[axis]
        shift = 0.5 if axis == 0 else 0.0
        sample = torch.arange(0, count, 2, device=self._device) + 0.5 + shift
        sample = sample * (length / count) - 0.5 - shift
        return (sample / 2 + 0.5) / native

    def _centres(self, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return the positions of the rows and columns of a picture, 0 to 1."""
        rows, columns = ((torch.arange(count, device=self._device) + 0.5) / count for count in size)
        return rows, columns

    def _samples(
        self, times: Tensor, rows: Tensor, columns: Tensor, channels: slice = slice(None)
    ) -> Tensor:
        """Evaluate the network at the points of a lattice, part by part.

        Args:
            times: Times in frames from the first one, shape (B,).
            rows: Positions of rows, shape (h,), 0 to 1.
            columns: Positions of columns, shape (w,), 0 to 1.
            channels: Channels to return.

        Returns:
            Shape (B, C, h, w), float32 in [0, 1].
        """
        count = len(range(self.model.config.colour.channels)[channels])
        samples = torch.empty(len(times), count, len(rows), len(columns), device=self._device)
        values = max(self.model.config.point_values)
        height = max(1, min(_POINTS_AT_A_TIME, _VALUES_AT_A_TIME // values) // len(columns))
        frames = max(1, height // len(rows))
        reduced = self._dtype is not torch.float32
        with torch.autocast(self._device.type, self._dtype, enabled=reduced):
            for first in range(0, len(times), frames):
                part_times = times[first : first + frames]
                for top in range(0, len(rows), height):
                    part = self.model.logits(part_times, rows[top : top + height], columns)
                    samples[first : first + frames, :, top : top + height] = part[:, channels]
        return samples.tanh_().mul_(0.5).add_(0.5)


def _levels(samples: Tensor) -> Tensor:
    # The range ends at 0.5 and 255.5, so that truncation rounds and needs no clamp.
    return samples.mul(255).add_(0.5).to(torch.uint8)
