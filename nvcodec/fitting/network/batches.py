"""What the steps of a fit look at: frames in random order, whole or windows of them."""

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

# Where a step takes all frames at once, so many passes make a round: what is due once per epoch is
# then due once per round, as one step is neither worth it nor tells much.
_PASSES = 8


class Batch(NamedTuple):
    """What one step looks at.

    Attributes:
        window: The part of the picture; None for all of it.
        inputs: The frames, as an encoder sees them.
        target: What is to be made of them, float32 in [0, 1], of the picture or its part.
        valid_mask: Which samples of the target count, bool; None if all do.
    """

    window: Window | None
    inputs: Tensor
    target: Tensor
    valid_mask: Tensor | None


class Batches:
    """The batches of a fit.

    Args:
        samples: uint8, shape (T, channels, H, W) on the model's padded grid, on the device to
            compute on.
        valid_mask: bool, of the same shape: which samples count; None if all do.
        network: What is fitted.
        config: How.
        generator: Of the order of frames, and of where windows lie.

    Attributes:
        samples: As given.
        size: Frames of a batch.
        per_epoch: Batches of an epoch.
        passes: Epochs of a round.
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
        self.passes = _PASSES if self.per_epoch == 1 else 1
        # Where every step sees all frames they are not gathered frame by frame.
        self.samples = samples.contiguous() if self.passes > 1 else samples
        self._whole: Batch | None = None  # what every step sees, if it sees all there is

    def round(self) -> Iterator[Tensor]:
        """Frame numbers of the batches of an epoch, or of several, each in random order."""
        device = self.samples.device
        for _ in range(self.passes):
            count = len(self.samples)
            if self.size >= count:
                yield torch.arange(count, device=device)
                continue
            order = torch.randperm(count, generator=self._generator)
            for index in order.split(self.size):  # type: ignore[no-untyped-call]
                yield index.to(device)

    def batch(self, index: Tensor) -> Batch:
        """The frames of these numbers, or a part of them."""
        window = self._window(len(index))
        if window is None and self._whole is not None:
            return self._whole
        height, width = self._network.native_size
        seen = window or Window(0, 0, height, width)
        if seen.step > 1:
            # Only what is looked at is gathered; networks of points have no encoder to see frames.
            levels = inputs = self.samples[..., seen.rows, seen.columns][index]
        else:
            levels = self.samples[index]
            inputs = levels.to(working_type(index.device)).mul_(1 / 255)
            levels = levels[..., seen.rows, seen.columns]
        valid_mask = (
            None
            if self._valid_mask is None
            else self._valid_mask[..., seen.rows, seen.columns][index]
        )
        made = Batch(window, inputs, levels.float().mul_(1 / 255), valid_mask)
        if window is None and self.passes > 1:
            self._whole = made
        return made

    def laid_out_as(self, output: Tensor, batch: Batch) -> Batch:
        """The same batch, with its target in memory as a model's output, if it will be seen again.

        Laid out alike, both are read in one go.
        """
        if self._whole is None or batch.target.stride() == output.stride():
            return batch
        target = torch.empty_like(output).copy_(batch.target)
        self._whole = batch._replace(target=target)
        return self._whole

    def _window(self, frames: int) -> Window | None:
        """What a step looks at, if not at whole frames: points, or a random square of a patch."""
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
