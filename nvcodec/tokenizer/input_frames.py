"""Input of the tokenizer: videos of either layout, padded to whole time steps and cells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from nvcodec.errors import ConfigError
from nvcodec.models.tokenizer.layout import SPACE_STRIDE, TIME_STRIDE


def frames_first(video: Tensor | npt.NDArray[np.uint8]) -> Tensor:
    """Return a video of either layout with frames before channels.

    Args:
        video: Tensor in [-1, 1], shape (B, 3, T, H, W), or uint8 array, shape (T, H, W, 3) or
            (B, T, H, W, 3).

    Returns:
        Shape (B, T, 3, H, W), in [-1, 1] or uint8.

    Raises:
        ConfigError: If the shape or type is different.
    """
    if isinstance(video, Tensor):
        if video.dim() == 5 and video.shape[1] == 3 and video.is_floating_point() and video.numel():
            return video.movedim(1, 2)
    elif video.dtype == np.uint8 and video.ndim in (4, 5) and video.shape[-1] == 3 and video.size:
        batched = video if video.ndim == 5 else video[None]
        return torch.from_numpy(np.ascontiguousarray(batched)).movedim(-1, 2)
    raise ConfigError(
        "expected a float tensor (B, 3, T, H, W) in [-1, 1] or a uint8 array ([B,] T, H, W, 3), got "
        f"{type(video).__name__} of {video.dtype}, shape {tuple(video.shape)}"
    )


def pad_frames(video: Tensor) -> Tensor:
    """Pad frames to whole time steps and cells, with the last frame and the last samples.

    Args:
        video: Frames, shape (B, T, 3, H, W).
    """
    batch, frames, channels, height, width = video.shape
    down, right = -height % SPACE_STRIDE, -width % SPACE_STRIDE
    if down or right:
        flat = F.pad(video.flatten(0, 1), (0, right, 0, down), mode="replicate")
        video = flat.view(batch, frames, channels, height + down, width + right)
    if more := -(frames - 1) % TIME_STRIDE:
        video = torch.cat([video, video[:, -1:].expand(-1, more, -1, -1, -1)], 1)
    return video
