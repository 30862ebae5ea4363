"""PSNR of networks in RGB: of the float network, and of the decoder's pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from nvcodec.device import choose_device, working_type
from nvcodec.models.base.video_model import VideoModel
from nvcodec.models.stacks.inference import Synthesis


@torch.inference_mode()
def float_psnr(model: VideoModel, samples: Tensor) -> float:
    """Return the PSNR of a network's float32 outputs in dB: per frame, then the mean, as HNeRV does.

    Args:
        model: The network; it is evaluated on its device.
        samples: Reference pictures, uint8, shape (T, 3, H, W).
    """
    device = next(model.parameters()).device
    values = []
    for frame in range(len(samples)):
        output = model(torch.tensor([frame], device=device))
        target = samples[frame : frame + 1].to(device).float() / 255
        values.append(-10 * torch.log10((output - target).square().mean() + 1e-9))
    return float(torch.stack(values).mean())


@torch.inference_mode()
def decoded_psnr(model: VideoModel, samples: Tensor, device: str) -> float:
    """Return the PSNR of the decoder's 8-bit RGB pictures in dB: per frame, then the mean.

    Args:
        model: The decoded network.
        samples: Reference pictures, uint8, shape (T, 3, H, W).
        device: `cpu`, `cuda` or `auto`.
    """
    target = choose_device(device)
    decode = Synthesis(model.to(target), working_type(target))
    values = []
    for frame in range(len(samples)):
        levels = (decode(torch.tensor([frame])) * 255).round_().clamp_(0, 255)
        error = (levels - samples[frame : frame + 1].to(target)).square().mean()
        values.append(10 * torch.log10(255.0**2 / error.clamp_min(1e-9)))
    return float(torch.stack(values).mean())
