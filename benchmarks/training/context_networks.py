"""Train the default context networks of `latentgrid`, `entropy/latents/default_weights.py`.

    python -m benchmarks.training.context_networks --clips FOLDER

In every round each clip of `CLIPS` is fitted at several quantisation steps with the current
networks, and new networks are fitted to the symbols of all clips. None of the clips is in the small
suite of the rate-distortion benchmark. Run it only before a release that changes the bitstream: the
weights are part of it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.harness.clips import read
from benchmarks.harness.record import ROOT, BenchmarkHelpFormatter
from nvcodec.entropy.latents.context_network import ContextNetwork, flatten_weights
from nvcodec.entropy.latents.default_weights import SCALES
from nvcodec.fitting.latentgrid.context_training import ContextSamples, fit_network
from nvcodec.fitting.latentgrid.effort import Effort
from nvcodec.fitting.latentgrid.encode_pass import SegmentFit
from nvcodec.fitting.latentgrid.motion_search.work import MotionWork
from nvcodec.media import ColourMode
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.latentgrid.step_sizes import base_index
from nvcodec.models.latentgrid.subbands import PlaneKind
from nvcodec.reconstruction.latentgrid_decoder import source_picture

# File, width and height or None for the file's own, first frame and number of frames.
CLIPS = (
    ("coastguard_cif_30fps_21f.mkv", None, 0, 21),
    ("flower.mp4", (320, 240), 10, 33),
    ("cityCC0.mpg", (360, 202), 0, 33),
    ("mobile_cif_30f_pcm.264", None, 0, 17),
    ("davis_bmx-trees_854x480_80f.mkv", (428, 240), 0, 33),
    ("tears-of-steel-battle_70s.webm", (480, 200), 100, 33),
    ("friday.mp4", (320, 180), 20, 33),
    ("src01_576x324_10bit_3f.y4m", None, 0, 3),
    ("roadtrip-vp92-10bit.webm", (320, 180), 0, 33),
)
STEPS = (9.0, 18.0, 36.0)
TARGET = ROOT / "entropy" / "latents" / "default_weights.py"
HEADER = '''"""Weights of the default context networks, as made by `benchmarks/training/context_networks.py`.

Each kind of plane has int8 numbers in hexadecimal: hidden, linear and output weights, then biases
by band and channel for planes of `SCALES` wavelet scales. Part of the bitstream.
"""
'''


def main() -> None:
    """Train the networks and write the module."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training.context_networks",
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=BenchmarkHelpFormatter,
    )
    parser.add_argument("--clips", type=Path, required=True, help="folder of the clips")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of fits and training")
    parser.add_argument(
        "--context-steps", type=int, default=4000, help="optimiser steps on each network"
    )
    options = parser.parse_args()
    effort = Effort()
    fits = [fit for clip in CLIPS for fit in _fits(options.clips, *clip)]
    networks: dict[PlaneKind, ContextNetwork] | None = None
    start = time.monotonic()
    for round_number in range(options.rounds):
        symbols = {kind: ContextSamples() for kind in PlaneKind}
        for name, step_index, segment in fits:
            if networks is not None:
                segment.networks = dict(networks)
            work = MotionWork.REFINE if round_number else MotionWork.SEARCH
            outcome = segment.run(effort.steps(step_index), effort, motion_work=work)
            for kind in PlaneKind:
                symbols[kind].extend(outcome.context_samples[kind])
            sizes = {kind.name.lower(): int(outcome.bits[kind] / 8) for kind in PlaneKind}
            print(
                f"{time.monotonic() - start:6.0f} s  round {round_number}  {name}  {sizes}",
                flush=True,
            )
        initial_networks = fits[0][2].networks
        networks = {
            kind: fit_network(
                initial_networks[kind],
                initial_networks[kind],
                symbols[kind],
                steps=options.context_steps,
                generator=torch.Generator().manual_seed(round_number),
                max_samples=None,
            )
            for kind in PlaneKind
        }
        _write(networks)


def _fits(
    folder: Path, name: str, size: tuple[int, int] | None, first: int, count: int
) -> Iterator[tuple[str, int, SegmentFit]]:
    """Yield name, step index and fit of a clip at every step.

    Args:
        folder: Folder of the clips.
        name: Name of the file.
        size: Width and height; None for the file's own.
        first: First frame.
        count: Number of frames.
    """
    frames, info = read(folder / name, frames=slice(first, first + count), resize=size)
    config = LatentGridConfig.suited(
        size=frames.y.shape[1:], frames=len(frames), colour=ColourMode.YUV420
    )
    # All networks have the bands of the grids with most scales, so that their biases can be shared.
    config = replace(config, scales=SCALES["LUMA"])
    picture = source_picture(frames, config, info.colour)
    for step in STEPS:
        yield name, base_index(step), SegmentFit(picture, config, seed=0)


def _write(networks: dict[PlaneKind, ContextNetwork]) -> None:
    """Write the networks as a Python module."""
    lines = [HEADER, f"SCALES = {SCALES}".replace("'", '"'), "", "WEIGHTS = {"]
    for kind, network in networks.items():
        text = flatten_weights(network).astype("int8").tobytes().hex()
        lines.append(f'    "{kind.name}": (')
        lines += [f'        "{text[start : start + 80]}"' for start in range(0, len(text), 80)]
        lines.append("    ),")
    TARGET.write_text("\n".join([*lines, "}", ""]))


if __name__ == "__main__":
    main()
