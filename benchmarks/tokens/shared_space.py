"""Whether tokens mean the same in all videos, and latents of networks of a video's own do not.

Probes: linear classifiers of what is in a cell - how light, what colour, which way it moves - are
trained on random scenes and tested on others, all of photographs that the tokenizer has not seen
and, without a font of emoji, plain shapes. Retrieval: first halves of stretches of real clips look
for their second halves. Both for tokens of the shared tokenizer and for latents of HNeRV, fitted to
every video with its own encoder, on the grid of tokens.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.harness import record
from benchmarks.procedural import pictures as token_pictures
from benchmarks.procedural.videos import batch
from benchmarks.tokens import linear_probe, retrieval
from nvcodec.tokenizer.tokenizer import VideoTokenizer

_FRAMES = 17
_BATCH = 8
# Another copy of what another clip shows: its halves have two right answers.
_TWICE = ("small_bunny_1080p_30fps.mp4",)


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("token_space", __doc__)
    parser.add_argument("--clips", type=Path, required=True, help="folder of videos")
    parser.add_argument("--without", nargs="*", default=_TWICE, help="files to leave out")
    parser.add_argument("--videos", type=int, default=12, help="half the scenes")
    parser.add_argument("--more", type=int, default=256, help="further scenes, tokens only")
    parser.add_argument("--epochs", type=int, default=25, help="of a video's own network")
    parser.add_argument("--stretches", type=int, default=24, help="of a clip, at most")
    parser.add_argument("--own", type=int, default=12, help="stretches with networks of their own")
    parser.add_argument("--tokenizer", default="bundled:small")
    options = parser.parse_args(argv)
    tokenizer = VideoTokenizer.from_pretrained(options.tokenizer)
    probes = _probes(tokenizer, options)
    found = _retrieval(tokenizer, options)
    names = list(linear_probe.CLASSES)
    probe_table = record.ResultTable(
        ("what is read", *(f"{name}, other videos" for name in names),
         *(f"{name}, same video" for name in names)),
        tuple(
            (what, *(f"{100 * row[kind][name]:.0f} %" if row.get(kind) else "-"
                     for kind in ("across", "within") for name in names))
            for what, row in probes["rows"].items()
        ),
        f"Share of right answers, classes weighing the same. {2 * options.videos} scenes of {_FRAMES} "
        f"frames of 128x128, a sixth of them at a time to test on; own networks: {options.epochs} epochs, "
        f"{probes['psnr']:.1f} dB on average.",
    )  # fmt: skip
    retrieval_table = record.ResultTable(
        ("descriptor", "pairs", "own half nearest", "same clip nearest"),
        tuple(
            (what, str(one["count"]), f"{one['same']:.0%}", f"{one['clip']:.0%}")
            for what, one in found["rows"].items()
        ),
        f"Halves of {_FRAMES} frames, {found['clips']} clips. Nearest by Euclidean distance of "
        "standardised numbers.",
    )
    results = {"probes": probes, "retrieval": found}
    record.write(options.out, results, {"probes": probe_table, "retrieval": retrieval_table})


def _scenes(count: int, seed: int) -> tuple[list[torch.Tensor], dict[str, linear_probe.IntArray]]:
    """Random scenes of pictures that are set apart, uint8, and the classes of their cells."""
    pictures = token_pictures.load(apart=True)
    random = np.random.default_rng(seed)
    videos, known = [], []
    for first in range(0, count, _BATCH):
        drawn = batch(pictures, random, min(_BATCH, count - first), _FRAMES)
        videos += list((drawn.video.clamp(0, 1) * 255).round().to(torch.uint8))
        known.append(linear_probe.labels(drawn))
    return videos, {name: np.concatenate([one[name] for one in known]) for name in known[0]}


def _probes(tokenizer: VideoTokenizer, options: Any) -> dict[str, Any]:
    """Accuracies, by what is read."""
    draws = [_scenes(options.videos, seed) for seed in (1, 2)]
    videos = [video for drawn, _ in draws for video in drawn]
    known = {name: np.concatenate([one[name] for _, one in draws]) for name in draws[0][1]}
    more, taught = _scenes(options.more, 3)
    known["luma"], taught["luma"] = (
        linear_probe.quarters(one["luma"], taught["luma"]) for one in (known, taught)
    )

    def tokens(of: VideoTokenizer, pictures: Sequence[torch.Tensor]) -> linear_probe.FloatArray:
        return np.stack([linear_probe.token_features(of.digits(video)) for video in pictures])

    def both(features: linear_probe.FloatArray) -> dict[str, Any]:
        return {
            "across": linear_probe.folded(features, known),
            "within": linear_probe.within(features, known),
        }

    rows: dict[str, Any] = {
        "chance; the video's most frequent class": {
            "across": {name: 1 / count for name, count in linear_probe.CLASSES.items()},
            "within": linear_probe.guessed(known),
        }
    }
    seeds = [1000 * draw + number for draw in (0, 1) for number in range(1, options.videos + 1)]
    psnr: list[float] = []
    for what, same in (("own latents, a seed each", False), ("own latents, one seed", True)):
        fits = [
            linear_probe.own_latents(video, options.epochs, 0 if same else seed)
            for video, seed in zip(videos, seeds, strict=True)
        ]
        psnr += [one.psnr for one in fits]
        own = [linear_probe.own_features(one) for one in fits]
        print(f"{what}: {np.mean(psnr):.2f} dB", file=sys.stderr, flush=True)
        rows[what] = both(np.stack(own))
        rows[f"{what}, standardised per video"] = both(np.stack(linear_probe.standardised(own)))
    shared = tokens(tokenizer, videos)
    rows["shared tokens"] = both(shared)
    rows[f"shared tokens, {options.more} other scenes to train on"] = {
        "across": linear_probe.across(tokens(tokenizer, more), taught, shared, known)
    }
    torch.manual_seed(0)
    rows["tokens of the tokenizer before training"] = both(
        tokens(VideoTokenizer.untrained(), videos)
    )
    cells = {
        name: np.bincount(known[name][known[name] != linear_probe.NONE], minlength=count).tolist()
        for name, count in linear_probe.CLASSES.items()
    }
    return {"rows": rows, "psnr": float(np.mean(psnr)), "cells": cells}


def _retrieval(tokenizer: VideoTokenizer, options: Any) -> dict[str, Any]:
    """Recall, by descriptor."""
    paths = retrieval.videos(options.clips, options.without)
    parts = [
        stretch
        for path in paths
        for stretch in retrieval.stretches(path, _FRAMES, options.stretches)
    ]
    clips = [one.clip for one in parts]
    digits = [[tokenizer.digits(half) for half in one.halves] for one in parts]

    def described(make: Callable[[Any], retrieval.FloatArray], of: Any) -> Any:
        return [np.stack([make(pair[side]) for pair in of]) for side in (0, 1)]

    made = {
        "tokens, frequencies of digits": described(retrieval.fsq_index_frequencies, digits),
        "tokens, mean and deviation of codes": described(retrieval.token_moments, digits),
        "mean and deviation of colours": described(
            retrieval.colour_moments, [one.halves for one in parts]
        ),
    }
    rows = {what: asdict(retrieval.recall(*each, clips)) for what, each in made.items()}
    rows["chance"] = _chance(clips)
    # Of as many clips as there are.
    some = _spread(clips, options.own)
    own = []
    for number in some:
        halves = [_halved(half) for half in parts[number].halves]
        own.append([linear_probe.own_latents(half, options.epochs, 2 * number + side + 1)
                    for side, half in enumerate(halves)])  # fmt: skip
        print(f"own networks: {len(own)} of {len(some)}", file=sys.stderr, flush=True)
    few = [clips[number] for number in some]
    latents = described(
        lambda one: retrieval.moments(one.latents.movedim(1, -1).double().numpy()), own
    )
    rows["few: own latents, mean and deviation"] = asdict(retrieval.recall(*latents, few))
    for what, (first, second) in made.items():
        rows[f"few: {what}"] = asdict(retrieval.recall(first[some], second[some], few))
    rows["few: chance"] = _chance(few)
    return {"rows": rows, "clips": len(set(clips))}


def _chance(clips: Sequence[str]) -> dict[str, Any]:
    shares = np.unique(clips, return_counts=True)[1] / len(clips)
    return asdict(retrieval.Recall(1 / len(clips), float((shares**2).sum()), len(clips)))


def _spread(clips: Sequence[str], count: int) -> list[int]:
    """Places of stretches: the first of every clip, then the second, and so on."""
    seen: dict[str, int] = {}
    order = []
    for place, clip in enumerate(clips):
        seen[clip] = seen.get(clip, 0) + 1
        order.append((seen[clip], place))
    return sorted(place for _, place in sorted(order)[:count])


def _halved(pictures: torch.Tensor) -> torch.Tensor:
    """Half as wide and high, then up to whole cells with the last samples: for time's sake."""
    small = torch.nn.functional.avg_pool2d(pictures.float(), 2)
    down, right = -small.shape[2] % 32, -small.shape[3] % 32
    padded = torch.nn.functional.pad(small, (0, right, 0, down), mode="replicate")
    return padded.round().to(torch.uint8)


if __name__ == "__main__":
    main()
