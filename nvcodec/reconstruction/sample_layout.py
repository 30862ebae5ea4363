"""Pictures as a model sees them, and back: 8-bit planes on one side, model samples on the other.

A model works in RGB, or natively in 4:2:0 with six channels at half resolution: four luma phases,
then U and V. Its grid may be larger than the picture; the margin repeats the border.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nvcodec.media import Colour, ColourMode, Frames, Planes
from nvcodec.models.base.config import ModelConfig
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.models.base.pixel_shuffle import depth_to_space
from nvcodec.video import colour as conversion
from nvcodec.video.mask_filling import valid_chroma


def model_samples(frames: Frames, config: NetworkConfig, colour: Colour) -> Tensor:
    """What a model is fitted to.

    Args:
        frames: T pictures of the configuration's size.
        config: Decides colour mode and padding.
        colour: How the pictures' samples map to light; used for RGB only.

    Returns:
        uint8, shape (T, channels, H, W) on the padded grid, in channels-last layout.
    """
    height, width = config.padded
    if config.colour is ColourMode.RGB:
        picture = torch.from_numpy(conversion.rgb(frames.y, frames.u, frames.v, colour))
        return _padded(picture.permute(0, 3, 1, 2), height, width)
    luma = _padded(torch.from_numpy(frames.y)[:, None], 2 * height, 2 * width)
    chroma = torch.from_numpy(np.stack([frames.u, frames.v], axis=1))
    samples = torch.cat([F.pixel_unshuffle(luma, 2), _padded(chroma, height, width)], dim=1)
    return samples.contiguous(memory_format=torch.channels_last)


def valid_samples(frames: Frames, config: NetworkConfig) -> Tensor | None:
    """Which of the samples a model is fitted to are known; None if all are.

    In RGB that is decided by luma alone: beside what is hidden, the colour of a known pixel is in
    part that of the filling.

    Args:
        frames: T pictures of the configuration's size.
        config: Decides colour mode and padding.

    Returns:
        bool, of the shape of `model_samples`.
    """
    if frames.valid_mask is None:
        return None
    height, width = config.padded
    luma = torch.from_numpy(frames.valid_mask)[:, None]
    if config.colour is ColourMode.RGB:
        return _padded(luma, height, width).expand(-1, config.colour.channels, -1, -1)
    phases = F.pixel_unshuffle(_padded(luma, 2 * height, 2 * width), 2)
    chroma = torch.from_numpy(valid_chroma(frames.valid_mask))[:, None]
    return torch.cat([phases, _padded(chroma, height, width).expand(-1, 2, -1, -1)], dim=1)


def picture_planes(levels: Tensor, config: ModelConfig, colour: Colour) -> Planes:
    """8-bit pictures from what a model made.

    Args:
        levels: `Synthesis.levels`: uint8, (B, channels, H, W), cropped to the picture.
        config: The model's configuration.
        colour: How the pictures' samples are to map to light; used for RGB only.

    Returns:
        Planes y (B, H, W), u and v (B, ceil(H / 2), ceil(W / 2)), uint8.
    """
    if config.colour is ColourMode.RGB:
        return conversion.yuv420(levels.permute(0, 2, 3, 1).cpu().numpy(), colour)
    height, width = config.size
    luma = _interleaved(levels[:, :4])[:, :height, :width]
    planes = (luma, levels[:, 4], levels[:, 5])
    y, u, v = (np.ascontiguousarray(plane.cpu().numpy()) for plane in planes)
    return y, u, v


def _interleaved(phases: Tensor) -> Tensor:
    """Luma from its four phases: uint8, (B, 4, H, W) to (B, 2 H, 2 W)."""
    pixels = phases.permute(0, 2, 3, 1)
    if pixels.stride(3) != 1 or any(stride % 2 for stride in pixels.stride()[:3]):
        return depth_to_space(phases, 2)[:, 0]
    # Neighbours in a row are neighbours in memory and move together: half as many, a quarter of
    # the time.
    rows = pixels.view(torch.int16).transpose(2, 3).contiguous().view(torch.uint8)
    return rows.flatten(1, 2)


def _padded(samples: Tensor, height: int, width: int) -> Tensor:
    """Repeat the last row and column up to a size, in channels-last layout."""
    rows = torch.arange(height).clamp_max(samples.shape[2] - 1)
    columns = torch.arange(width).clamp_max(samples.shape[3] - 1)
    if (height, width) != tuple(samples.shape[2:]):
        samples = samples[:, :, rows][:, :, :, columns]
    return samples.contiguous(memory_format=torch.channels_last)
