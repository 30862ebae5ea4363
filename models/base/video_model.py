"""The base class of networks: the interface between a network, its fitter and its decoder.

A model maps frame numbers to frames. The stream stores exactly the tensors of `transmitted()`, the
weights and latents that the configuration lists. Files, colour matrices and bits are no concern of
a model.
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
    """A network that represents a segment: frame numbers in, frames out.

    Attributes:
        config: Configuration of the network.
        latents: Per-frame latents by name, each of shape (T, ...).
    """

    config: NetworkConfig

    # Whether a fractional frame number gives a picture between two frames.
    CONTINUOUS: ClassVar[bool] = True

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.latents = nn.ParameterDict()

    def render(
        self, index: Tensor, window: Window | None = None, embedding: Tensor | None = None
    ) -> Tensor:
        """Render frames on the padded grid.

        Args:
            index: Frame numbers in the segment, shape (B,), int64.
            window: Part of the picture to return; all of it by default.
            embedding: Output of the fit-time encoder for these frames, which replaces the stored
                latents; None to use the latents.

        Returns:
            Shape (B, channels, H, W), in [0, 1].
        """
        raise NotImplementedError

    def set_tokens(self, codes: Tensor) -> None:
        """Set the codes of the segment's tokens; only for models conditioned on tokens.

        Args:
            codes: FSQ codes in [-1, 1], shape (t, 6, h, w).
        """
        raise NotImplementedError

    def fit_encoder(self) -> nn.Module | None:
        """Return the network from frames to embeddings that fitting uses; None for most families.

        The input of that network is (B, channels, H, W), in [0, 1], on the padded grid.
        """
        return None

    def compile_for_fitting(self) -> None:
        """Compile the modules that take most of an optimiser step with `torch.compile`."""
        raise NotImplementedError

    def planes(self, index: Tensor) -> Tensor:
        """Render frames in the model's native layout, cropped to the picture.

        Args:
            index: Frame numbers in the segment, shape (B,), int64.

        Returns:
            In [0, 1]: RGB, shape (B, 3, H, W); or for 4:2:0, shape (B, 6, ceil(H/2), ceil(W/2)),
            four luma phases (top left, top right, bottom left, bottom right), then U and V.
        """
        height, width = self.config.native_size
        return self.render(index)[:, :, :height, :width]

    def forward(self, index: Tensor) -> Tensor:
        """Render frames in the colour space of the model, at full resolution.

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
        """Return the tensors of the stream, in the order of `config.tensors()`."""
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
            tensors: New values, in the order of `config.tensors()`.

        Raises:
            ConfigError: If the number or the shapes of the tensors do not fit the configuration.
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
