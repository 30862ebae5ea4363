"""The networks of the shared tokenizer: frames to a vector per cell and time step, and back.

    frames ─► 4x4 patches ─► conv ─► /8 ┐
                                        ├ five frames, one after another ─► /8 ─► /16 ─► /32 ─► z
    ...                                 ┘
    code of a step and of the one before ─► /32 ─► /16 ─► /8 ─► 8x8 patches of four frames

The encoder has a linear skip connection from the mean colour of a cell and its motion by least
squares (`nvcodec.models.tokenizer.cell_motion`), the decoder one for the colour. Before training,
these two determine the output.

Everything is local and causal: the input of a time step is its four frames and the one before them;
that of the first step of a segment is the first frame five times. Pictures of any size, segments of
any length, and time steps in any order can therefore be processed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nvcodec.models.base.pixel_shuffle import depth_to_space
from nvcodec.models.stacks.layers import ChannelsFirstNorm
from nvcodec.models.tokenizer.cell_motion import MOTION_CHANNELS, cell_motion

_PATCH, _CELL = 4, 32
_INPUT_FRAMES = 5  # of a time step: its own frames and the one before
_STEP_FRAMES = 4
# Initial weights from mean red, green and blue to the first channels of a vector: luma, and the
# differences of blue and red to it. The decoder's are the inverse, which approximately holds in
# spite of the tanh between them.
_LUMA = torch.tensor([0.299, 0.587, 0.114])
_LUMA_GAIN, _COLOUR_GAIN, _MOTION_GAIN = 1.2, 2.0, 1.5


class Residual(nn.Module):
    """A residual block: normalisation, 3x3 convolution, GELU, 1x1 convolution; initially identity.

    Args:
        width: Input and output channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = ChannelsFirstNorm(width, eps=1e-6)
        self.spatial = nn.Conv2d(width, width, 3, padding=1)
        self.mixed = nn.Conv2d(width, width, 1)
        for parameter in self.mixed.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Refine features, shape (B, width, H, W) in and out."""
        mixed: Tensor = self.mixed(F.gelu(self.spatial(self.norm(x))))
        return x + mixed


class TokenEncoder(nn.Module):
    """The encoder: frames to one vector per 32x32 samples and four frames, not quantised.

    Args:
        channels: Channels of a vector.
        widths: Channels of a frame at 1/4 and 1/8 of the size, then of a time step at 1/8, 1/16 and
            1/32 of it.
    """

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        first, frame, step, middle, last = widths
        self.patches = nn.Conv2d(3, first, _PATCH, _PATCH)
        self.halved = nn.Conv2d(first, frame, 2, 2)
        self.frame = Residual(frame)
        self.joined = nn.Conv2d(_INPUT_FRAMES * frame, step, 1)
        self.step = Residual(step)
        self.quartered = nn.Conv2d(step, middle, 2, 2)
        self.middle = Residual(middle)
        self.eighthed = nn.Conv2d(middle, last, 2, 2)
        self.last = Residual(last)
        # Normalised so that all FSQ levels are in use from the start: a level that is never used is
        # never learned.
        self.norm = ChannelsFirstNorm(last, eps=1e-6)
        self.out = nn.Conv2d(last, channels, 1)
        nn.init.normal_(self.out.weight, std=last**-0.5)
        self.plain = nn.Conv2d(3 + MOTION_CHANNELS, channels, 1, bias=False)
        with torch.no_grad():
            beyond = torch.eye(3)[[2, 0]] - _LUMA
            plain = self.plain.weight.zero_()[:, :, 0, 0]
            plain[:3, :3] = torch.cat([_LUMA_GAIN * _LUMA[None], _COLOUR_GAIN * beyond])
            for place in range(2):
                plain[3 + place, 3 + place :: 2] = _MOTION_GAIN / (MOTION_CHANNELS // 2)
            self.out.weight[:5] *= 0.2

    def forward(self, video: Tensor) -> Tensor:
        """Encode a segment.

        Args:
            video: Frames, shape (B, 1 + 4 n, 3, H, W), in [-1, 1]; sides are multiples of 32.

        Returns:
            Shape (B, 1 + n, channels, H / 32, W / 32).
        """
        batch, frames, _, height, width = video.shape
        x = F.gelu(self.patches(video.reshape(-1, 3, height, width)))
        x = self.frame(F.gelu(self.halved(x)))
        # Collect the input frames of each time step, in temporal order.
        x = x.view(batch, frames, *x.shape[1:])
        steps = 1 + (frames - 1) // _STEP_FRAMES
        inputs = torch.arange(_INPUT_FRAMES, device=x.device) + _STEP_FRAMES * torch.arange(
            -1, steps - 1, device=x.device
        ).unsqueeze(1)
        x = x[:, inputs.clamp(0).flatten()]
        # The first step must not depend on the frames that follow it.
        x = torch.cat([x[:, :1].expand(-1, _INPUT_FRAMES, -1, -1, -1), x[:, _INPUT_FRAMES:]], 1)
        x = x.reshape(batch * steps, -1, *x.shape[-2:])
        x = self.step(F.gelu(self.joined(x)))
        x = self.middle(F.gelu(self.quartered(x)))
        x = self.last(F.gelu(self.eighthed(x)))
        # Mean colours of a step's own frames, without the one before.
        mean = F.avg_pool2d(video.flatten(0, 1), _CELL)
        mean = mean.view(batch, frames, *mean.shape[1:])
        own = mean[:, 1:].reshape(batch, steps - 1, _STEP_FRAMES, *mean.shape[2:]).mean(2)
        features = torch.cat([torch.cat([mean[:, :1], own], 1), cell_motion(video)], 2)
        out: Tensor = self.out(self.norm(x)) + self.plain(features.flatten(0, 1))
        return out.view(batch, steps, *out.shape[1:])


class TokenDecoder(nn.Module):
    """The decoder: codes to a preview of the frames, by one network for all videos.

    Args:
        channels: Channels of a code.
        widths: Channels at 1/32, 1/16 and 1/8 of the size.
    """

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        first, middle, last = widths
        self.stem = nn.Conv2d(2 * channels, first, 3, padding=1)
        self.first = Residual(first)
        self.doubled = nn.Conv2d(first, 4 * middle, 1)
        self.middle = Residual(middle)
        self.quadrupled = nn.Conv2d(middle, 4 * last, 1)
        self.last = Residual(last)
        self.out = nn.Conv2d(last, 64 * 3 * _STEP_FRAMES, 1)
        nn.init.zeros_(self.out.weight)
        self.colour = nn.Conv2d(channels, 3, 1)
        with torch.no_grad():
            luma, blue, red = torch.eye(channels)[:3] / torch.tensor(
                [[_LUMA_GAIN], [_COLOUR_GAIN], [_COLOUR_GAIN]]
            )
            green = -(_LUMA[0] * red + _LUMA[2] * blue) / _LUMA[1]
            self.colour.weight[:, :, 0, 0] = luma + torch.stack([red, green, blue])

    def forward(self, codes: Tensor) -> Tensor:
        """Decode the codes of a segment.

        Args:
            codes: FSQ codes, shape (B, 1 + n, channels, h, w), in [-1, 1].

        Returns:
            Frames, shape (B, 1 + 4 n, 3, 32 h, 32 w), about in [-1, 1] and not clipped.
        """
        batch, steps = codes.shape[:2]
        previous = torch.cat([codes[:, :1], codes[:, :-1]], 1)
        x = torch.cat([previous, codes], 2).flatten(0, 1)
        plain = F.interpolate(self.colour(codes.flatten(0, 1)), scale_factor=_CELL, mode="bilinear")
        x = self.first(F.gelu(self.stem(x)))
        x = self.middle(F.gelu(depth_to_space(self.doubled(x), 2)))
        x = self.last(F.gelu(depth_to_space(self.quadrupled(x), 2)))
        x = depth_to_space(self.out(x), 8)
        x = x.reshape(batch * steps, _STEP_FRAMES, 3, *x.shape[-2:]) + plain[:, None]
        x = x.reshape(batch, steps * _STEP_FRAMES, *x.shape[2:])
        # All four outputs of the first step represent its one frame; the last of them is used.
        return x[:, _STEP_FRAMES - 1 :]
