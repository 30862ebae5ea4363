"""Random scenes to train the shared tokenizer on: endless, labelled, and none of them real."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from benchmarks.procedural.pictures import Pictures
from benchmarks.procedural.scenes import Layer, Scenes, draw

SIDE = 128
_SPRITES = 2
_FASTEST, _SLOWEST = 8.0, 0.25  # samples a frame


def batch(pictures: Pictures, random: np.random.Generator, count: int, frames: int) -> Scenes:
    """Scenes of a photograph that pans, zooms and turns, before it things that fly.

    Some are cut half way, some fade to another.
    """
    layers = [_background(pictures, random, count, frames)]
    layers += [_sprites(pictures, random, count, frames) for _ in range(_SPRITES)]
    return _joined(draw(layers, SIDE), random)


def noisy(video: Tensor, random: np.random.Generator) -> Tensor:
    """Videos as a camera may see them: half of them with noise, of at most 4 of 255."""
    strength = random.uniform(0, 4 / 255, len(video)) * (random.random(len(video)) < 0.5)
    scale = torch.from_numpy(strength.astype(np.float32)).view(-1, 1, 1, 1, 1)
    return video + scale * torch.randn(video.shape)


def _background(pictures: Pictures, random: np.random.Generator, count: int, frames: int) -> Layer:
    parts = torch.stack([pictures.background(random) for _ in range(count)])
    opaque = torch.cat([parts, torch.ones(count, 1, *parts.shape[2:])], 1)
    x, y = _path(random, count, frames, 0.2, moving=0.5)
    still = random.random((count, 1)) < 0.6
    zoom = np.where(still, 0, random.uniform(-0.02, 0.02, (count, 1)))
    turn = np.where(still, 0, random.uniform(-0.02, 0.02, (count, 1)))
    time = np.arange(frames)
    return Layer(
        texture=opaque,
        x=_single(x),
        y=_single(y),
        scale=_single(random.uniform(1.2, 1.8, (count, 1)) * np.exp(zoom * time)),
        angle=_single(turn * time),
        shown=torch.ones(count, frames),
    )


def _sprites(pictures: Pictures, random: np.random.Generator, count: int, frames: int) -> Layer:
    texture = torch.stack([pictures.sprite(random) for _ in range(count)])
    x, y = _path(random, count, frames, 0.9, moving=0.75)
    still = random.random((count, 1)) < 0.7
    time = np.arange(frames)
    grow = np.where(still, 0, random.uniform(-0.04, 0.04, (count, 1)))
    spin = np.where(still, 0, random.uniform(-0.1, 0.1, (count, 1)))
    first = np.where(random.random((count, 1)) < 0.15, random.integers(1, frames, (count, 1)), 0)
    absent = random.random((count, 1)) < 0.3
    return Layer(
        texture=texture,
        x=_single(x),
        y=_single(y),
        scale=_single(random.uniform(0.15, 0.5, (count, 1)) * np.exp(grow * time)),
        angle=_single(random.uniform(-0.5, 0.5, (count, 1)) * ~still + spin * time),
        shown=_single((time >= first) & ~absent),
    )


def _path(
    random: np.random.Generator, count: int, frames: int, reach: float, *, moving: float
) -> tuple[np.ndarray, np.ndarray]:
    """Positions over time of things, some of which move, steadily or faster and faster."""
    speed = np.exp(random.uniform(np.log(_SLOWEST), np.log(_FASTEST), (count, 1))) * 2 / SIDE
    speed = speed * (random.random((count, 1)) < moving)
    # Directions along the axes are as frequent as all others together.
    turn = random.uniform(0, 2 * np.pi, (count, 1))
    turn = np.where(random.random((count, 1)) < 0.5, np.round(turn / (np.pi / 2)) * np.pi / 2, turn)
    time = np.arange(frames) - (frames - 1) / 2
    gain = random.uniform(-0.06, 0.06, (count, 1)) * (random.random((count, 1)) < 0.3)
    way = speed * (time + gain * time**2)
    middle = random.uniform(-reach, reach, (2, count, 1))
    return middle[0] + way * np.cos(turn), middle[1] + way * np.sin(turn)


def _joined(scenes: Scenes, random: np.random.Generator) -> Scenes:
    """Some scenes are followed by others, at once or in a cross-fade."""
    count, frames = scenes.video.shape[:2]
    kind = random.random((count, 1))
    when = random.integers(1, frames, (count, 1))
    time = np.arange(frames)
    cut = np.where(kind < 0.1, time >= when, 0.0)
    faded = np.clip((time - when + 2) / 4, 0, 1)
    amount = _single(np.where((kind >= 0.1) & (kind < 0.15), faded, cut))[:, :, None, None, None]
    video = torch.lerp(scenes.video, scenes.video.roll(1, 0), amount)
    motion = torch.lerp(scenes.motion, scenes.motion.roll(1, 0), amount)
    covered = torch.lerp(scenes.covered, scenes.covered.roll(1, 0), amount)
    return Scenes(video, motion, covered)


def _single(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
