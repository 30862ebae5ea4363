"""One segment, coded: level by level, motion, prediction, latents; then what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from nvcodec.entropy.contexts import ContextNetwork
from nvcodec.entropy.defaults import default_network
from nvcodec.entropy.grids import CodedGrids, StepIndices
from nvcodec.entropy.walk import Grids, Kind, Level, Stop, Visitor
from nvcodec.gridfit.context_fit import Gathering, fit_network, gathering_of
from nvcodec.gridfit.flow import FlowField
from nvcodec.gridfit.motion_search import MotionTask, search
from nvcodec.gridfit.quantise import Chooser
from nvcodec.models.latentgrid import GREY, bands_of, pyramid_of, rounded
from nvcodec.models.latentgrid_config import LatentGridConfig
from nvcodec.models.motion import CHANNELS, Picture, expected, flows, predict
from nvcodec.models.wavelets import synthesis


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    motion_steps: int = 40
    context_steps: int = 300
    motion_rate: float = 0.3
    dead: float = 1.0
    # What a bit costs in squared steps: the slope of rate and distortion of a Laplace source.
    weight: float = 0.134
    motion_weight: float = 0.134
    motion_step: float = 0.25
    mix_step: float = 0.7
    # Of a motion latent that the search wants: hardly any, as leaving it out was tried.
    keep: float = 0.02


@dataclass
class Pass:
    grids: Grids
    bits: dict[Kind, float]
    errors: dict[str, float]
    gathered: dict[Kind, Gathering]


class SegmentFit:
    """What the passes over a segment share."""

    def __init__(self, picture: Picture, luma, config: LatentGridConfig, effort: Effort) -> None:
        self.source, self.config, self.effort = picture, config, effort
        self.flow = FlowField(luma, config.cell)
        self.layouts = {
            Kind.MOTION: config.field_layout,
            Kind.LUMA: config.luma_layout,
            Kind.CHROMA: config.chroma_layout,
        }
        self.levels = config.levels
        self.networks = {kind: default_network(kind, lay) for kind, lay in self.layouts.items()}
        self.fields: torch.Tensor | None = None

    def run(self, indices: StepIndices, *, motion_steps: int, first: bool) -> Pass:
        """One pass over all levels."""
        config = self.config
        grids = Grids(self.layouts, config.frames, self.networks)
        gathered = gathering_of(list(self.layouts))
        bits = dict.fromkeys(self.layouts, 0.0)
        decoded = Picture(torch.zeros_like(self.source.luma), torch.zeros_like(self.source.chroma))
        fields = torch.zeros(config.frames, CHANNELS, *config.field_size)
        known = torch.zeros(config.frames, 2, 2, *config.field_size)
        origins = [config.hierarchy.references(frame) for frame in range(config.frames)]
        channel_steps = torch.tensor([indices.motion_step] * 4 + [indices.mix_step])
        channel_steps = channel_steps.view(1, CHANNELS, 1, 1)

        for level in self.levels:
            frames = list(level.frames)
            target = self.source[frames]
            step = indices.luma_step(level)

            def code(kind: Kind, coefficients, weight, level=level):
                chooser = Chooser(level.frames, coefficients, weight)

                def visit(stop: Stop) -> np.ndarray:
                    symbols = chooser(stop)
                    gathered[kind].add(stop, symbols, self.layouts[kind].channels)
                    return symbols

                ranks = self.layouts[kind].scales + 1
                grids.walk(level, kind, [ranks] * len(level.frames), visit)
                bits[kind] += chooser.bits
                pyramid = pyramid_of(
                    self.layouts[kind], [band[list(level.frames)] for band in grids.symbols[kind]]
                )
                return synthesis(pyramid)

            prediction = Picture(
                torch.full_like(target.luma, GREY), torch.full_like(target.chroma, GREY)
            )
            if level.references[0]:
                sources = [
                    decoded[[both[side] for both in level.references]]
                    for side in range(len(level.references[0]))
                ]
                base = expected(frames, level.references, origins, known, config.cell)
                task = MotionTask(
                    target, sources, base, step, channel_steps,
                    self.effort.motion_weight, config.cell, self.layouts[Kind.MOTION],
                )
                if first or self.fields is None:
                    start = self.flow.fields(frames, level.references)
                else:
                    start = self.fields[frames]
                latents = search(
                    task, start, steps=motion_steps,
                    rate=self.effort.motion_rate if first else self.effort.motion_rate / 2,
                    dead=self.effort.dead if first else 0.0,
                )
                rooms = []
                order = [latents[0]]
                for scale in reversed(range(self.layouts[Kind.MOTION].scales)):
                    order += latents[1 + 3 * scale : 4 + 3 * scale]
                for band, values in zip(self.layouts[Kind.MOTION].bands, order, strict=True):
                    room = np.zeros((*values.shape[:2], *band.room), np.float32)
                    room[..., : band.size[0], : band.size[1]] = values.numpy()
                    rooms.append(room)
                coded = code(Kind.MOTION, rooms, self.effort.keep)
                fields[frames] = base + coded * channel_steps
                known[frames] = flows(fields[frames])
                prediction = predict(fields[frames], sources, config.cell)
            scale = indices.luma_step(level)
            residual = (target.luma - prediction.luma) / scale
            made = code(Kind.LUMA, bands_of(self.layouts[Kind.LUMA], residual), self.effort.weight)
            decoded.luma[frames] = rounded(prediction.luma + made * scale).float()
            scale = indices.chroma_step(level)
            residual = (target.chroma - prediction.chroma) / scale
            made = code(
                Kind.CHROMA, bands_of(self.layouts[Kind.CHROMA], residual), self.effort.weight
            )
            decoded.chroma[frames] = rounded(prediction.chroma + made * scale).float()
        self.fields = fields
        self.decoded = decoded
        return Pass(grids, bits, {}, gathered)

    def learn(self, gathered: Mapping[Kind, Gathering], seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        for kind in self.layouts:
            self.networks[kind] = fit_network(
                self.networks[kind], default_network(kind, self.layouts[kind]), gathered[kind],
                steps=self.effort.context_steps, generator=generator,
            )
