"""The batched computation of several NIRVANA networks that are fitted at the same time.

In so small a network, function calls cost more than arithmetic. One call therefore serves all
networks wherever the result of each network stays the same, bit for bit. This does not hold for
batched matrix products and grouped convolutions: libraries choose their kernels by batch size and
by the alignment of each operand. These are computed network by network, forward and backward, with
the calls that a network makes when it is alone in its batch, and on aligned operands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from nvcodec.models.base.pixel_shuffle import depth_to_space, phase_first
from nvcodec.models.nirvana.config import NirvanaConfig
from nvcodec.models.nirvana.model import patch_centres

# Alignment of the memory of new tensors in torch, in bytes.
_ALIGNMENT = 64


def render_batch(config: NirvanaConfig, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Render all frames of several groups whose networks have the same configuration.

    Args:
        config: Configuration of all networks.
        tensors: Tensors of the N networks, in the order of `config.tensors()`, each of shape
            (N, *shape).

    Returns:
        The frames of each network, shape (frames, channels, H, W) on the padded grid, float32 in
        [0, 1].
    """
    count, (height, width) = len(tensors[0]), config.grid
    pairs = list(zip(tensors[::2], tensors[1::2], strict=True))
    front = len(config.front())
    x = _positions(config, tensors[0].device).expand(count, -1, -1)
    x = _pointwise(x, pairs[:front], sine=True)
    # Channels last in memory, like the tensors of single networks.
    x = x.view(count, height, width, -1).permute(0, 3, 1, 2)
    for (weight, bias), (layer,) in zip(pairs[front:-1], config.blocks(), strict=True):
        weight, bias = (phase_first(tensor, layer.upscale, 1) for tensor in (weight, bias))
        if layer.kernel == 1:
            height, width = x.shape[2:]
            points = _pointwise(x.permute(0, 2, 3, 1).flatten(1, 2), [(weight, bias)], sine=False)
            x = points.view(count, height, width, -1).permute(0, 3, 1, 2)
        else:
            x = _joined(_convolved(x, weight, bias))
        x = depth_to_space(F.gelu(x), layer.upscale)
    # One network at a time, also because the rounding of torch's sigmoid depends on the position
    # of a value in its tensor.
    return [
        torch.sigmoid(2 * logits).view(config.frames, -1, *logits.shape[2:])
        for logits in _convolved(x, *pairs[-1])
    ]


@lru_cache(16)
def _positions(config: NirvanaConfig, device: torch.device) -> Tensor:
    """Return the centres of all patches, shape (1, positions, 2), which every step needs."""
    return patch_centres(config, device).flatten(1).T[None]


def _pointwise(x: Tensor, layers: Sequence[tuple[Tensor, Tensor]], *, sine: bool) -> Tensor:
    """Apply layers of kernel 1 at every position, shape (N, positions, channels) in and out.

    Args:
        x: Features of every network.
        layers: Weights and biases of each layer, both with a first axis of networks.
        sine: Whether a sine follows every layer.
    """
    parameters = [
        tensor.flatten(2) if tensor.dim() > 2 else tensor for pair in layers for tensor in pair
    ]
    return cast(Tensor, _Pointwise.apply(x, sine, *parameters))  # type: ignore[no-untyped-call]


class _Pointwise(torch.autograd.Function):
    """A chain of matrix products, one network at a time, each optionally followed by a sine.

    The gradients are written by hand because recording so many small calls for autograd takes
    longer than the calls themselves.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, sine: bool, *parameters: Tensor) -> Tensor:
        weights = [_aligned(torch.split(weight, 1)) for weight in parameters[::2]]
        biases = [torch.split(bias[:, None], 1) for bias in parameters[1::2]]
        outputs, saved = [], []
        for network, features in enumerate(_aligned(torch.split(x, 1))):
            calls = []
            for weight, bias in zip(weights, biases, strict=True):
                product = torch.baddbmm(bias[network], features, weight[network].mT)
                calls.append((features, weight[network], product))
                features = product.sin() if sine else product
            outputs.append(features)
            saved.append(calls)
        ctx.saved, ctx.sine = saved, sine  # type: ignore[attr-defined]
        return torch.cat(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        sine, needs_x = ctx.sine, ctx.needs_input_grad[0]  # type: ignore[attr-defined]
        x_gradients, parameter_gradients = [], []
        parts = _aligned(torch.split(gradient, 1))
        for part, calls in zip(parts, ctx.saved, strict=True):  # type: ignore[attr-defined]
            of_network: list[Tensor] = []
            for number, (x, weight, product) in reversed(list(enumerate(calls))):
                if sine:
                    part = part * product.cos()
                of_network += [part.sum(1), x.mT.bmm(part)]
                if number or needs_x:
                    part = part.bmm(weight)
            x_gradients.append(part)
            parameter_gradients.append(of_network[::-1])
        gradients = [torch.cat(networks) for networks in zip(*parameter_gradients, strict=True)]
        gradients[::2] = [weight.mT for weight in gradients[::2]]
        return torch.cat(x_gradients) if needs_x else None, None, *gradients


def _convolved(x: Tensor, weight: Tensor, bias: Tensor) -> list[Tensor]:
    """Convolve the features of each network with the network's own kernel."""
    padding = weight.shape[-1] // 2
    networks = zip(_aligned(torch.split(x, 1)), _aligned(weight), _aligned(bias), strict=True)
    return [
        F.conv2d(features, kernel, offset, padding=padding) for features, kernel, offset in networks
    ]


def _aligned(parts: Iterable[Tensor]) -> list[Tensor]:
    """Copy the slices of a batch whose memory is not aligned like that of a new tensor.

    On some processors, MKL adds up in another order if a matrix does not begin at a multiple of 16
    bytes. Whether a slice does depends on its position in the batch.
    """
    return [part if part.data_ptr() % _ALIGNMENT == 0 else part.clone() for part in parts]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate tensors of shape (1, ...); see `_Joined`."""
    return cast(Tensor, _Joined.apply(*parts))  # type: ignore[no-untyped-call]


class _Joined(torch.autograd.Function):
    """Concatenation whose backward pass returns an aligned gradient for every part."""

    @staticmethod
    def forward(ctx: FunctionCtx, *parts: Tensor) -> Tensor:
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, ...]:
        return tuple(_aligned(torch.split(gradient, 1)))
