"""The training batches of a fit: frames in random order, whole or cropped to windows."""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt
from typing import NamedTuple

import torch
from torch import Tensor

from nvcodec.config import FitConfig
from nvcodec.device import working_type
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.models.base.windows import Window

# If one batch holds all frames, an epoch is a single step, too little for the work that is due once
# per epoch. So many epochs then form a round, and that work is due once per round.
_EPOCHS_PER_ROUND = 8


class Batch(NamedTuple):
    """The data of one optimiser step.

    Attributes:
        window: Window of the frames; None for whole frames.
        inputs: Frames as an encoder sees them, shape (B, channels, H, W) on the padded grid.
        target: Samples that the network has to output, float32 in [0, 1], cropped to the window.
        valid_mask: Samples of the target that count, bool, same shape; None if all count.
    """

    window: Window | None
    inputs: Tensor
    target: Tensor
    valid_mask: Tensor | None


class Batches:
    """The batches of a fit.

    Args:
        samples: Frames, uint8, shape (T, channels, H, W) on the model's padded grid, on the device
            to compute on.
        valid_mask: Samples that count, bool, same shape; None if all count.
        network: Configuration of the network that is fitted.
        config: Configuration of the fit.
        generator: Generator of the order of frames and of the positions of windows.

    Attributes:
        samples: The frames.
        size: Number of frames of a batch.
        per_epoch: Number of batches of an epoch.
        epochs_per_round: Number of epochs of a round.
    """

    def __init__(
        self,
        samples: Tensor,
        valid_mask: Tensor | None,
        network: NetworkConfig,
        config: FitConfig,
        generator: torch.Generator,
    ) -> None:
        self._network, self._patch, self._generator = network, config.patch, generator
        self._valid_mask = valid_mask
        self.size = config.batch or network.recipe.batch
        self.per_epoch = -(-len(samples) // self.size)
        self.epochs_per_round = _EPOCHS_PER_ROUND if self.per_epoch == 1 else 1
        # If every batch holds all frames, they are not gathered frame by frame.
        self.samples = samples.contiguous() if self.epochs_per_round > 1 else samples
        # The batch of all whole frames, kept if every step uses it.
        self._full_batch: Batch | None = None

    def round(self) -> Iterator[Tensor]:
        """Yield the frame numbers of the batches of a round, each epoch in random order."""
        device = self.samples.device
        for _ in range(self.epochs_per_round):
            count = len(self.samples)
            if self.size >= count:
                yield torch.arange(count, device=device)
                continue
            order = torch.randperm(count, generator=self._generator)
            for index in order.split(self.size):  # type: ignore[no-untyped-call]
                yield index.to(device)

    def batch(self, index: Tensor) -> Batch:
        """Return the batch of some frames, cropped to a random window if the fit uses windows.

        Args:
            index: Frame numbers, shape (B,), on the device of the samples.
        """
        window = self._window(len(index))
        if window is None and self._full_batch is not None:
            return self._full_batch
        height, width = self._network.native_size
        area = window or Window(0, 0, height, width)
        if area.step > 1:
            # Only the sampled points are gathered: networks of points have no encoder that would
            # need whole frames.
            samples = inputs = self.samples[..., area.rows, area.columns][index]
        else:
            samples = self.samples[index]
            inputs = samples.to(working_type(index.device)).mul_(1 / 255)
            samples = samples[..., area.rows, area.columns]
        valid_mask = (
            None
            if self._valid_mask is None
            else self._valid_mask[..., area.rows, area.columns][index]
        )
        batch = Batch(window, inputs, samples.float().mul_(1 / 255), valid_mask)
        if window is None and self.epochs_per_round > 1:
            self._full_batch = batch
        return batch

    def match_layout(self, output: Tensor, batch: Batch) -> Batch:
        """Return a batch whose target has the memory layout of a model's output.

        Only a batch that later steps use again is converted. With equal layouts both tensors are
        read in one pass.

        Args:
            output: Output of the model for the batch.
            batch: Batch as `batch` returned it.
        """
        if self._full_batch is None or batch.target.stride() == output.stride():
            return batch
        target = torch.empty_like(output).copy_(batch.target)
        self._full_batch = batch._replace(target=target)
        return self._full_batch

    def _window(self, frames: int) -> Window | None:
        """Return the window of a step: points or a random square; None for whole frames."""
        height, width = self._network.native_size
        points = self._network.recipe.points
        if points is not None:
            step = max(1, isqrt(frames * height * width // points))
            top, left = torch.randint(step, (2,), generator=self._generator).tolist()
            return Window(min(top, height - 1), min(left, width - 1), height, width, step)
        side = self._patch
        if side is None or (side >= height and side >= width):
            return None
        corner = []
        for length in (height, width):
            room = max(length - side, 0)
            corner.append(int(torch.randint(room + 1, (), generator=self._generator)))
        top, left = corner
        return Window(top, left, min(top + side, height), min(left + side, width))
