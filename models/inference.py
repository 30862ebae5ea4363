"""The fast way through an upsampling stack when nothing is being fitted.

Weights are prepared once: reordered, head folded, cast, laid out as the convolutions want them. On
a CPU, convolution and activation are one oneDNN call, which saves a pass over every large tensor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from nvcodec.models.base import VideoModel
from nvcodec.models.layers import depth_to_space

logger = logging.getLogger(__name__)

_Convolve = Callable[[Tensor, Tensor, Tensor, str], Tensor]

# oneDNN's names for the activations of `UpsamplingStack`.
_FUSED = {"gelu": "gelu", "silu": "swish", "none": "none"}


class Synthesis:
    """Decodes frames of one model.

    Args:
        model: A fitted model, on the device to decode on.
        dtype: Type the convolutions run in.
    """

    def __init__(self, model: VideoModel, dtype: torch.dtype) -> None:
        self.model = model
        self._dtype = dtype
        stack = model.stack
        with torch.no_grad():
            self._kernels = [
                (
                    weight.to(dtype).contiguous(memory_format=torch.channels_last),
                    bias.to(dtype).contiguous(),
                )
                for weight, bias in stack.kernels()
            ]
        self._shuffles = stack.shuffles()
        self._activation = stack.activation
        self._device = self._kernels[0][0].device
        self._convolve = _convolution(self._device, dtype)

    @torch.inference_mode()
    def __call__(self, index: Tensor) -> Tensor:
        """Decode frames.

        Args:
            index: Frame numbers in the segment, shape (B,), int64.

        Returns:
            As `VideoModel.planes`, float32.
        """
        return self._shuffled(self._head(index).float().tanh_().mul_(0.5).add_(0.5))

    @torch.inference_mode()
    def levels(self, index: Tensor) -> Tensor:
        """Decode frames to 8-bit samples.

        Args:
            index: Frame numbers in the segment, shape (B,), int64.

        Returns:
            As `VideoModel.planes`, times 255 and rounded to nearest, uint8.
        """
        # The range ends at 0.5 and 255.5, so cutting off the fraction rounds and needs no clamp.
        levels = self._head(index).float().tanh_().mul_(127.5).add_(128.0)
        return self._shuffled(levels.to(torch.uint8))

    def _head(self, index: Tensor) -> Tensor:
        """What the head makes, before the range and the last shuffle."""
        x = self.model.embed(index.to(self._device)).to(self._dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        *body, head = self._kernels
        for (weight, bias), scale in zip(body, self._shuffles, strict=False):
            x = depth_to_space(self._convolve(x, weight, bias, self._activation), scale)
        return self._convolve(x, *head, "none")

    def _shuffled(self, x: Tensor) -> Tensor:
        """The last shuffle, and the crop to the picture."""
        height, width = self.model.config.native_size
        x = self.model.stack.trim(depth_to_space(x, self._shuffles[-1]))
        return x[:, :, :height, :width]


def _plain(x: Tensor, weight: Tensor, bias: Tensor, activation: str) -> Tensor:
    x = F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)
    if activation == "none":
        return x
    return F.gelu(x) if activation == "gelu" else F.silu(x, inplace=True)


def _fused(x: Tensor, weight: Tensor, bias: Tensor, activation: str) -> Tensor:
    reach = weight.shape[-1] // 2
    out: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, weight, bias, [reach, reach], [1, 1], [1, 1], 1, _FUSED[activation], [], "none"
    )
    return out


def _convolution(device: torch.device, dtype: torch.dtype) -> _Convolve:
    """The fused call where it works here, the plain one elsewhere."""
    if device.type != "cpu":
        return _plain
    x, weight = torch.zeros(1, 2, 4, 4, dtype=dtype), torch.zeros(2, 2, 3, 3, dtype=dtype)
    try:
        _fused(x, weight, torch.zeros(2, dtype=dtype), "gelu")
    except (RuntimeError, AttributeError) as error:
        logger.info("no fused convolution here, plain ones instead: %s", error)
        return _plain
    return _fused
