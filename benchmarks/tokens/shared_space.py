"""Probes and retrieval that test whether tokens mean the same in all videos, as own latents do not.

Probes: linear classifiers of the luma, colour and motion of a cell are trained on random scenes and
tested on others, all made of photographs that the tokenizer has not seen and of plain shapes or, if
the font is installed, emoji. Retrieval: first halves of stretches of real clips search for their
second halves. Both are measured for tokens of the shared tokenizer and for latents of HNeRV, fitted
to every video with its encoder, at the resolution of tokens.
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
from benchmarks.procedural.pictures import load_pictures
from benchmarks.procedural.videos import draw_scenes
from benchmarks.tokens import linear_probe, retrieval
from nvcodec.tokenizer.tokenizer import VideoTokenizer

_FRAMES = 17
_BATCH = 8
# Copies of other clips: their halves would have two right answers.
_DUPLICATES = ("small_bunny_1080p_30fps.mp4",)


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("token_space", __doc__)
    parser.add_argument("--clips", type=Path, required=True, help="folder of videos")
    parser.add_argument("--without", nargs="*", default=_DUPLICATES, help="files to leave out")
    parser.add_argument("--videos", type=int, default=12, help="half the number of scenes")
    parser.add_argument(
        "--more", type=int, default=256, help="further scenes to train probes of tokens on"
    )
    parser.add_argument("--epochs", type=int, default=25, help="epochs of each fit to a video")
    parser.add_argument("--stretches", type=int, default=24, help="stretches of a clip, at most")
    parser.add_argument("--own", type=int, default=12, help="stretches that networks are fitted to")
    parser.add_argument("--tokenizer", default="bundled:small", help="the shared tokenizer")
    options = parser.parse_args(argv)
    tokenizer = VideoTokenizer.from_pretrained(options.tokenizer)
    probes = _probes(tokenizer, options)
    retrieved = _retrieval(tokenizer, options)
    names = list(linear_probe.CLASSES)
    probe_table = record.ResultTable(
        ("what is read", *(f"{name}, other videos" for name in names),
         *(f"{name}, same video" for name in names)),
        tuple(
            (label, *(f"{100 * row[kind][name]:.0f} %" if row.get(kind) else "-"
                     for kind in ("across", "within") for name in names))
            for label, row in probes["rows"].items()
        ),
        f"Share of right answers, classes weighing the same. {2 * options.videos} scenes of {_FRAMES} "
        f"frames of 128x128, a sixth of them at a time to test on; own networks: {options.epochs} epochs, "
        f"{probes['psnr']:.1f} dB on average.",
    )  # fmt: skip
    retrieval_table = record.ResultTable(
        ("descriptor", "pairs", "own half nearest", "same clip nearest"),
        tuple(
            (label, str(row["count"]), f"{row['same']:.0%}", f"{row['clip']:.0%}")
            for label, row in retrieved["rows"].items()
        ),
        f"Halves of {_FRAMES} frames, {retrieved['clips']} clips. Nearest by Euclidean distance of "
        "standardised numbers.",
    )
    results = {"probes": probes, "retrieval": retrieved}
    record.write(options.out, results, {"probes": probe_table, "retrieval": retrieval_table})


def _scenes(count: int, seed: int) -> tuple[list[torch.Tensor], dict[str, linear_probe.IntArray]]:
    """Draw random scenes of the pictures for tests.

    Args:
        count: Number of scenes.
        seed: Seed of the scenes.

    Returns:
        Videos, uint8, and the classes of their cells by property.
    """
    pictures = load_pictures(for_tests=True)
    random = np.random.default_rng(seed)
    videos, classes = [], []
    for first in range(0, count, _BATCH):
        drawn = draw_scenes(pictures, random, min(_BATCH, count - first), _FRAMES)
        videos += list((drawn.video.clamp(0, 1) * 255).round().to(torch.uint8))
        classes.append(linear_probe.labels(drawn))
    return videos, {name: np.concatenate([part[name] for part in classes]) for name in classes[0]}


def _probes(tokenizer: VideoTokenizer, options: Any) -> dict[str, Any]:
    """Return accuracies of probes, by the features that they read."""
    draws = [_scenes(options.videos, seed) for seed in (1, 2)]
    videos = [video for drawn, _ in draws for video in drawn]
    classes = {name: np.concatenate([part[name] for _, part in draws]) for name in draws[0][1]}
    training_videos, training_classes = _scenes(options.more, 3)
    classes["luma"], training_classes["luma"] = (
        linear_probe.quarters(part["luma"], training_classes["luma"])
        for part in (classes, training_classes)
    )

    def tokens(of: VideoTokenizer, pictures: Sequence[torch.Tensor]) -> linear_probe.FloatArray:
        return np.stack([linear_probe.token_features(of.digits(video)) for video in pictures])

    def across_and_within(features: linear_probe.FloatArray) -> dict[str, Any]:
        return {
            "across": linear_probe.cross_validated(features, classes),
            "within": linear_probe.within(features, classes),
        }

    rows: dict[str, Any] = {
        "chance; the video's most frequent class": {
            "across": {name: 1 / count for name, count in linear_probe.CLASSES.items()},
            "within": linear_probe.majority_accuracy(classes),
        }
    }
    seeds = [1000 * draw + number for draw in (0, 1) for number in range(1, options.videos + 1)]
    psnr: list[float] = []
    for label, same in (("own latents, a seed each", False), ("own latents, one seed", True)):
        fits = [
            linear_probe.own_latents(video, options.epochs, 0 if same else seed)
            for video, seed in zip(videos, seeds, strict=True)
        ]
        psnr += [fit.psnr for fit in fits]
        features = [linear_probe.own_features(fit) for fit in fits]
        print(f"{label}: {np.mean(psnr):.2f} dB", file=sys.stderr, flush=True)
        rows[label] = across_and_within(np.stack(features))
        standardised = linear_probe.standardised(features)
        rows[f"{label}, standardised per video"] = across_and_within(np.stack(standardised))
    shared = tokens(tokenizer, videos)
    rows["shared tokens"] = across_and_within(shared)
    training_tokens = tokens(tokenizer, training_videos)
    rows[f"shared tokens, {options.more} other scenes to train on"] = {
        "across": linear_probe.across(training_tokens, training_classes, shared, classes)
    }
    torch.manual_seed(0)
    rows["tokens of the tokenizer before training"] = across_and_within(
        tokens(VideoTokenizer.untrained(), videos)
    )
    cells = {
        name: np.bincount(
            classes[name][classes[name] != linear_probe.NONE], minlength=count
        ).tolist()
        for name, count in linear_probe.CLASSES.items()
    }
    return {"rows": rows, "psnr": float(np.mean(psnr)), "cells": cells}


def _retrieval(tokenizer: VideoTokenizer, options: Any) -> dict[str, Any]:
    """Return the recall by descriptor."""
    paths = retrieval.videos(options.clips, options.without)
    parts = [
        stretch
        for path in paths
        for stretch in retrieval.stretches(path, _FRAMES, options.stretches)
    ]
    clips = [part.clip for part in parts]
    fsq_indices = [[tokenizer.digits(half) for half in part.halves] for part in parts]

    def describe_halves(make: Callable[[Any], retrieval.FloatArray], of: Any) -> Any:
        return [np.stack([make(pair[side]) for pair in of]) for side in (0, 1)]

    descriptors = {
        "tokens, frequencies of digits": describe_halves(
            retrieval.fsq_index_frequencies, fsq_indices
        ),
        "tokens, mean and deviation of codes": describe_halves(
            retrieval.token_moments, fsq_indices
        ),
        "mean and deviation of colours": describe_halves(
            retrieval.colour_moments, [part.halves for part in parts]
        ),
    }
    rows = {label: asdict(retrieval.recall(*each, clips)) for label, each in descriptors.items()}
    rows["chance"] = _chance(clips)
    # Fits are slow, so they take some stretches only, of as many clips as possible.
    chosen = _spread_over_clips(clips, options.own)
    own_latents = []
    for number in chosen:
        halves = [_half_size(half) for half in parts[number].halves]
        own_latents.append(
            [
                linear_probe.own_latents(half, options.epochs, 2 * number + side + 1)
                for side, half in enumerate(halves)
            ]
        )
        print(f"own networks: {len(own_latents)} of {len(chosen)}", file=sys.stderr, flush=True)
    chosen_clips = [clips[number] for number in chosen]
    latents = describe_halves(
        lambda fit: retrieval.moments(fit.latents.movedim(1, -1).double().numpy()), own_latents
    )
    rows["few: own latents, mean and deviation"] = asdict(retrieval.recall(*latents, chosen_clips))
    for label, (first, second) in descriptors.items():
        rows[f"few: {label}"] = asdict(
            retrieval.recall(first[chosen], second[chosen], chosen_clips)
        )
    rows["few: chance"] = _chance(chosen_clips)
    return {"rows": rows, "clips": len(set(clips))}


def _chance(clips: Sequence[str]) -> dict[str, Any]:
    """Return the recall of a random choice."""
    shares = np.unique(clips, return_counts=True)[1] / len(clips)
    return asdict(retrieval.Recall(1 / len(clips), float((shares**2).sum()), len(clips)))


def _spread_over_clips(clips: Sequence[str], count: int) -> list[int]:
    """Return indices of stretches: the first of every clip, then the second, and so on."""
    counts: dict[str, int] = {}
    order = []
    for index, clip in enumerate(clips):
        counts[clip] = counts.get(clip, 0) + 1
        order.append((counts[clip], index))
    return sorted(index for _, index in sorted(order)[:count])


def _half_size(pictures: torch.Tensor) -> torch.Tensor:
    """Halve width and height to save time, and pad to whole cells with the last samples."""
    small = torch.nn.functional.avg_pool2d(pictures.float(), 2)
    down, right = -small.shape[2] % 32, -small.shape[3] % 32
    padded = torch.nn.functional.pad(small, (0, right, 0, down), mode="replicate")
    return padded.round().to(torch.uint8)


if __name__ == "__main__":
    main()
