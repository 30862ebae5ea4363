"""Bounds on what motion tools that `latentgrid` lacks could save.

A clip is fitted, and each of its predicted frames is predicted once more with each tool. Of every
16 x 16 block the cheaper prediction counts, for two bits of its own, as if the tool cost nothing
else. The cost is the one that motion is searched by: it stands for rate and distortion of the
residual. A bound of 1 % means that the sum of costs falls by 1 %, in the best case.

    python -m benchmarks.ablations.motion_bounds --clips ../shared/clips
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import hadamard
from scipy.ndimage import map_coordinates

from benchmarks.harness import record
from benchmarks.harness.clips import read
from benchmarks.rd.prepared_clips import find_file, prepare
from benchmarks.rd.suites import choose_clips
from nvcodec.entropy.motion.coder import MotionCoder
from nvcodec.fitting.latentgrid.effort import Effort
from nvcodec.fitting.latentgrid.encode_pass import SegmentFit
from nvcodec.fitting.latentgrid.motion_search.frame_search import search_motion
from nvcodec.fitting.latentgrid.motion_search.work import MotionWork
from nvcodec.media import ColourMode
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.latentgrid.motion.grids import FIRST, SECOND, VECTOR_UNITS
from nvcodec.models.latentgrid.motion.pictures import predict_picture
from nvcodec.models.latentgrid.picture import Picture
from nvcodec.models.latentgrid.step_sizes import StepIndices, base_index
from nvcodec.reconstruction.latentgrid_decoder import source_picture

_CLIPS = ("basketballpass", "foreman", "friday", "juggle", "bikes", "bunny", "bmx", "steel")
_BLOCK = 16
_KNEE = 0.55  # as in the search
_SIDE_BITS = 2
# Displacements of the corners of a block by zoom, rotation and the two shears, samples.
_CORNERS = (-1.0, -0.5, -0.25, 0.25, 0.5, 1.0)

Array: TypeAlias = npt.NDArray[np.float64]


class _Fitted:
    """A fitted clip, whose frames can be predicted in other ways.

    Args:
        path: The prepared clip.
        frames: How many of its frames are fitted.
        step: Quantisation step of luma.
    """

    def __init__(self, path: Path, frames: int, step: float) -> None:
        source, info = read(path, frames=slice(0, frames))
        _, height, width = source.y.shape
        self.config = LatentGridConfig.suited(
            size=(height, width), frames=len(source), colour=ColourMode.YUV420
        )
        self.effort = Effort()
        self.steps: StepIndices = self.effort.steps(base_index(step))
        picture = source_picture(source, self.config, info.colour)
        self.segment = SegmentFit(picture, self.config, seed=0)
        outcome = self.segment.run(self.steps, self.effort, motion_work=MotionWork.SEARCH)
        self.segment.learn(outcome, self.effort.context_steps)
        outcome = self.segment.run(self.steps, self.effort, motion_work=MotionWork.REFINE)
        self.decoded = outcome.decoded
        self.coder = MotionCoder(
            self.config.hierarchy.all_references, self.config.grid_size, self.config.cell
        )
        self.coder.grids = dict(self.segment.motion)

    def frames(self) -> Iterator[tuple[int, tuple[int, ...], float]]:
        """Yield every predicted frame with its references and its quantisation step."""
        for layer in self.config.temporal_layers:
            for frame, references in zip(layer.frames, layer.references, strict=True):
                if references:
                    yield frame, references, self.steps.luma_step(layer)

    def target(self, frame: int) -> Array:
        """Return the luma of a source frame."""
        luma: Array = self.segment.source.luma[frame, 0].numpy().astype(np.float64)
        return luma

    def reference(self, frame: int) -> Picture:
        """Return a decoded frame."""
        return self.decoded[[frame]]

    def predicted(self, frame: int, references: Sequence[int]) -> Array:
        """Return the luma of a frame as it is predicted."""
        pictures = [self.reference(number) for number in references]
        picture = predict_picture(self.segment.motion[frame], pictures, self.config.cell)
        luma: Array = picture.luma[0, 0].numpy().astype(np.float64)
        return luma


def block_costs(residual: Array, step: float) -> Array:
    """Return the cost of the residual of every block, in squared steps.

    Args:
        residual: Shape (H, W), 8-bit levels.
        step: Quantisation step.
    """
    height, width = residual.shape
    padded = np.pad(residual / step, ((0, -height % _BLOCK), (0, -width % _BLOCK)))
    tiles = padded.reshape(padded.shape[0] // 8, 8, padded.shape[1] // 8, 8).swapaxes(1, 2)
    transform = hadamard(8)
    coefficients = transform @ tiles @ transform / 8
    costs = _KNEE * np.log1p(coefficients**2 / _KNEE).sum((2, 3))
    sums: Array = costs.reshape(costs.shape[0] // 2, 2, costs.shape[1] // 2, 2).sum((1, 3))
    return sums


def _third_reference(fitted: _Fitted, frame: int, references: Sequence[int]) -> Iterator[Array]:
    """Search anew with the nearest other frame that is decoded by then in place of a reference."""
    layers = fitted.config.temporal_layers
    depths = {number: layer.depth for layer in layers for number in layer.frames}
    earlier = [
        number
        for number, depth in depths.items()
        if number not in references
        and (depth < depths[frame] or (depth == depths[frame] == 0 and number < frame))
    ]
    if not earlier:
        return
    third = min(earlier, key=lambda number: abs(number - frame))
    pairs = [(references[0], third), (third, references[-1])]
    step = next(step for number, _, step in fitted.frames() if number == frame)
    for pair in pairs[: len(references)]:
        coder = MotionCoder(
            {**fitted.config.hierarchy.all_references, frame: pair},
            fitted.config.grid_size,
            fitted.config.cell,
        )
        coder.grids = {
            number: grid for number, grid in fitted.coder.grids.items() if number != frame
        }
        pictures = [fitted.reference(number) for number in pair]
        grid = search_motion(
            coder,
            frame,
            fitted.segment.source.luma[frame, 0].numpy(),
            [picture.luma[0, 0].numpy() for picture in pictures],
            None,
            cell=fitted.config.cell,
            step=step,
            lagrangian=fitted.effort.motion_lagrangian,
            refinements=1,
        )
        luma = predict_picture(grid, pictures, fitted.config.cell).luma
        yield luma[0, 0].numpy().astype(np.float64)


def _affine(fitted: _Fitted, frame: int, references: Sequence[int]) -> Iterator[Array]:
    """Zoom, rotate and shear what every block is predicted from, about its centre."""
    grid, cell = fitted.segment.motion[frame], fitted.config.cell
    height, width = fitted.target(frame).shape
    y, x = np.mgrid[:height, :width].astype(np.float64)
    offset_y, offset_x = (v % _BLOCK - (_BLOCK - 1) / 2 for v in (y, x))
    cells = (y // cell).astype(int), (x // cell).astype(int)
    planes = [fitted.reference(number).luma[0, 0].numpy().astype(float) for number in references]

    def displaced(kind: int, size: float) -> Array:
        slope = size / (_BLOCK / 2)
        move_y, move_x = (
            (slope * offset_y, slope * offset_x),
            (slope * offset_x, -slope * offset_y),
            (slope * offset_y, -slope * offset_x),
            (slope * offset_x, slope * offset_y),
        )[kind]
        sums, counts = np.zeros((height, width)), np.zeros((height, width))
        for number, plane in enumerate(planes):
            # Motion is steady in time, so that the two references deform in opposite directions.
            sign = 1 if number == 0 else -1
            vectors = grid.vectors[cells][:, :, number] / VECTOR_UNITS
            at = (y + vectors[..., 1] + sign * move_y, x + vectors[..., 0] + sign * move_x)
            used = (grid.modes != (SECOND if number == 0 else FIRST))[cells]
            sums += used * map_coordinates(plane, at, order=3, mode="nearest")
            counts += used
        return sums / np.maximum(counts, 1)

    plain = displaced(0, 0.0)
    blended = fitted.predicted(frame, references)
    for kind, size in product(range(4), _CORNERS):
        # What the deformation changes, on top of the prediction with overlap.
        yield blended + displaced(kind, size) - plain


_TOOLS: Mapping[str, Callable[[_Fitted, int, Sequence[int]], Iterator[Array]]] = {
    "a third reference": _third_reference,
    "affine motion": _affine,
}


def measure(path: Path, frames: int, step: float) -> dict[str, dict[str, float]]:
    """Return for each tool the bound in per cent and the share of blocks that use it, of a clip.

    Args:
        path: The prepared clip.
        frames: How many of its frames are fitted.
        step: Quantisation step of luma.
    """
    fitted = _Fitted(path, frames, step)
    sums = dict.fromkeys(_TOOLS, 0.0)
    used = dict.fromkeys(_TOOLS, 0.0)
    total = blocks = 0.0
    side = fitted.effort.motion_lagrangian * _SIDE_BITS
    for frame, references, frame_step in fitted.frames():
        target = fitted.target(frame)
        costs = block_costs(target - fitted.predicted(frame, references), frame_step)
        total += costs.sum()
        blocks += costs.size
        for name, tool in _TOOLS.items():
            best = costs
            for prediction in tool(fitted, frame, references):
                best = np.minimum(best, block_costs(target - prediction, frame_step) + side)
            sums[name] += best.sum()
            used[name] += (best < costs).sum()
    return {
        name: {"percent": 100 * (sums[name] / total - 1), "blocks": 100 * used[name] / blocks}
        for name in _TOOLS
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("motion_bounds", __doc__)
    parser.add_argument("--clips", type=Path, help="folder with the clips")
    parser.add_argument("--only", nargs="+", default=_CLIPS, help="clips of the suite to measure")
    parser.add_argument("--frames", type=int, default=17, help="frames of each clip")
    parser.add_argument("--step", type=float, default=40.0, help="quantisation step of luma")
    parser.add_argument(
        "--work", type=Path, default=record.FILES / "rd", help="folder of the prepared clips"
    )
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    for clip in choose_clips("broad", options.only):
        file = find_file(clip, options.clips)
        if file is None:
            raise SystemExit(f"{clip.name}: {clip.file} was not found; try --clips FOLDER")
        path = prepare(clip, file, options.work / "sources").path
        results[clip.name] = measure(path, options.frames, options.step)
        print(clip.name, results[clip.name], flush=True)
    rows = tuple(
        (
            clip,
            *(f"{row[name]['percent']:+.1f} ({row[name]['blocks']:.0f} %)" for name in _TOOLS),
        )
        for clip, row in results.items()
    )
    note = (
        "Sum of the costs of all blocks in per cent, at best, and share of the blocks that would "
        f"use the tool. {options.frames} frames at a step of {options.step:g}."
    )
    record.write(
        options.out, results, {"bounds": record.ResultTable(("clip", *_TOOLS), rows, note)}
    )


if __name__ == "__main__":
    main()
