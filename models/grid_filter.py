"""The last step of a frame of `latentgrid`: a small network that undoes what quantisation does.

It sees what was predicted and what was added to that, in units of the quantisation step, and adds a
correction of its own. It runs inside the loop: later frames are predicted from its output.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from nvcodec.models.filter_weights import BIASES, SHAPES, WEIGHTS
from nvcodec.models.motion import Picture

# Four luma phases and two chroma planes, of the frame and of what was added; the step.
INPUTS = 13
_GREY = 128.0


def corrected(frame: Picture, added: Picture, step: Tensor) -> Picture:
    """Frames with the correction.

    Args:
        frame: Prediction and what was added, 4:2:0, float, not rounded.
        added: Synthesis of the latents.
        step: Of luma, of every frame, shape (B,).
    """
    height, width = frame.chroma.shape[-2:]
    rows, columns = frame.luma.shape[-2:]
    margin = (0, 2 * width - columns, 0, 2 * height - rows)
    unit = step.view(-1, 1, 1, 1)
    planes = []
    for picture, centre in ((frame, _GREY), (added, 0.0)):
        luma = F.pixel_unshuffle(F.pad(picture.luma, margin, mode="replicate"), 2)
        planes.append((torch.cat([luma, picture.chroma], dim=1) - centre) / unit)
    level = torch.log2(unit).expand(-1, 1, height, width)
    correction = network(torch.cat([*planes, level], dim=1)) * unit
    luma = F.pixel_shuffle(correction[:, :4], 2)[..., :rows, :columns]
    return Picture(frame.luma + luma, frame.chroma + correction[:, 4:])


def network(x: Tensor) -> Tensor:
    """Three convolutions.

    Args:
        x: Shape (B, 13, h, w).

    Returns:
        Shape (B, 6, h, w), in steps.
    """
    layers = _layers(x.device)
    for place, (weight, bias) in enumerate(layers):
        x = F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)
        if place < len(layers) - 1:
            x = F.relu(x)
    return x


@lru_cache(maxsize=8)
def _layers(device: torch.device) -> tuple[tuple[Tensor, Tensor], ...]:
    """Weights and biases."""
    return ()
