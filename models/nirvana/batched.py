"""Several of NIRVANA's networks computed as one, while they are fitted.

In so small a network calls cost more than arithmetic, so that one call serves all networks where
that leaves what comes out for each of them as it is, bit for bit. Convolutions in groups would not:
libraries have other code for a single group. They are done network by network, and so large that it
hardly matters.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nvcodec.models.base.pixel_shuffle import depth_to_space, phase_first
from nvcodec.models.nirvana.config import NirvanaConfig
from nvcodec.models.nirvana.model import patch_centres


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
    x = patch_centres(config, tensors[0].device).flatten(1).T.expand(count, -1, -1)
    for weight, bias in pairs[:front]:
        x = _pointwise(x, weight, bias).sin()
    # Channels last in memory, as of single networks.
    x = x.view(count, height, width, -1).permute(0, 3, 1, 2)
    for (weight, bias), (layer,) in zip(pairs[front:-1], config.blocks(), strict=True):
        weight, bias = (phase_first(one, layer.upscale, 1) for one in (weight, bias))
        if layer.kernel == 1:
            height, width = x.shape[2:]
            made = _pointwise(x.permute(0, 2, 3, 1).flatten(1, 2), weight, bias)
            x = made.view(count, height, width, -1).permute(0, 3, 1, 2)
        else:
            x = torch.cat(_convolved(x, weight, bias))
        x = depth_to_space(F.gelu(x), layer.upscale)
    # One by one also because torch rounds a sigmoid by where in a tensor it stands.
    return [
        torch.sigmoid(2 * made).view(config.frames, -1, *made.shape[2:])
        for made in _convolved(x, *pairs[-1])
    ]


def _pointwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Layers of kernel 1 at every position, shape (N, positions, channels) in and out."""
    return torch.baddbmm(bias[:, None], x, weight.flatten(2).mT)


def _convolved(x: Tensor, weight: Tensor, bias: Tensor) -> list[Tensor]:
    """Convolve each of some pictures with a kernel of its own."""
    padding = weight.shape[-1] // 2
    each = zip(torch.split(x, 1), weight, bias, strict=True)
    return [F.conv2d(one, kernel, of, padding=padding) for one, kernel, of in each]
