"""Train the shared tokenizer on procedural video, and write its folder of weights.

On two cores it ends within half an hour. What is learned is to say, with 16 bits for 32x32 samples
of four frames, what is there and how it moves: two of the six digits are pulled towards the motion
of what is in front, by components; all six are to give the pictures back. Half the videos have
noise that their targets have not, and vectors are drawn to the middle of a level, so that ids do
not flicker. No real video is looked at.
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
from benchmarks.procedural.videos import batch, noisy
from nvcodec.models.tokenizer.cell_motion import motion_code
from nvcodec.models.tokenizer.layout import SPACE_STRIDE, TIME_STRIDE
from nvcodec.tokenizer.fsq import distance, quantise
from nvcodec.tokenizer.token_ids import LEVELS
from nvcodec.tokenizer.tokenizer import VideoTokenizer

MOTION = (3, 4)
"""The digits for horizontal and vertical motion; both have five levels, the middle one standing still."""
_FRAMES, _COUNT = 9, 6
_SOFT = 0.15  # of the training, with noise instead of rounding


@dataclass(frozen=True, slots=True)
class Losses:
    """Means of a batch, to be minimised.

    Attributes:
        pictures: Absolute difference, where -1 to 1 is black to white; more for what is in front.
        coarse: The same of means of 8x8 samples.
        motion: Squared difference of two digits' codes from the motion.
        margin: Squared distance from the middle of a level, in levels.
    """

    pictures: Tensor
    coarse: Tensor
    motion: Tensor
    margin: Tensor

    def total(self, share: float) -> Tensor:
        """What is minimised, given how much of the training is over.

        Motion is hard to see at first, and nothing else would be learned if it weighed much; drawn
        to levels before they mean anything, vectors would stay where they begin.
        """
        moved = min(1.0, 0.1 + 3 * share)
        held = min(1.0, max(0.0, 2 * share - 1))
        return self.pictures + self.coarse + moved * self.motion + held * self.margin


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("train_tokenizer", __doc__)
    parser.add_argument("--folder", type=Path, default=record.ROOT / "out" / "tokenizer")
    parser.add_argument("--minutes", type=float, default=29.0, help="of training, at most")
    parser.add_argument("--steps", type=int, default=20_000, help="of training, at most")
    parser.add_argument("--rate", type=float, default=1e-3, help="of learning, at first")
    parser.add_argument("--device", default="cpu", help="cuda: for more steps in the same time")
    parser.add_argument("--font", type=Path, help="of emoji; Noto Color Emoji if installed")
    parser.add_argument("--photos", type=Path, nargs="*", default=[], help="folders with more")
    parser.add_argument("--seed", type=int, default=0)
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
    began, shown, step, share = time.monotonic(), -math.inf, 0, 0.0
    curve: list[dict[str, Any]] = []
    recent: list[dict[str, float]] = []
    waiting: list[Scenes] = []
    while share < 1:
        # Drawing takes as long as a step: every scene is seen twice, in a mirror the second time.
        if not waiting:
            drawn = batch(pictures, random, _COUNT, _FRAMES)
            waiting = [_mirrored(drawn), drawn]
        seen = waiting.pop()
        for group in optimiser.param_groups:
            warm = min(1.0, (step + 1) / 100)
            group["lr"] = options.rate * warm * (0.5 + 0.5 * math.cos(math.pi * share))
        losses = _losses(tokenizer, seen, noisy(seen.video, random), device, share)
        losses.total(share).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        step += 1
        recent.append(_values(losses))
        taken = time.monotonic() - began
        share = max(step / options.steps, taken / (60 * options.minutes))
        if taken - shown > 30 or share >= 1:
            shown = taken
            means = {name: statistics.fmean(one[name] for one in recent) for name in recent[0]}
            curve.append({"step": step, "seconds": taken, **means})
            recent.clear()
            print(json.dumps({k: round(v, 4) for k, v in curve[-1].items()}), flush=True)
    tokenizer.save_pretrained(options.folder)
    note = {
        "tokenizer_id": tokenizer.tokenizer_id,
        "steps": step,
        "seconds": time.monotonic() - began,
        "curve": curve,
    }
    record.write(options.out, note, {})
    print(f"{options.folder}: tokenizer {tokenizer.tokenizer_id}, {step} steps")


def _losses(
    tokenizer: VideoTokenizer, scenes: Scenes, seen: Tensor, device: torch.device, share: float
) -> Losses:
    target = (2 * scenes.video - 1).to(device)
    covered = scenes.covered.to(device)
    with torch.autocast(device.type, torch.bfloat16):
        vectors = tokenizer.encoder((2 * seen - 1).to(device))
    vectors = vectors.float()
    if share < _SOFT:
        bounded = torch.tanh(vectors)
        step = 2 / (torch.tensor(LEVELS, device=device).view(-1, 1, 1) - 1)
        codes = bounded + step * (torch.rand_like(bounded) - 0.5)
    else:
        codes, _ = quantise(vectors, 2)
    with torch.autocast(device.type, torch.bfloat16):
        made = tokenizer.decoder(codes)
    wrong = (made.float() - target).abs()
    coarse = F.avg_pool2d((made.float() - target).flatten(0, 1), 8).abs()
    wanted = motion_code(cell_motion(scenes.motion, scenes.covered)).to(device)
    # Of the bounded vectors: a level that is not the nearest would get no gradient otherwise.
    bounded = torch.tanh(vectors[:, :, list(MOTION)])
    return Losses(
        pictures=(wrong * (1 + covered)).mean(),
        coarse=coarse.mean(),
        # Most cells stand still; those that do not count for more.
        motion=((bounded - wanted).square() * (1 + 4 * wanted.abs())).mean(),
        margin=distance(vectors, 2).square().mean(),
    )


def cell_motion(motion: Tensor, covered: Tensor) -> Tensor:
    """The motion of each token: of what is in front, if that fills some of its cell.

    Args:
        motion: Samples a frame, shape (N, T, 2, H / 4, W / 4).
        covered: Shape (N, T, 1, H, W).

    Returns:
        Samples a frame, shape (N, t, 2, H / 32, W / 32); 0 at the first step.
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
    """The same from right to left."""
    motion = scenes.motion.flip(4) * torch.tensor([-1.0, 1.0]).view(2, 1, 1)
    return Scenes(scenes.video.flip(4), motion, scenes.covered.flip(4))


def _values(losses: Losses) -> dict[str, float]:
    names = ("pictures", "coarse", "motion", "margin")
    return {name: getattr(losses, name).item() for name in names}


if __name__ == "__main__":
    main()
