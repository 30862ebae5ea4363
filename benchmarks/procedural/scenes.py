"""Procedural video: a background and sprites that move in known ways, drawn many scenes at a time.

Positions are in halves of the picture from its middle: -1 is its left or upper edge. Motion is known
exactly, since every layer is a texture moved by a similarity: it is what a pixel's content did since
the frame before, in samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_COARSE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One texture in each of N scenes, and where it is in each of T frames.

    Attributes:
        texture: Premultiplied, red, green, blue and alpha, shape (N, 4, h, w).
        x: Of its middle, shape (N, T).
        y: Likewise, downwards.
        scale: Half its side, shape (N, T).
        angle: Clockwise, radians, shape (N, T).
        shown: How much of it, 0 to 1, shape (N, T).
    """

    texture: Tensor
    x: Tensor
    y: Tensor
    scale: Tensor
    angle: Tensor
    shown: Tensor


@dataclass(frozen=True, slots=True)
class Scenes:
    """What was drawn.

    Attributes:
        video: In [0, 1], shape (N, T, 3, H, W).
        motion: Samples since the frame before, x and y, of every 4x4 samples, shape (N, T, 2,
            H / 4, W / 4); 0 in the first frame.
        covered: By anything but the first layer, 0 to 1, shape (N, T, 1, H, W).
    """

    video: Tensor
    motion: Tensor
    covered: Tensor


def draw(layers: list[Layer], side: int) -> Scenes:
    """Draw layers, the first one behind all others.

    Args:
        layers: The first must cover the picture: where its texture ends it is mirrored.
        side: Rows and columns, a multiple of 4.
    """
    count, frames = layers[0].x.shape
    video = torch.zeros(count, frames, 3, side, side)
    coarse = side // _COARSE
    motion = torch.zeros(count, frames, 2, coarse, coarse)
    covered = torch.zeros(count, frames, 1, side, side)
    points, few = _points(side), _points(coarse)
    for depth, layer in enumerate(layers):
        there, back = _matrices(layer)
        within = (points @ there.transpose(2, 3)).view(count * frames, side, side, 2)
        # The same point of the texture, where it was a frame ago.
        before = torch.cat([back[:, :1], back[:, :-1]], 1)
        whole = torch.cat([there, torch.tensor([0.0, 0.0, 1.0]).expand(count, frames, 1, 3)], 2)
        was = few @ (before @ whole).transpose(2, 3)
        moved = (few[:, :2] - was).mul_(side / 2).view(count, frames, coarse, coarse, 2)
        moved[:, 0] = 0
        texture = layer.texture.unsqueeze(1).expand(-1, frames, -1, -1, -1).flatten(0, 1)
        drawn = F.grid_sample(
            texture,
            within,
            padding_mode="zeros" if depth else "reflection",
            align_corners=False,
        ).view(count, frames, 4, side, side)
        drawn = drawn * layer.shown[:, :, None, None, None]
        alpha = drawn[:, :, 3:]
        video = video * (1 - alpha) + drawn[:, :, :3]
        thin = F.avg_pool2d(alpha.flatten(0, 1), _COARSE).view(count, frames, 1, coarse, coarse)
        motion = motion * (1 - thin) + moved.permute(0, 1, 4, 2, 3) * thin
        if depth:
            covered = covered * (1 - alpha) + alpha
    return Scenes(video, motion, covered)


def _points(side: int) -> Tensor:
    """The middles of samples as (x, y, 1), shape (side * side, 3)."""
    places = F.affine_grid(torch.eye(2, 3)[None], [1, 1, side, side], align_corners=False)
    return torch.cat([places.view(-1, 2), torch.ones(side**2, 1)], 1)


def _matrices(layer: Layer) -> tuple[Tensor, Tensor]:
    """From the picture to the texture and back, shape (N, T, 2, 3) both."""
    cosine, sine = torch.cos(layer.angle), torch.sin(layer.angle)
    x, y, scale = layer.x, layer.y, layer.scale
    there = torch.stack(
        [
            torch.stack([cosine, sine, -(cosine * x + sine * y)], -1),
            torch.stack([-sine, cosine, sine * x - cosine * y], -1),
        ],
        -2,
    ) / scale.unsqueeze(-1).unsqueeze(-1)
    back = torch.stack(
        [
            torch.stack([cosine * scale, -sine * scale, x], -1),
            torch.stack([sine * scale, cosine * scale, y], -1),
        ],
        -2,
    )
    return there, back
