"""Pictures between two frames, along the motion of one of them.

This is no part of decoding: frames are predicted by `nvcodec.models.latentgrid.motion.prediction`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nvcodec.models.latentgrid.picture import Picture


def interpolate(flow: Tensor, near: Picture, far: Picture, share: Tensor, cell: int) -> Picture:
    """Interpolate pictures between two frames, one of which has motion towards the other.

    Motion is taken to be straight and steady: a point at x in the first frame and at x + flow in
    the second one is at x + share * flow in between. Both frames are sampled along that line, and
    the two samples are cross-faded.

    Args:
        flow: Displacements from the near frames to the far ones, shape (B, 2, h, w), luma samples,
            x first.
        near: The frames that have the motion.
        far: The frames that the motion leads to.
        share: Position between near and far, shape (B,), 0 (near) to 1 (far).
        cell: Side of a cell, luma samples.

    Returns:
        B pictures, float.
    """
    share = share.view(-1, 1, 1, 1)
    # A point in between has the flow of the cell that it came from, about one flow away.
    local_flow = _displaced(flow, -share * flow / cell, "bilinear")
    # Both sides are compared: a 4:2:0 picture may be one sample wide, as is its chroma.
    halved = near.luma.shape[-2:] != near.chroma.shape[-2:]
    planes = []
    for source, target, ratio in (
        (near.luma, far.luma, 1),
        (near.chroma, far.chroma, 2 if halved else 1),
    ):
        height, width = source.shape[-2:]
        dense = F.interpolate(local_flow / ratio, scale_factor=cell // ratio, mode="bilinear")
        dense = dense[..., :height, :width]
        from_near = _displaced(source, -share * dense, "bicubic")
        planes.append(
            torch.lerp(from_near, _displaced(target, (1 - share) * dense, "bicubic"), share)
        )
    return Picture(*planes)


def _displaced(planes: Tensor, displacement: Tensor, kernel: str) -> Tensor:
    """Sample planes at displaced positions; beyond the border, the border is repeated.

    Args:
        planes: Shape (B, C, H, W).
        displacement: Shape (B, 2, H, W), samples, x first.
        kernel: `"bilinear"` or `"bicubic"` (Keys, a = -0.75).
    """
    height, width = planes.shape[-2:]
    # `grid_sample` counts from -1 to 1.
    positions = displacement * planes.new_tensor([2 / width, 2 / height]).view(2, 1, 1)
    positions[:, 0] += (2 * torch.arange(width, device=planes.device) + 1) / width - 1
    positions[:, 1] += ((2 * torch.arange(height, device=planes.device) + 1) / height - 1)[:, None]
    return F.grid_sample(
        planes,
        positions.permute(0, 2, 3, 1),
        mode=kernel,
        padding_mode="border",
        align_corners=False,
    )
