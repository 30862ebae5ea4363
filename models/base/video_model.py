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
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.models.base.pixel_shuffle import depth_to_space
from nvcodec.models.base.windows import Window


class VideoModel(nn.Module):
    """A network that is a video: frame numbers in, frames out.

    Attributes:
        config: What it was built from.
        latents: Per-frame latents by name, each of shape (T, ...).
    """

    config: NetworkConfig

    # Whether frame numbers between two mean a picture between them.
    CONTINUOUS: ClassVar[bool] = True

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.latents = nn.ParameterDict()

    def render(
        self, index: Tensor, window: Window | None = None, found: Tensor | None = None
    ) -> Tensor:
        """Frames on the padded grid.

        Args:
            index: Frame numbers in the segment, shape (B,), int64.
            window: The part of the picture that is wanted; all of it by default.
            found: What the fit-time encoder makes of these frames, in place of stored latents.

        Returns:
            Shape (B, channels, H, W), in [0, 1].
        """
        raise NotImplementedError

    def set_tokens(self, codes: Tensor) -> None:
        """Take the codes of the segment's tokens, for models whose configuration says so.

        Args:
            codes: In [-1, 1], shape (t, 6, h, w).
        """
        raise NotImplementedError

    def fit_encoder(self) -> nn.Module | None:
        """A network from frames to embeddings used only while fitting; None for most families.

        Its input is (B, channels, H, W) in [0, 1] on the padded grid.
        """
        return None

    def compile_for_fitting(self) -> None:
        """Let `torch.compile` have what a step spends its time in."""
        raise NotImplementedError

    def planes(self, index: Tensor) -> Tensor:
        """Frames in the model's native layout, cropped to the picture.

        Args:
            index: Frame numbers in the segment, shape (B,), int64.

        Returns:
            In [0, 1]: RGB, shape (B, 3, H, W); or for 4:2:0, shape (B, 6, ceil(H/2), ceil(W/2)),
            four luma phases (top left, top right, bottom left, bottom right), then U and V.
        """
        height, width = self.config.native_size
        return self.render(index)[:, :, :height, :width]

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
