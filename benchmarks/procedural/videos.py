"""Random scenes for training the shared tokenizer, with their motion."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from benchmarks.procedural.pictures import Pictures
from benchmarks.procedural.scenes import Scenes, TextureLayer, draw_layers

SIDE = 128
_SPRITES = 2
_FASTEST, _SLOWEST = 8.0, 0.25  # Samples per frame.


def draw_scenes(pictures: Pictures, random: np.random.Generator, count: int, frames: int) -> Scenes:
    """Draw scenes: a background that pans, zooms and turns, with sprites that move in front of it.

    Some scenes are cut, and some fade to another.

    Args:
        pictures: Pictures to draw from.
        random: Random number generator.
        count: Number of scenes.
        frames: Frames of each scene.
    """
    layers = [_background(pictures, random, count, frames)]
    layers += [_sprites(pictures, random, count, frames) for _ in range(_SPRITES)]
    return _with_transitions(draw_layers(layers, SIDE), random)


def add_noise(video: Tensor, random: np.random.Generator) -> Tensor:
    """Add noise to half of the videos, with a standard deviation of at most 4 of 255.

    Args:
        video: Videos in [0, 1], shape (N, T, 3, H, W).
        random: Random number generator.
    """
    strength = random.uniform(0, 4 / 255, len(video)) * (random.random(len(video)) < 0.5)
    scale = torch.from_numpy(strength.astype(np.float32)).view(-1, 1, 1, 1, 1)
    return video + scale * torch.randn(video.shape)


def _background(
    pictures: Pictures, random: np.random.Generator, count: int, frames: int
) -> TextureLayer:
    parts = torch.stack([pictures.background(random) for _ in range(count)])
    opaque = torch.cat([parts, torch.ones(count, 1, *parts.shape[2:])], 1)
    x, y = _path(random, count, frames, 0.2, moving=0.5)
    still = random.random((count, 1)) < 0.6
    zoom = np.where(still, 0, random.uniform(-0.02, 0.02, (count, 1)))
    angle = np.where(still, 0, random.uniform(-0.02, 0.02, (count, 1)))
    time = np.arange(frames)
    return TextureLayer(
        texture=opaque,
        x=_float32(x),
        y=_float32(y),
        scale=_float32(random.uniform(1.2, 1.8, (count, 1)) * np.exp(zoom * time)),
        angle=_float32(angle * time),
        shown=torch.ones(count, frames),
    )


def _sprites(
    pictures: Pictures, random: np.random.Generator, count: int, frames: int
) -> TextureLayer:
    texture = torch.stack([pictures.sprite(random) for _ in range(count)])
    x, y = _path(random, count, frames, 0.9, moving=0.75)
    still = random.random((count, 1)) < 0.7
    time = np.arange(frames)
    grow = np.where(still, 0, random.uniform(-0.04, 0.04, (count, 1)))
    spin = np.where(still, 0, random.uniform(-0.1, 0.1, (count, 1)))
    first = np.where(random.random((count, 1)) < 0.15, random.integers(1, frames, (count, 1)), 0)
    absent = random.random((count, 1)) < 0.3
    return TextureLayer(
        texture=texture,
        x=_float32(x),
        y=_float32(y),
        scale=_float32(random.uniform(0.15, 0.5, (count, 1)) * np.exp(grow * time)),
        angle=_float32(random.uniform(-0.5, 0.5, (count, 1)) * ~still + spin * time),
        shown=_float32((time >= first) & ~absent),
    )


def _path(
    random: np.random.Generator, count: int, frames: int, reach: float, *, moving: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return positions over time, x and y, of layers, some of which move, some with acceleration.

    Args:
        random: Random number generator.
        count: Number of scenes.
        frames: Frames of each scene.
        reach: Largest distance from the middle at half time.
        moving: Probability of motion.
    """
    speed = np.exp(random.uniform(np.log(_SLOWEST), np.log(_FASTEST), (count, 1))) * 2 / SIDE
    speed = speed * (random.random((count, 1)) < moving)
    # Directions along the axes are as frequent as all others together.
    angle = random.uniform(0, 2 * np.pi, (count, 1))
    angle = np.where(
        random.random((count, 1)) < 0.5, np.round(angle / (np.pi / 2)) * np.pi / 2, angle
    )
    time = np.arange(frames) - (frames - 1) / 2
    gain = random.uniform(-0.06, 0.06, (count, 1)) * (random.random((count, 1)) < 0.3)
    travel = speed * (time + gain * time**2)
    middle = random.uniform(-reach, reach, (2, count, 1))
    return middle[0] + travel * np.cos(angle), middle[1] + travel * np.sin(angle)


def _with_transitions(scenes: Scenes, random: np.random.Generator) -> Scenes:
    """Let some scenes be followed by others, by a cut or a cross-fade."""
    count, frames = scenes.video.shape[:2]
    kind = random.random((count, 1))
    when = random.integers(1, frames, (count, 1))
    time = np.arange(frames)
    cut = np.where(kind < 0.1, time >= when, 0.0)
    cross_fade = np.clip((time - when + 2) / 4, 0, 1)
    amount = _float32(np.where((kind >= 0.1) & (kind < 0.15), cross_fade, cut))[
        :, :, None, None, None
    ]
    video = torch.lerp(scenes.video, scenes.video.roll(1, 0), amount)
    motion = torch.lerp(scenes.motion, scenes.motion.roll(1, 0), amount)
    covered = torch.lerp(scenes.covered, scenes.covered.roll(1, 0), amount)
    return Scenes(video, motion, covered)


def _float32(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
