"""Train the shared tokenizer on procedural video, and write its folder of weights.

Training takes at most half an hour on two cores. The tokenizer learns to describe the contents and
the motion of 32x32 samples of four frames in 16 bits: two of the six FSQ indices are drawn to the
two components of the foreground's motion, and all six together have to restore the pictures. Half
the videos have noise that their targets do not have, and vectors are drawn to the middle of an FSQ
level, so that ids do not flicker. No real video is used.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness import record
from benchmarks.procedural.pictures import load_pictures
from benchmarks.procedural.scenes import Scenes
from benchmarks.procedural.videos import add_noise, draw_scenes
from nvcodec.models.tokenizer.cell_motion import motion_code
from nvcodec.models.tokenizer.layout import SPACE_STRIDE, TIME_STRIDE
from nvcodec.tokenizer.fsq import distance, quantise
from nvcodec.tokenizer.token_ids import LEVELS
from nvcodec.tokenizer.tokenizer import VideoTokenizer

MOTION = (3, 4)
"""Places of the FSQ indices of horizontal and vertical motion; of five levels the middle is rest."""
_FRAMES, _SCENES = 9, 6
_NOISE_SHARE = 0.15  # Share of the training in which noise stands for rounding.


@dataclass(frozen=True, slots=True)
class Losses:
    """The loss terms of a batch, each a mean.

    Attributes:
        pictures: Absolute difference, where -1 to 1 is black to white; the foreground weighs more.
        coarse: Absolute difference of means of 8x8 samples.
        motion: Squared difference between the codes of two FSQ indices and the motion.
        margin: Squared distance from the middle of an FSQ level, in levels.
    """

    pictures: Tensor
    coarse: Tensor
    motion: Tensor
    margin: Tensor

    def total(self, share: float) -> Tensor:
        """Return the weighted sum of the terms.

        Motion has a small weight at first: it is learned slowly, and would keep the rest from being
        learned. The margin has none at first: vectors would stay where they begin.

        Args:
            share: Share of the training that is over, 0 to 1.
        """
        motion_weight = min(1.0, 0.1 + 3 * share)
        margin_weight = min(1.0, max(0.0, 2 * share - 1))
        return (
            self.pictures + self.coarse + motion_weight * self.motion + margin_weight * self.margin
        )


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("train_tokenizer", __doc__)
    parser.add_argument(
        "--folder",
        type=Path,
        default=record.ROOT / "out" / "tokenizer",
        help="folder of the weights to write",
    )
    parser.add_argument("--minutes", type=float, default=29.0, help="minutes of training, at most")
    parser.add_argument("--steps", type=int, default=20_000, help="optimiser steps, at most")
    parser.add_argument("--rate", type=float, default=1e-3, help="initial learning rate")
    parser.add_argument("--device", default="cpu", help="device to train on")
    parser.add_argument(
        "--font", type=Path, help="font of emoji; by default Noto Color Emoji if it is installed"
    )
    parser.add_argument(
        "--photos", type=Path, nargs="*", default=[], help="folders with more photographs"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the scenes and the weights")
    options = parser.parse_args(argv)
    torch.manual_seed(options.seed)
    random = np.random.default_rng(options.seed)
    pictures = load_pictures(font=options.font, folders=options.photos)
    tokenizer = VideoTokenizer.untrained()
    device = torch.device(options.device)
    encoder = tokenizer.encoder.train().to(device, memory_format=torch.channels_last)
    decoder = tokenizer.decoder.train().to(device, memory_format=torch.channels_last)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimiser = torch.optim.AdamW(
        parameters, options.rate, weight_decay=0.01, fused=True, betas=(0.9, 0.98)
    )
    start, last_report, step, share = time.monotonic(), -math.inf, 0, 0.0
    curve: list[dict[str, Any]] = []
    recent: list[dict[str, float]] = []
    queue: list[Scenes] = []
    while share < 1:
        # Drawing takes as long as a step, so every scene is used twice, the second time mirrored.
        if not queue:
            drawn = draw_scenes(pictures, random, _SCENES, _FRAMES)
            queue = [_mirrored(drawn), drawn]
        seen = queue.pop()
        for group in optimiser.param_groups:
            warm_up = min(1.0, (step + 1) / 100)
            group["lr"] = options.rate * warm_up * (0.5 + 0.5 * math.cos(math.pi * share))
        losses = _losses(tokenizer, seen, add_noise(seen.video, random), device, share)
        losses.total(share).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        step += 1
        recent.append(_values(losses))
        elapsed = time.monotonic() - start
        share = max(step / options.steps, elapsed / (60 * options.minutes))
        if elapsed - last_report > 30 or share >= 1:
            last_report = elapsed
            means = {
                name: statistics.fmean(losses[name] for losses in recent) for name in recent[0]
            }
            curve.append({"step": step, "seconds": elapsed, **means})
            recent.clear()
            print(json.dumps({k: round(v, 4) for k, v in curve[-1].items()}), flush=True)
    tokenizer.save_pretrained(options.folder)
    results = {
        "tokenizer_id": tokenizer.tokenizer_id,
        "steps": step,
        "seconds": time.monotonic() - start,
        "curve": curve,
    }
    record.write(options.out, results, {})
    print(f"{options.folder}: tokenizer {tokenizer.tokenizer_id}, {step} steps")


def _losses(
    tokenizer: VideoTokenizer, scenes: Scenes, seen: Tensor, device: torch.device, share: float
) -> Losses:
    target = (2 * scenes.video - 1).to(device)
    covered = scenes.covered.to(device)
    with torch.autocast(device.type, torch.bfloat16):
        vectors = tokenizer.encoder((2 * seen - 1).to(device))
    vectors = vectors.float()
    if share < _NOISE_SHARE:
        bounded = torch.tanh(vectors)
        step = 2 / (torch.tensor(LEVELS, device=device).view(-1, 1, 1) - 1)
        codes = bounded + step * (torch.rand_like(bounded) - 0.5)
    else:
        codes, _ = quantise(vectors, 2)
    with torch.autocast(device.type, torch.bfloat16):
        decoded = tokenizer.decoder(codes)
    errors = (decoded.float() - target).abs()
    coarse = F.avg_pool2d((decoded.float() - target).flatten(0, 1), 8).abs()
    target_motion = motion_code(cell_motion(scenes.motion, scenes.covered)).to(device)
    # The loss takes the bounded vectors, since codes have no gradient towards another level.
    bounded = torch.tanh(vectors[:, :, list(MOTION)])
    return Losses(
        pictures=(errors * (1 + covered)).mean(),
        coarse=coarse.mean(),
        # Most cells stand still, so those that move weigh more.
        motion=((bounded - target_motion).square() * (1 + 4 * target_motion.abs())).mean(),
        margin=distance(vectors, 2).square().mean(),
    )


def cell_motion(motion: Tensor, covered: Tensor) -> Tensor:
    """Return the motion of each token's cell, in which the foreground weighs more.

    Args:
        motion: Samples per frame, shape (N, T, 2, H / 4, W / 4).
        covered: Opacity of the foreground, shape (N, T, 1, H, W).

    Returns:
        Samples per frame, shape (N, t, 2, H / 32, W / 32); 0 at the first step.
    """
    count, frames, _, height, width = motion.shape
    weight = 1 + 7 * F.avg_pool2d(covered.flatten(0, 1), 4).view(count, frames, 1, height, width)
    side = SPACE_STRIDE // 4
    sums = F.avg_pool2d((motion * weight).flatten(0, 1), side)
    mean = sums / F.avg_pool2d(weight.flatten(0, 1), side)
    mean = mean.view(count, frames, 2, *mean.shape[-2:])
    steps = mean[:, 1:].unflatten(1, (-1, TIME_STRIDE)).mean(2)
    return torch.cat([torch.zeros_like(steps[:, :1]), steps], 1)


def _mirrored(scenes: Scenes) -> Scenes:
    """Mirror scenes from left to right."""
    motion = scenes.motion.flip(4) * torch.tensor([-1.0, 1.0]).view(2, 1, 1)
    return Scenes(scenes.video.flip(4), motion, scenes.covered.flip(4))


def _values(losses: Losses) -> dict[str, float]:
    names = ("pictures", "coarse", "motion", "margin")
    return {name: getattr(losses, name).item() for name in names}


if __name__ == "__main__":
    main()
