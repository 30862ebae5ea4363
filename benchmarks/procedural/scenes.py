"""Procedural video: layers that move in known ways, drawn many scenes at a time.

Positions are in halves of the picture from its middle: -1 is its left or upper edge. Motion is known
exactly, since every layer is a texture that is moved by a similarity: it is the displacement of a
pixel's content since the frame before, in samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_COARSE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TextureLayer:
    """One texture in each of N scenes, and its position in each of T frames.

    Attributes:
        texture: Premultiplied red, green, blue and alpha, shape (N, 4, h, w).
        x: Horizontal position of its middle, to the right, shape (N, T).
        y: Vertical position of its middle, downwards, shape (N, T).
        scale: Half its side, shape (N, T).
        angle: Clockwise rotation in radians, shape (N, T).
        shown: Opacity, 0 to 1, shape (N, T).
    """

    texture: Tensor
    x: Tensor
    y: Tensor
    scale: Tensor
    angle: Tensor
    shown: Tensor


@dataclass(frozen=True, slots=True)
class Scenes:
    """Videos of N scenes with their motion.

    Attributes:
        video: Red, green and blue in [0, 1], shape (N, T, 3, H, W).
        motion: Displacement in samples since the frame before, x and y, of every 4x4 samples, shape
            (N, T, 2, H / 4, W / 4); 0 in the first frame.
        covered: Opacity of all layers but the first, 0 to 1, shape (N, T, 1, H, W).
    """

    video: Tensor
    motion: Tensor
    covered: Tensor


def draw_layers(layers: list[TextureLayer], side: int) -> Scenes:
    """Draw layers, the first one behind all others.

    Args:
        layers: Layers of all scenes; the first fills the picture, its texture is mirrored at edges.
        side: Rows and columns of the picture, a multiple of 4.
    """
    count, frames = layers[0].x.shape
    video = torch.zeros(count, frames, 3, side, side)
    coarse = side // _COARSE
    motion = torch.zeros(count, frames, 2, coarse, coarse)
    covered = torch.zeros(count, frames, 1, side, side)
    points, coarse_points = _points(side), _points(coarse)
    for depth, layer in enumerate(layers):
        to_texture, to_picture = _matrices(layer)
        sampling_positions = (points @ to_texture.transpose(2, 3)).view(
            count * frames, side, side, 2
        )
        # The position of the same point of the texture one frame earlier.
        previous_to_picture = torch.cat([to_picture[:, :1], to_picture[:, :-1]], 1)
        square_to_texture = torch.cat(
            [to_texture, torch.tensor([0.0, 0.0, 1.0]).expand(count, frames, 1, 3)], 2
        )
        previous_positions = coarse_points @ (previous_to_picture @ square_to_texture).transpose(
            2, 3
        )
        displacement = (
            (coarse_points[:, :2] - previous_positions)
            .mul_(side / 2)
            .view(count, frames, coarse, coarse, 2)
        )
        displacement[:, 0] = 0
        texture = layer.texture.unsqueeze(1).expand(-1, frames, -1, -1, -1).flatten(0, 1)
        rendered = F.grid_sample(
            texture,
            sampling_positions,
            padding_mode="zeros" if depth else "reflection",
            align_corners=False,
        ).view(count, frames, 4, side, side)
        rendered = rendered * layer.shown[:, :, None, None, None]
        alpha = rendered[:, :, 3:]
        video = video * (1 - alpha) + rendered[:, :, :3]
        coarse_alpha = F.avg_pool2d(alpha.flatten(0, 1), _COARSE).view(
            count, frames, 1, coarse, coarse
        )
        motion = motion * (1 - coarse_alpha) + displacement.permute(0, 1, 4, 2, 3) * coarse_alpha
        if depth:
            covered = covered * (1 - alpha) + alpha
    return Scenes(video, motion, covered)


def _points(side: int) -> Tensor:
    """Return the middles of samples as (x, y, 1), shape (side * side, 3)."""
    positions = F.affine_grid(torch.eye(2, 3)[None], [1, 1, side, side], align_corners=False)
    return torch.cat([positions.view(-1, 2), torch.ones(side**2, 1)], 1)


def _matrices(layer: TextureLayer) -> tuple[Tensor, Tensor]:
    """Return matrices from the picture to the texture and back, shape (N, T, 2, 3) each."""
    cosine, sine = torch.cos(layer.angle), torch.sin(layer.angle)
    x, y, scale = layer.x, layer.y, layer.scale
    to_texture = torch.stack(
        [
            torch.stack([cosine, sine, -(cosine * x + sine * y)], -1),
            torch.stack([-sine, cosine, sine * x - cosine * y], -1),
        ],
        -2,
    ) / scale.unsqueeze(-1).unsqueeze(-1)
    to_picture = torch.stack(
        [
            torch.stack([cosine * scale, -sine * scale, x], -1),
            torch.stack([sine * scale, cosine * scale, y], -1),
        ],
        -2,
    )
    return to_texture, to_picture
