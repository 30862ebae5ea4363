"""Inference of fitted stacks of convolutions, faster than the modules that are fitted.

Weights are prepared once: they are cast and laid out in channels-last order. In plain stacks they
are also reordered for the pixel shuffles, and the head is folded. On a CPU, convolution and
activation of a plain stack are one oneDNN call, which saves a pass over every large tensor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from copy import deepcopy
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nvcodec.models.base.pixel_shuffle import depth_to_space
from nvcodec.models.stacks.blocks import BlockStack, apply_stage
from nvcodec.models.stacks.layers import UpsamplingStack
from nvcodec.models.stacks.model import StackModel

logger = logging.getLogger(__name__)

_Convolve = Callable[[Tensor, Tensor, Tensor, str], Tensor]

# oneDNN's names for the activations of `UpsamplingStack`.
_FUSED = {"gelu": "gelu", "silu": "swish", "none": "none"}


class Synthesis:
    """Decoder of frames of one stack of convolutions.

    Args:
        model: Fitted model, on the device to decode on.
        dtype: Type in which the convolutions are computed.
    """

    def __init__(self, model: StackModel, dtype: torch.dtype) -> None:
        self.model = model
        self._dtype = dtype
        self._device = next(model.parameters()).device
        stack = model.stack
        self._stack: _Plain | _Blocks
        if isinstance(stack, UpsamplingStack):
            self._stack = _Plain(stack, dtype, self._device)
        else:
            self._stack = _Blocks(stack, dtype)

    @torch.inference_mode()
    def __call__(self, index: Tensor) -> Tensor:
        """Decode frames.

        Args:
            index: Frame numbers in the segment, shape (B,), int64.

        Returns:
            Frames in the layout of `VideoModel.planes`, float32 in [0, 1].
        """
        return self._shuffled(self._head(index).float().tanh_().mul_(0.5).add_(0.5), index)

    @torch.inference_mode()
    def levels(self, index: Tensor) -> Tensor:
        """Decode frames to 8-bit samples.

        Args:
            index: Frame numbers in the segment, shape (B,), int64; or floating-point numbers, whose
                fractions lie between frames.

        Returns:
            Frames in the layout of `VideoModel.planes`, times 255 and rounded to nearest, uint8.
        """
        # tanh(x) / 2 + 1 / 2 is sigmoid(2 x), which takes a fifth of the time. The range ends at
        # 0.5 and 255.5, so that truncation rounds and needs no clamp.
        levels = self._head(index).float().mul_(2.0).sigmoid_().mul_(255.0).add_(0.5)
        return self._shuffled(levels.to(torch.uint8), index)

    def _head(self, index: Tensor) -> Tensor:
        """Return the output of the head, before the last shuffle and the mapping to [0, 1]."""
        x, z = self.model.stack_inputs(index.to(self._device))
        return self._stack(x.to(self._dtype).contiguous(memory_format=torch.channels_last), z)

    def _shuffled(self, x: Tensor, index: Tensor) -> Tensor:
        """Apply the last shuffle, select the frames and crop them to the picture."""
        height, width = self.model.config.native_size
        frames = self.model.select_frames(self._stack.shuffled(x), index.to(self._device))
        return frames[:, :, :height, :width]


class _Blocks:
    """A stack of arbitrary blocks, the last one and the head in float32.

    With the last block in bfloat16 as well, up to 1 % of the samples of fitted networks were off by
    more than one level of 255. With it in float32, none were.
    """

    def __init__(self, stack: BlockStack, dtype: torch.dtype) -> None:
        own = deepcopy(stack)
        last = len(own.stages) - own.per_block
        for number, stage in enumerate(own.stages):
            stage.to(dtype if number < last else torch.float32)
        self._stages: list[tuple[nn.Module, torch.dtype]] = [
            (stage, next(stage.parameters()).dtype)
            for stage in own.to(memory_format=torch.channels_last).stages  # type: ignore[call-overload]
        ]
        self._head = own.head.float()

    def __call__(self, x: Tensor, z: Tensor | None) -> Tensor:
        for stage, dtype in self._stages:
            x = apply_stage(stage, x.to(dtype), None if z is None else z.to(dtype))
        logits: Tensor = self._head(x)
        return logits

    def shuffled(self, x: Tensor) -> Tensor:
        return x


class _Plain:
    """A plain stack with its weights reordered and its head folded."""

    def __init__(self, stack: UpsamplingStack, dtype: torch.dtype, device: torch.device) -> None:
        with torch.no_grad():
            self._kernels = [
                (
                    weight.to(dtype).contiguous(memory_format=torch.channels_last),
                    bias.to(dtype).contiguous(),
                )
                for weight, bias in stack.kernels()
            ]
        self._shuffles = stack.shuffles()
        self._trim, self._activation = stack.trim, stack.activation
        self._convolve = _convolution(device, dtype)

    def __call__(self, x: Tensor, _: Tensor | None) -> Tensor:
        *body, head = self._kernels
        for (weight, bias), scale in zip(body, self._shuffles, strict=False):
            x = depth_to_space(self._convolve(x, weight, bias, self._activation), scale)
        return self._convolve(x, *head, "none")

    def shuffled(self, x: Tensor) -> Tensor:
        return self._trim(depth_to_space(x, self._shuffles[-1]))


def _plain_convolution(x: Tensor, weight: Tensor, bias: Tensor, activation: str) -> Tensor:
    x = F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)
    if activation == "none":
        return x
    return F.gelu(x) if activation == "gelu" else F.silu(x, inplace=True)


def _fused_convolution(x: Tensor, weight: Tensor, bias: Tensor, activation: str) -> Tensor:
    reach = weight.shape[-1] // 2
    out: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, weight, bias, [reach, reach], [1, 1], [1, 1], 1, _FUSED[activation], [], "none"
    )
    return out


@cache
def _convolution(device: torch.device, dtype: torch.dtype) -> _Convolve:
    """Return the fused convolution if it works on this device, else the plain one."""
    if device.type != "cpu":
        return _plain_convolution
    x, weight = torch.zeros(1, 2, 4, 4, dtype=dtype), torch.zeros(2, 2, 3, 3, dtype=dtype)
    try:
        _fused_convolution(x, weight, torch.zeros(2, dtype=dtype), "gelu")
    except (RuntimeError, AttributeError) as error:
        logger.info("fused convolutions are not available, plain ones are used: %s", error)
        return _plain_convolution
    return _fused_convolution
