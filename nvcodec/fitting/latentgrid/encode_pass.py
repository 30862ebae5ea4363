"""A pass over a segment: level by level motion, prediction, latents; what follows is decoded frames.

Everything a later level is predicted from is what a decoder will have, so that no error adds up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log10

import numpy as np
import torch
from torch import Tensor

from nvcodec.entropy.latents.context_model import CodingPass, Grids
from nvcodec.entropy.latents.default_networks import default_network
from nvcodec.entropy.latents.encoder import CodedGrids, encode_grids
from nvcodec.fitting.latentgrid.context_training import Gathering, fit_network
from nvcodec.fitting.latentgrid.effort import Effort
from nvcodec.fitting.latentgrid.motion_estimation import MotionTask, search, shrunk
from nvcodec.fitting.latentgrid.optical_flow import FlowField
from nvcodec.fitting.latentgrid.rdoq import RdoQuantiser
from nvcodec.media import Float32Array, Int16Array
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.latentgrid.gop import PREVIOUS_SEGMENT, TemporalLayer
from nvcodec.models.latentgrid.model import (
    GREY,
    Steps,
    bands_of,
    crop_to_bands,
    pyramid_of,
    rounded,
)
from nvcodec.models.latentgrid.motion_compensation import (
    CHANNELS,
    Picture,
    expected,
    flows,
    predict,
)
from nvcodec.models.latentgrid.step_sizes import StepIndices
from nvcodec.models.latentgrid.subbands import PlaneKind
from nvcodec.models.latentgrid.wavelets import synthesis

# Motion is searched with cells of so many samples at most, on so many samples at a time.
_SEARCHED_CELL = 8
_SEARCHED_SAMPLES = 1 << 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass made.

    Attributes:
        coded: All that the stream is to hold.
        body: The same as bytes.
        psnr: Of luma, dB, mean over frames.
        error: Mean squared error over all samples of all planes.
        samples: How many those are.
        bits: Of each kind, as the choices were made.
        gathered: Inputs and symbols of each kind's context network, where motion was searched:
            other passes are too many to learn from all.
        decoded: The frames, uint8.
    """

    coded: CodedGrids
    body: bytes
    psnr: float
    error: float
    samples: int
    bits: Mapping[PlaneKind, float]
    gathered: Mapping[PlaneKind, Gathering]
    decoded: Picture


class SegmentFit:
    """What the passes over a segment share.

    Args:
        source: Its frames, uint8.
        config: Sizes and order.
        seed: Of everything random.
        before: The last frame of the segment before, uint8, if this one is predicted from it.
        seen: Which samples of the source count, bool; None if all do.

    Attributes:
        config: As given.
        before: As given. For another file of the same segment, its own may take its place.
        networks: The context networks that the next pass uses; the default ones at first.
    """

    def __init__(
        self,
        source: Picture,
        config: LatentGridConfig,
        seed: int,
        before: Picture | None = None,
        seen: Picture | None = None,
    ) -> None:
        self.config, self.before = config, before
        self.networks = {
            kind: default_network(kind, layout) for kind, layout in config.layouts.items()
        }
        self._source, self._seen = source, seen
        self._flow = FlowField(
            source.luma[:, 0].numpy(),
            config.cell,
            None if before is None else before.luma[0, 0].numpy(),
        )
        self._random = torch.Generator().manual_seed(seed)
        # Of every frame, once there are any: the fields, and the latents they came from.
        self._fields: Tensor | None = None
        self._latents: dict[int, list[Float32Array]] = {}

    def run(
        self,
        steps: StepIndices,
        effort: Effort,
        *,
        motion_steps: int | None,
        on_level: Callable[[int, float], None] | None = None,
    ) -> Outcome:
        """Code all levels.

        Args:
            steps: Quantisation steps.
            effort: What things cost, and how motion is searched.
            motion_steps: Of gradient descent on motion; None keeps that of the last pass, whose
                motion steps must be the same.
            on_level: Told how many frames are done, and their mean PSNR.
        """
        run = _Pass(self, steps, effort, motion_steps)
        done = judged = 0
        quality = 0.0
        for level in self.config.levels:
            values = run.level(level)
            quality += sum(values)
            judged += len(values)
            done += len(level.frames)
            if on_level is not None:
                on_level(done, quality / max(judged, 1))
        self._fields = run.fields
        coded = CodedGrids(steps, run.grids)
        return Outcome(
            coded=coded,
            body=encode_grids(coded, self.config.levels),
            psnr=quality / max(judged, 1),
            error=run.squared / self._samples,
            samples=self._samples,
            bits=run.bits,
            gathered=run.gathered,
            decoded=run.decoded,
        )

    def learn(self, outcome: Outcome, steps: int) -> None:
        """Fit the context networks to the symbols of a pass.

        Args:
            outcome: Of the pass.
            steps: Of Adam.
        """
        for kind, layout in self.config.layouts.items():
            self.networks[kind] = fit_network(
                self.networks[kind],
                default_network(kind, layout),
                outcome.gathered[kind],
                steps=steps,
                generator=self._random,
            )

    @property
    def _samples(self) -> int:
        if self._seen is not None:
            return max(int(self._seen.luma.sum() + self._seen.chroma.sum()), 1)
        return self._source.luma.numel() + self._source.chroma.numel()


class _Pass:
    """The state of one pass."""

    def __init__(
        self, fit: SegmentFit, steps: StepIndices, effort: Effort, motion_steps: int | None
    ) -> None:
        self._fit, self._steps, self._effort = fit, steps, effort
        self._motion_steps = motion_steps
        config = fit.config
        self._layouts = config.layouts
        self.grids = Grids(self._layouts, config.frames, fit.networks)
        self.bits = dict.fromkeys(self._layouts, 0.0)
        self.gathered = {kind: Gathering() for kind in self._layouts}
        self.squared = 0.0
        self.fields = torch.zeros(config.frames, CHANNELS, *config.field_size)
        self._known = torch.zeros(config.frames, 2, 2, *config.field_size)
        self._channel_steps = Steps.of(steps, config).field()
        source = fit._source
        self.decoded = Picture(torch.zeros_like(source.luma), torch.zeros_like(source.chroma))

    def level(self, level: TemporalLayer) -> list[float]:
        """Code a level; the PSNR of its frames, but of those that are wholly hidden."""
        frames = list(level.frames)
        target = self._fit._source[frames].float()
        seen = None if self._fit._seen is None else self._fit._seen[frames]
        prediction = Picture(
            torch.full_like(target.luma, GREY), torch.full_like(target.chroma, GREY)
        )
        if level.references[0]:
            prediction = self._predicted(level, target, seen)
            if seen is not None:
                # What is hidden is as predicted, so that nothing is spent on it.
                target = _chosen(seen, target, prediction)
        step = self._steps.luma_step(level)
        made = self._code(level, PlaneKind.LUMA, (target.luma - prediction.luma) / step)
        self.decoded.luma[frames] = rounded(prediction.luma + made * step)
        step = self._steps.chroma_step(level)
        made = self._code(level, PlaneKind.CHROMA, (target.chroma - prediction.chroma) / step)
        self.decoded.chroma[frames] = rounded(prediction.chroma + made * step)
        decoded = self.decoded[frames].float()
        if seen is not None:
            target = _chosen(seen, target, decoded)
        errors = (target.luma - decoded.luma).square()
        self.squared += float(errors.sum() + (target.chroma - decoded.chroma).square().sum())
        means = errors.mean((1, 2, 3))
        if seen is not None:
            shares = seen.luma.float().mean((1, 2, 3))
            means = (means / shares)[shares > 0]
        return [10 * log10(255**2 / max(error, 1e-3)) for error in means.tolist()]

    def _predicted(self, level: TemporalLayer, target: Picture, seen: Picture | None) -> Picture:
        """Find and code the motion of a level; what its references let expect."""
        config, effort, layout = self._fit.config, self._effort, self._layouts[PlaneKind.MOTION]
        frames = list(level.frames)
        sources = [
            self._reference([both[side] for both in level.references]).float()
            for side in range(len(level.references[0]))
        ]
        base = expected(
            frames, level.references, config.hierarchy.all_references, self._known, config.cell
        )
        if self._motion_steps is not None:
            self._search(level, target, seen, sources, base)
        rooms = [
            np.stack([self._fit._latents[frame][band] for frame in frames])
            for band in range(len(layout.bands))
        ]
        coded = self._choose(level, PlaneKind.MOTION, rooms, effort.keep)
        fields = base + coded * self._channel_steps
        self.fields[frames] = fields
        self._known[frames] = flows(fields)
        return predict(fields, sources, config.cell)

    def _reference(self, frames: list[int]) -> Picture:
        """Decoded frames, or the one before the segment."""
        if frames != [PREVIOUS_SEGMENT]:
            return self.decoded[frames]
        assert self._fit.before is not None
        return self._fit.before

    def _search(
        self,
        level: TemporalLayer,
        target: Picture,
        seen: Picture | None,
        sources: Sequence[Picture],
        base: Tensor,
    ) -> None:
        """Find the motion latents of a level, a few frames at a time."""
        fit, effort, config = self._fit, self._effort, self._fit.config
        layout = self._layouts[PlaneKind.MOTION]
        shrink = max(config.cell // _SEARCHED_CELL, 1)
        samples = config.size[0] * config.size[1] // shrink**2
        together = max(1, _SEARCHED_SAMPLES // samples)
        for first in range(0, len(level.frames), together):
            part = slice(first, first + together)
            frames, references = list(level.frames[part]), level.references[part]
            task = MotionTask(
                target=shrunk(target[part], shrink),
                seen=seen and shrunk(seen[part].float(), shrink),
                sources=[shrunk(source[part], shrink) for source in sources],
                shrink=shrink,
                expected=base[part],
                step=self._steps.luma_step(level),
                steps=self._channel_steps,
                weight=effort.motion_weight,
                cell=config.cell,
                layout=layout,
            )
            known = fit._fields
            latents = search(
                task,
                fit._flow.fields(frames, references) if known is None else known[frames],
                steps=self._motion_steps or 0,
                rate=effort.motion_rate if known is None else effort.motion_rate / 2,
                deadzone=effort.deadzone if known is None else 0.0,
                trials=effort.trials,
            )
            rooms = crop_to_bands(layout, latents)
            for place, frame in enumerate(frames):
                fit._latents[frame] = [room[place] for room in rooms]

    def _code(self, level: TemporalLayer, kind: PlaneKind, residual: Tensor) -> Tensor:
        """Quantise residuals in steps; what a decoder makes of them."""
        coefficients = bands_of(self._layouts[kind], residual)
        return self._choose(level, kind, coefficients, self._effort.lagrangian)

    def _choose(
        self, level: TemporalLayer, kind: PlaneKind, coefficients: list[Float32Array], weight: float
    ) -> Tensor:
        layout = self._layouts[kind]
        chooser = RdoQuantiser(layout, level.frames, coefficients, weight)

        def visit(coding_pass: CodingPass) -> Int16Array:
            symbols = chooser(coding_pass)
            if self._motion_steps is not None:
                self.gathered[kind].add(coding_pass, symbols)
            return symbols

        self.grids.code_band(level, kind, [layout.scales + 1] * len(level.frames), visit)
        self.bits[kind] += chooser.bits
        symbols = [band[list(level.frames)] for band in self.grids.symbols[kind]]
        return synthesis(pyramid_of(layout, symbols))


def _chosen(seen: Picture, one: Picture, other: Picture) -> Picture:
    """The samples of one picture where they are seen, else of another."""
    return Picture(
        torch.where(seen.luma, one.luma, other.luma),
        torch.where(seen.chroma, one.chroma, other.chroma),
    )
