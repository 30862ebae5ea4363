"""Several of NIRVANA's networks computed as one, while they are fitted.

In so small a network calls cost more than arithmetic. One call therefore serves all networks
wherever the result of each network stays the same, bit for bit. That is not so for batched matrix
products and grouped convolutions: libraries choose their kernels by batch size and by the alignment
of each operand. These are computed network by network, forward and backward, with the calls that
a network makes when it is alone in its batch, and on aligned operands.
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

# What torch aligns the memory of new tensors to, in bytes.
_ALIGNMENT = 64


def render_batch(config: NirvanaConfig, tensors: Sequence[Tensor]) -> list[Tensor]:
    """All frames of groups whose networks are alike; see `nvcodec.models.nirvana.model.Nirvana`.

    Args:
        config: Of all the networks.
        tensors: Theirs, in the order of `config.tensors()`, each of shape (N, *shape).

    Returns:
        Of each network, shape (frames, channels, H, W) on the padded grid, float32 in [0, 1].
    """
    count, (height, width) = len(tensors[0]), config.grid
    pairs = list(zip(tensors[::2], tensors[1::2], strict=True))
    front = len(config.front())
    x = _positions(config, tensors[0].device).expand(count, -1, -1)
    x = _pointwise(x, pairs[:front], sine=True)
    # Channels last in memory, as of single networks.
    x = x.view(count, height, width, -1).permute(0, 3, 1, 2)
    for (weight, bias), (layer,) in zip(pairs[front:-1], config.blocks(), strict=True):
        weight, bias = (phase_first(one, layer.upscale, 1) for one in (weight, bias))
        if layer.kernel == 1:
            height, width = x.shape[2:]
            made = _pointwise(x.permute(0, 2, 3, 1).flatten(1, 2), [(weight, bias)], sine=False)
            x = made.view(count, height, width, -1).permute(0, 3, 1, 2)
        else:
            x = _joined(_convolved(x, weight, bias))
        x = depth_to_space(F.gelu(x), layer.upscale)
    # One by one also because torch rounds a sigmoid by where in a tensor it stands.
    return [
        torch.sigmoid(2 * made).view(config.frames, -1, *made.shape[2:])
        for made in _convolved(x, *pairs[-1])
    ]


@lru_cache(16)
def _positions(config: NirvanaConfig, device: torch.device) -> Tensor:
    """The centres of all patches, shape (1, positions, 2), cached because every step needs them."""
    return patch_centres(config, device).flatten(1).T[None]


def _pointwise(x: Tensor, layers: Sequence[tuple[Tensor, Tensor]], *, sine: bool) -> Tensor:
    """Layers of kernel 1 at every position, shape (N, positions, channels) in and out."""
    parameters = [one.flatten(2) if one.dim() > 2 else one for pair in layers for one in pair]
    return cast(Tensor, _Pointwise.apply(x, sine, *parameters))  # type: ignore[no-untyped-call]


class _Pointwise(torch.autograd.Function):
    """A chain of matrix products, one network at a time, each optionally followed by a sine.

    The gradients are written by hand because recording so many small calls for autograd takes
    longer than the calls themselves.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, sine: bool, *parameters: Tensor) -> Tensor:
        weights = [_aligned(torch.split(one, 1)) for one in parameters[::2]]
        biases = [torch.split(one[:, None], 1) for one in parameters[1::2]]
        ends, saved = [], []
        for network, part in enumerate(_aligned(torch.split(x, 1))):
            calls = []
            for weight, bias in zip(weights, biases, strict=True):
                made = torch.baddbmm(bias[network], part, weight[network].mT)
                calls.append((part, weight[network], made))
                part = made.sin() if sine else made
            ends.append(part)
            saved.append(calls)
        ctx.saved, ctx.sine = saved, sine  # type: ignore[attr-defined]
        return torch.cat(ends)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        sine, wanted = ctx.sine, ctx.needs_input_grad[0]  # type: ignore[attr-defined]
        of_x, found = [], []
        parts = _aligned(torch.split(gradient, 1))
        for part, calls in zip(parts, ctx.saved, strict=True):  # type: ignore[attr-defined]
            own: list[Tensor] = []
            for number, (x, weight, made) in reversed(list(enumerate(calls))):
                if sine:
                    part = part * made.cos()
                own += [part.sum(1), x.mT.bmm(part)]
                if number or wanted:
                    part = part.bmm(weight)
            of_x.append(part)
            found.append(own[::-1])
        rows = [torch.cat(each) for each in zip(*found, strict=True)]
        rows[::2] = [weight.mT for weight in rows[::2]]
        return torch.cat(of_x) if wanted else None, None, *rows


def _convolved(x: Tensor, weight: Tensor, bias: Tensor) -> list[Tensor]:
    """Convolve each of some pictures with a kernel of its own."""
    padding = weight.shape[-1] // 2
    rows = zip(_aligned(torch.split(x, 1)), _aligned(weight), _aligned(bias), strict=True)
    return [F.conv2d(one, kernel, of, padding=padding) for one, kernel, of in rows]


def _aligned(parts: Iterable[Tensor]) -> list[Tensor]:
    """Copy those slices of a batch that are not aligned as a new tensor would be.

    On some processors MKL sums in another order if a matrix does not begin at a multiple of 16
    bytes. Whether a slice does depends on its place in the batch.
    """
    return [part if part.data_ptr() % _ALIGNMENT == 0 else part.clone() for part in parts]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate tensors of shape (1, ...); see `_Joined`."""
    return cast(Tensor, _Joined.apply(*parts))  # type: ignore[no-untyped-call]


class _Joined(torch.autograd.Function):
    """Concatenation whose backward pass hands every part an aligned gradient."""

    @staticmethod
    def forward(ctx: FunctionCtx, *parts: Tensor) -> Tensor:
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, ...]:
        return tuple(_aligned(torch.split(gradient, 1)))
