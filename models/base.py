"""The contract between a network and the rest of the tool.

A model maps frame numbers to frames. What the stream carries of it is exactly `transmitted()`: the
weights and latents its configuration lists. It never sees a file, a colour matrix or a bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from nvcodec.errors import ConfigError
from nvcodec.media import ColourMode
from nvcodec.models.blocks import BlockStack
from nvcodec.models.boost import TimeBranch
from nvcodec.models.layers import UpsamplingStack, depth_to_space
from nvcodec.models.stack_config import StackConfig
from nvcodec.models.windows import Window


class VideoModel(nn.Module):
    """A network that is a video: frame numbers in, frames out.

    Attributes:
        config: What it was built from.
        time: What a boosted stack knows of a frame besides its embedding; None if it is not.
        stack: The layers from the embedding grid to the output samples.
        latents: Per-frame latents by name, each of shape (T, ...).
    """

    stack: UpsamplingStack | BlockStack

    # Whether `conditions` between frames make a picture between them.
    CONTINUOUS: ClassVar[bool] = True

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        self.config = config
        self.time = TimeBranch(config.frames, config.time_width) if config.boosted else None
        self.latents = nn.ParameterDict()

    def embed(self, index: Tensor) -> Tensor:
        """What the stack decodes: stored latents, or a function of time.

        Args:
            index: Frame numbers in the segment, shape (B,), int64.

        Returns:
            Shape (B, C, h, w) on the embedding grid, float.
        """
        raise NotImplementedError

    def conditions(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the stack decodes: embeddings, and for boosted stacks the vectors of time.

        Between frames both are interpolated linearly. Time itself is not: most frequencies of
        its code turn more than once from frame to frame, so that what a network makes of a time
        in between is noise (`benchmarks/continuous.py`).

        Args:
            index: Frame numbers in the segment, shape (B,), int64; or floating, where fractions
                lie between frames.
        """
        if not index.is_floating_point():
            return self.embed(index), None if self.time is None else self.time(index)
        (first, early), (second, late) = map(
            self.conditions, (index.floor().long(), index.ceil().long())
        )
        share = (index - index.floor()).to(first.dtype)[:, None]
        z = None if early is None or late is None else torch.lerp(early, late, share)
        return torch.lerp(first, second, share[:, :, None, None]), z

    def fit_encoder(self) -> nn.Module | None:
        """A network from frames to embeddings used only while fitting; None for most families.

        Its input is (B, channels, H, W) in [0, 1] on the padded grid.
        """
        return None

    def decode(self, embedding: Tensor, index: Tensor, window: Window | None = None) -> Tensor:
        """Frames on the padded grid, from their embeddings.

        Args:
            embedding: What `embed` gives of them, or an encoder.
            index: Frame numbers in the segment, shape (B,), int64.
            window: The part of the picture that is wanted; all of it by default.

        Returns:
            Shape (B, channels, H, W), in [0, 1].
        """
        if self.time is None:
            made: Tensor = self.stack(embedding, window)
        else:
            made = self.stack(embedding, window, self.time(index))
        return self.pick(made, index)

    def pick(self, made: Tensor, index: Tensor) -> Tensor:
        """Of what the stack makes, the frames that were asked for; all of it for most families.

        Args:
            made: Shape (B, channels, H, W), or that of all frames with them among the channels.
            index: Frame numbers in the segment, shape (B,), int64.
        """
        return made

    def planes(self, index: Tensor) -> Tensor:
        """Frames in the model's native layout, cropped to the picture.

        Args:
            index: Frame numbers in the segment, shape (B,), int64.

        Returns:
            In [0, 1]: RGB, shape (B, 3, H, W); or for 4:2:0, shape (B, 6, ceil(H/2), ceil(W/2)),
            four luma phases (top left, top right, bottom left, bottom right), then U and V.
        """
        height, width = self.config.native_size
        return self.decode(self.embed(index), index)[:, :, :height, :width]

    def forward(self, index: Tensor) -> Tensor:
        """Frames in the colour the model works in.

        Args:
            index: Frame numbers in the segment, shape (B,), int64.

        Returns:
            Shape (B, 3, H, W), in [0, 1]: R, G, B; or Y, U, V with each chroma sample repeated
            over the four luma samples it covers.
        """
        planes = self.planes(index)
        if self.config.colour is ColourMode.RGB:
            return planes
        luma = depth_to_space(planes[:, :4], 2)
        chroma = planes[:, 4:].repeat_interleave(2, 2).repeat_interleave(2, 3)
        height, width = self.config.size
        return torch.cat([luma, chroma], dim=1)[:, :, :height, :width]

    def transmitted(self) -> list[Tensor]:
        """The tensors of the stream, in the order of `config.tensors()`."""
        tensors = [
            parameter
            for module in self.modules()
            if isinstance(module, (nn.Conv2d, nn.Linear))
            for parameter in module.parameters(recurse=False)
        ]
        return tensors + list(self.latents.values())

    def load(self, tensors: Sequence[Tensor]) -> None:
        """Replace every transmitted tensor.

        Args:
            tensors: In the order of `config.tensors()`.

        Raises:
            ConfigError: If their number or shapes do not fit the configuration.
        """
        own = self.transmitted()
        if [tensor.shape for tensor in tensors] != [tensor.shape for tensor in own]:
            raise ConfigError(
                f"expected tensors of shapes {[tuple(tensor.shape) for tensor in own]}, got "
                f"{[tuple(tensor.shape) for tensor in tensors]}"
            )
        with torch.no_grad():
            for target, tensor in zip(own, tensors, strict=True):
                target.copy_(tensor)
