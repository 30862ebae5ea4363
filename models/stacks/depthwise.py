"""Depthwise convolution with a fast weight gradient on CPUs.

oneDNN takes about thirty times as long for that gradient as for the forward pass. Row by row, the
gradient is a banded correlation: products of a strip of the output's gradient with a slightly wider
strip of the input, of which only the diagonals count. Batched matrix products compute it three
times as fast as oneDNN, although most of their results are discarded.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_STRIP = 16  # columns per strip; 32 and 64 measured the same within noise


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        (gradient,) = gradients
        x_gradient = None
        if ctx.needs_input_grad[0]:
            # The kernel is odd and the padding half of it, so that the transposed convolution is
            # one with the flipped kernel.
            x_gradient = F.conv2d(
                gradient, weight.flip(2, 3), padding=weight.shape[-1] // 2, groups=x.shape[1]
            )
        kernel_gradient = weight_gradient(x, gradient, weight.shape[-1]).to(weight.dtype)
        bias_gradient = gradient.sum((0, 2, 3), dtype=torch.float32).to(weight.dtype)
        return x_gradient, kernel_gradient, bias_gradient


def weight_gradient(x: Tensor, gradient: Tensor, kernel: int) -> Tensor:
    """Compute the gradient of the weight of a depthwise convolution.

    Args:
        x: Input, shape (B, C, H, W).
        gradient: Gradient of the output, same shape; stride 1, padding `kernel // 2`.
        kernel: Side of the kernel, odd.

    Returns:
        Shape (C, 1, kernel, kernel), float32.
    """
    batch, channels, height, width = x.shape
    reach = kernel // 2
    strips = -(-width // _STRIP)
    margin = strips * _STRIP - width
    wide = _STRIP + kernel - 1
    rows = F.pad(gradient, (0, margin)).contiguous(memory_format=torch.contiguous_format)
    rows = rows.view(batch, channels, height, strips, _STRIP)
    rows = rows.permute(0, 1, 3, 4, 2).reshape(-1, _STRIP, height)
    columns = F.pad(x, (reach, reach + margin, reach, reach))
    columns = columns.contiguous(memory_format=torch.contiguous_format).unfold(3, wide, _STRIP)
    columns = columns.permute(0, 1, 3, 2, 4).reshape(-1, height + 2 * reach, wide)
    out = torch.empty(channels, 1, kernel, kernel)
    for i in range(kernel):
        products = torch.bmm(rows, columns[:, i : i + height])
        # Element (s, s + j) of each product belongs to tap j.
        diagonals = products.as_strided(
            (batch, channels, strips, _STRIP, kernel),
            (
                channels * strips * _STRIP * wide,
                strips * _STRIP * wide,
                _STRIP * wide,
                wide + 1,
                1,
            ),
        )
        out[:, 0, i] = diagonals.sum((0, 2, 3), dtype=torch.float32)
    return out


def depthwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply a depthwise convolution of stride 1 that keeps the size.

    Args:
        x: Input, shape (B, C, H, W).
        weight: Kernels, shape (C, 1, k, k), k odd.
        bias: Biases, shape (C,).

    Returns:
        Output, shape of `x`.
    """
    if x.device.type != "cpu" or not torch.is_grad_enabled():
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=x.shape[1])
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, weight, bias = x.to(dtype), weight.to(dtype), bias.to(dtype)
    out: Tensor = _Depthwise.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return out
