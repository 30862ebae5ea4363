"""Inputs of the restoration benchmark: clean pictures, masks, and noise.

There are two masks. `boxes` is that of HNeRV (section 4; "disperse" in Boosting NeRV): five boxes of
width 50 in 1280x640, scaled to the size of the pictures, always at the same position, so that no
frame shows what is hidden. `moving` are the same boxes moving to the right by two pixels per frame,
so that other frames do.

There are two kinds of noise, added to RGB before it becomes 4:2:0: Gaussian noise with a standard
deviation of 25 of 255, and a tenth of the pixels black or white.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmarks.harness.clips import bunny, read
from nvcodec.media import BoolArray, Colour, Frames, VideoInfo
from nvcodec.video import rgb, yuv420
from nvcodec.video.sources.mask_filling import valid_chroma

_BOX = 50 / 1280  # Side of a box as a share of the width.
_CENTRES = ((1 / 2, 1 / 2), (1 / 4, 1 / 4), (1 / 4, 3 / 4), (3 / 4, 1 / 4), (3 / 4, 3 / 4))
_SPEED = 2  # Pixels per frame.
_SIGMA, _IMPULSES = 25, 0.1
# Colour and rate of the crop of Big Buck Bunny; nvcodec assumes this for RGB of this size.
_BT601, _RATE = Colour(primaries=1, transfer=13, matrix=6), Fraction(25)


@dataclass(frozen=True, slots=True)
class RestorationTask:
    """A clip to restore.

    Attributes:
        name: Name for files.
        truth: The clean pictures.
        given: Input of the methods, with pixels hidden or with noise.
        info: Size, rate and colour of both.
        valid: Mask of the pixels that are not hidden, shape (T, H, W); None if none is.
    """

    name: str
    truth: Frames
    given: Frames
    info: VideoInfo
    valid: BoolArray | None = None


def read_source(path: Path | None, size: tuple[int, int], frames: int) -> tuple[Frames, VideoInfo]:
    """Read the clean pictures.

    Args:
        path: The video; None for the centre crop of Big Buck Bunny.
        size: Width and height.
        frames: Number of frames.
    """
    if path is not None:
        return read(path, frames=slice(0, frames), resize=size)
    width, height = size
    info = VideoInfo(
        width=width, height=height, time_base=1 / _RATE, frame_rate=_RATE, colour=_BT601
    )
    pictures = bunny(frames, size).permute(0, 2, 3, 1).contiguous().numpy()
    y, u, v = yuv420(pictures, _BT601)
    ticks = np.arange(len(y))
    return Frames(y=y, u=u, v=v, pts=ticks, durations=np.ones_like(ticks)), info


def make_masks(clean: Frames) -> dict[str, BoolArray]:
    """Return both masks by name; a mask is true where pixels are valid, shape (T, H, W)."""
    count, height, width = clean.y.shape
    half = round(_BOX * width / 2)
    still = np.ones((height, width), np.bool_)
    for down, right in _CENTRES:
        y, x = int(down * height), int(right * width)
        still[y - half : y + half, x - half : x + half] = False
    moving = np.stack([np.roll(still, _SPEED * t, axis=1) for t in range(count)])
    return {"boxes": np.repeat(still[None], count, axis=0), "moving": moving}


def hide(clean: Frames, valid: BoolArray) -> Frames:
    """Return frames that are black where the mask is false, so that no method sees the truth.

    Args:
        clean: The clean frames.
        valid: Mask of the pixels that are not hidden, shape (T, H, W).
    """
    chroma = valid_chroma(valid)
    return replace(
        clean,
        y=np.where(valid, clean.y, 16).astype(np.uint8),
        u=np.where(chroma, clean.u, 128).astype(np.uint8),
        v=np.where(chroma, clean.v, 128).astype(np.uint8),
    )


def add_noises(clean: Frames, colour: Colour) -> dict[str, Frames]:
    """Return the frames with each kind of noise, by name.

    Args:
        clean: The clean frames.
        colour: Their colour space.
    """
    random = np.random.default_rng(0)
    pictures = rgb(clean.y, clean.u, clean.v, colour)
    noise = random.normal(0, _SIGMA, pictures.shape)
    gaussian = np.clip(np.rint(pictures + noise), 0, 255).astype(np.uint8)
    uniform = random.random(pictures.shape[:3])[..., None]
    impulses = np.where(uniform < _IMPULSES / 2, 0, np.where(uniform < _IMPULSES, 255, pictures))
    frames_by_noise = {}
    for name, noisy in (("gaussian", gaussian), ("impulses", impulses.astype(np.uint8))):
        y, u, v = yuv420(noisy, colour)
        frames_by_noise[name] = replace(clean, y=y, u=u, v=v)
    return frames_by_noise
