"""Print the counts that adaptation of motion contexts begins with, from fits of clips.

The clips are those of the development half of the suite `broad`. What is printed belongs into
`entropy/motion/contexts.py` and, as it is part of the bitstream, into `docs/bitstream.md`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt

from benchmarks.harness import record
from benchmarks.harness.clips import read
from benchmarks.rd.prepared_clips import find_file, prepare
from benchmarks.rd.suites import choose_clips
from nvcodec.entropy.motion.contexts import CONTEXTS, SYMBOLS, WIDEST, AdaptiveTables
from nvcodec.fitting.latentgrid.effort import Effort
from nvcodec.fitting.latentgrid.encode_pass import SegmentFit
from nvcodec.fitting.latentgrid.motion_search.work import MotionWork
from nvcodec.media import ColourMode
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.latentgrid.step_sizes import base_index
from nvcodec.reconstruction.latentgrid_decoder import source_picture

# A clip counts as at most so many symbols of a context. The counts of a context add up to about
# `_WEIGHT`, which is that of 16 symbols of a stream.
_MOST_SYMBOLS = 400
_WEIGHT = 64
_RARE = 0.3  # added to every count, for symbols that did not occur


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training.motion_counts",
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=record.BenchmarkHelpFormatter,
    )
    parser.add_argument("--clips", type=Path, help="folder with the clips")
    parser.add_argument("--frames", type=int, default=17, help="frames of each clip")
    parser.add_argument("--step", type=float, default=28.0, help="quantisation step of luma")
    parser.add_argument(
        "--work", type=Path, default=record.FILES / "rd", help="folder of the prepared clips"
    )
    options = parser.parse_args(argv)
    counts = np.zeros((CONTEXTS, WIDEST))
    for clip in choose_clips("broad", None):
        file = find_file(clip, options.clips)
        if clip.half != "development" or file is None:
            continue
        path = prepare(clip, file, options.work / "sources").path
        observed = _observe(path, options.frames, options.step)
        totals = np.maximum(observed.sum(1, keepdims=True), 1)
        counts += observed / totals * np.minimum(totals, _MOST_SYMBOLS)
    for context, symbols in enumerate(SYMBOLS[:CONTEXTS]):
        shares = counts[context, :symbols] + _RARE
        weights = np.maximum(np.rint(shares / shares.sum() * _WEIGHT), 1).astype(int)
        print(f"    {tuple(weights.tolist())},")


@contextmanager
def _recorded(observed: npt.NDArray[np.float64]) -> Iterator[None]:
    """Add up all symbols of motion that are coded meanwhile."""
    original = AdaptiveTables.adapt

    def adapt(self: AdaptiveTables, counts: npt.NDArray[np.int64]) -> None:
        observed[:] += counts[:CONTEXTS]
        original(self, counts)

    with mock.patch.object(AdaptiveTables, "adapt", adapt):
        yield


def _observe(path: Path, frames: int, step: float) -> npt.NDArray[np.float64]:
    """Fit a clip, and return how often each symbol of motion occurred."""
    source, info = read(path, frames=slice(0, frames))
    _, height, width = source.y.shape
    config = LatentGridConfig.suited(
        size=(height, width), frames=len(source), colour=ColourMode.YUV420
    )
    segment = SegmentFit(source_picture(source, config, info.colour), config, seed=0)
    effort = Effort()
    observed = np.zeros((CONTEXTS, WIDEST))
    with _recorded(observed):
        for work in (MotionWork.SEARCH, MotionWork.REFINE):
            segment.run(effort.steps(base_index(step)), effort, motion_work=work)
    return observed


if __name__ == "__main__":
    main()
