"""Conversion between 8-bit pictures and the samples that a network is fitted to and produces.

A network works in RGB, or natively in 4:2:0 with six channels at half resolution: four luma phases,
then U and V. Its pictures may be padded; the padding repeats the border.
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
from nvcodec.video.sources.mask_filling import valid_chroma


def model_samples(frames: Frames, config: NetworkConfig, colour: Colour) -> Tensor:
    """Convert pictures to the samples that a network is fitted to.

    Args:
        frames: T pictures of the configuration's size.
        config: Configuration of the network; its colour mode and padding are used.
        colour: Colour properties of the pictures; used for RGB only.

    Returns:
        uint8, shape (T, channels, H, W) with H and W padded, in channels-last layout.
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
    """Return which of the samples that a network is fitted to are valid, that is not masked.

    In RGB, validity is that of luma alone. The colour of a valid pixel beside a masked one then
    partly comes from the filling of the mask, because they share a chroma sample.

    Args:
        frames: T pictures of the configuration's size.
        config: Configuration of the network; its colour mode and padding are used.

    Returns:
        bool, in the shape of `model_samples`; None if all samples are valid.
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
    """Convert the output of a model to 8-bit 4:2:0 pictures.

    Args:
        levels: Result of `Synthesis.levels`: uint8, (B, channels, H, W), cropped to the picture.
        config: Configuration of the model.
        colour: Colour properties of the result; used for RGB only.

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
    """Interleave the four phases of luma: uint8, (B, 4, H, W) to (B, 2 H, 2 W)."""
    pixels = phases.permute(0, 2, 3, 1)
    if pixels.stride(3) != 1 or any(stride % 2 for stride in pixels.stride()[:3]):
        return depth_to_space(phases, 2)[:, 0]
    # Two neighbours in a row are also neighbours in memory. Moving them together as one int16 takes a
    # quarter of the time.
    rows = pixels.view(torch.int16).transpose(2, 3).contiguous().view(torch.uint8)
    return rows.flatten(1, 2)


def _padded(samples: Tensor, height: int, width: int) -> Tensor:
    """Pad samples to a size by repeating the last row and column, in channels-last layout."""
    rows = torch.arange(height).clamp_max(samples.shape[2] - 1)
    columns = torch.arange(width).clamp_max(samples.shape[3] - 1)
    if (height, width) != tuple(samples.shape[2:]):
        samples = samples[:, :, rows][:, :, :, columns]
    return samples.contiguous(memory_format=torch.channels_last)
