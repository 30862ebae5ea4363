"""Coding of temporal layers: motion, prediction and latents of a layer, and its decoded frames.

Every layer is predicted from frames as a decoder will have them, so that errors do not accumulate.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log10

import numpy as np
import torch
from torch import Tensor

from nvcodec.entropy.latents.context_model import CodingPass, LatentSymbols
from nvcodec.fitting.latentgrid.context_training import ContextSamples
from nvcodec.fitting.latentgrid.effort import Effort
from nvcodec.fitting.latentgrid.motion_estimation import MotionTask, downscale, estimate_motion
from nvcodec.fitting.latentgrid.rdoq import RdoQuantiser
from nvcodec.fitting.latentgrid.segment_state import SegmentState
from nvcodec.media import Float32Array, Int16Array
from nvcodec.models.latentgrid.gop import PREVIOUS_SEGMENT, TemporalLayer
from nvcodec.models.latentgrid.model import QuantisationSteps
from nvcodec.models.latentgrid.motion_compensation import (
    CHANNELS,
    Picture,
    expected_fields,
    flows,
    predict,
)
from nvcodec.models.latentgrid.reconstruction import GREY, reconstruct
from nvcodec.models.latentgrid.step_sizes import StepIndices
from nvcodec.models.latentgrid.subband_arrays import (
    crop_to_bands,
    to_pyramid,
    to_subbands,
)
from nvcodec.models.latentgrid.subbands import PlaneKind
from nvcodec.models.latentgrid.wavelets import synthesis

# Largest side of a cell in motion estimation, in samples after downscaling, and number of samples
# that are processed at a time.
_SEARCHED_CELL = 8
_SEARCHED_SAMPLES = 1 << 20


class LayerCoder:
    """Codes the temporal layers of a segment, one after the other, in one pass.

    Args:
        segment: The segment; new motion latents are stored there.
        steps: Quantisation steps.
        effort: Cost of a bit, and settings of motion estimation.
        motion_steps: Optimiser steps for motion; None keeps the motion of the last pass.

    Attributes:
        grids: The symbols coded so far.
        bits: Estimated bits of each kind of plane.
        context_samples: Context samples of each kind, if motion is estimated.
        squared_error: Sum of squared errors over all samples that count.
        fields: Motion fields, shape (T, 5, h, w).
        decoded: Decoded frames, uint8.
    """

    def __init__(
        self,
        segment: SegmentState,
        steps: StepIndices,
        effort: Effort,
        motion_steps: int | None,
    ) -> None:
        self._segment, self._steps, self._effort = segment, steps, effort
        self._motion_steps = motion_steps
        config = segment.config
        self._layouts = config.layouts
        self.grids = LatentSymbols(self._layouts, config.frames, segment.networks)
        self.bits = dict.fromkeys(self._layouts, 0.0)
        self.context_samples = {kind: ContextSamples() for kind in self._layouts}
        self.squared_error = 0.0
        self.fields = torch.zeros(config.frames, CHANNELS, *config.field_size)
        self._flows = torch.zeros(config.frames, 2, 2, *config.field_size)
        self._channel_steps = QuantisationSteps.of(steps, config).field()
        source = segment.source
        self.decoded = Picture(torch.zeros_like(source.luma), torch.zeros_like(source.chroma))

    def code(self, layer: TemporalLayer) -> list[float]:
        """Code a layer.

        Args:
            layer: The layer; earlier ones are coded already.

        Returns:
            PSNR of luma for each frame, dB; frames without a valid sample are left out.
        """
        frames = list(layer.frames)
        target = self._segment.source[frames].float()
        mask = None if self._segment.valid_mask is None else self._segment.valid_mask[frames]
        prediction = Picture(
            torch.full_like(target.luma, GREY), torch.full_like(target.chroma, GREY)
        )
        if layer.references[0]:
            prediction = self._predict(layer, target, mask)
            if mask is not None:
                # Masked samples have the prediction as target, so that they cost nothing.
                target = _select(mask, target, prediction)
        luma_step, chroma_step = self._steps.luma_step(layer), self._steps.chroma_step(layer)
        luma = self._code_residual(
            layer, PlaneKind.LUMA, (target.luma - prediction.luma) / luma_step
        )
        chroma = self._code_residual(
            layer, PlaneKind.CHROMA, (target.chroma - prediction.chroma) / chroma_step
        )
        coded = reconstruct(prediction, Picture(luma * luma_step, chroma * chroma_step))
        self.decoded.luma[frames], self.decoded.chroma[frames] = coded.luma, coded.chroma
        decoded = coded.float()
        if mask is not None:
            target = _select(mask, target, decoded)
        errors = (target.luma - decoded.luma).square()
        self.squared_error += float(errors.sum() + (target.chroma - decoded.chroma).square().sum())
        means = errors.mean((1, 2, 3))
        if mask is not None:
            shares = mask.luma.float().mean((1, 2, 3))
            means = (means / shares)[shares > 0]
        return [10 * log10(255**2 / max(error, 1e-3)) for error in means.tolist()]

    def _predict(self, layer: TemporalLayer, target: Picture, mask: Picture | None) -> Picture:
        """Code the motion of a layer, after estimating it if asked to; return the prediction."""
        config, effort = self._segment.config, self._effort
        layout = self._layouts[PlaneKind.MOTION]
        frames = list(layer.frames)
        sources = [
            self._reference([both[side] for both in layer.references]).float()
            for side in range(len(layer.references[0]))
        ]
        expected = expected_fields(
            frames, layer.references, config.hierarchy.all_references, self._flows, config.cell
        )
        if self._motion_steps is not None:
            self._estimate_motion(layer, target, mask, sources, expected)
        latents = [
            np.stack([self._segment.motion_latents[frame][band] for frame in frames])
            for band in range(len(layout.bands))
        ]
        coded = self._quantise(layer, PlaneKind.MOTION, latents, effort.motion_rdoq_lagrangian)
        fields = expected + coded * self._channel_steps
        self.fields[frames] = fields
        self._flows[frames] = flows(fields)
        return predict(fields, sources, config.cell)

    def _reference(self, frames: list[int]) -> Picture:
        """Return decoded frames, or the last one of the previous segment."""
        if frames != [PREVIOUS_SEGMENT]:
            return self.decoded[frames]
        assert self._segment.previous_frame is not None
        return self._segment.previous_frame

    def _estimate_motion(
        self,
        layer: TemporalLayer,
        target: Picture,
        mask: Picture | None,
        sources: Sequence[Picture],
        expected: Tensor,
    ) -> None:
        """Estimate and store the motion latents of a layer, a few frames at a time.

        Args:
            layer: The layer.
            target: Source frames of the layer.
            mask: Which of their samples count; None if all do.
            sources: One or two references of each frame.
            expected: Fields that cost nothing, shape (B, 5, h, w).
        """
        segment, effort, config = self._segment, self._effort, self._segment.config
        layout = self._layouts[PlaneKind.MOTION]
        factor = max(config.cell // _SEARCHED_CELL, 1)
        samples = config.size[0] * config.size[1] // factor**2
        batch = max(1, _SEARCHED_SAMPLES // samples)
        for first in range(0, len(layer.frames), batch):
            part = slice(first, first + batch)
            frames, references = list(layer.frames[part]), layer.references[part]
            task = MotionTask(
                target=downscale(target[part], factor),
                valid_share=mask and downscale(mask[part].float(), factor),
                sources=[downscale(source[part], factor) for source in sources],
                factor=factor,
                expected=expected[part],
                step=self._steps.luma_step(layer),
                steps=self._channel_steps,
                lagrangian=effort.motion_lagrangian,
                cell=config.cell,
                layout=layout,
            )
            previous = segment.fields
            latents = estimate_motion(
                task,
                segment.flow.fields(frames, references) if previous is None else previous[frames],
                steps=self._motion_steps or 0,
                rate=effort.motion_rate if previous is None else effort.motion_rate / 2,
                deadzone=effort.deadzone if previous is None else 0.0,
                trials=effort.trials,
            )
            bands = crop_to_bands(layout, latents)
            for index, frame in enumerate(frames):
                segment.motion_latents[frame] = [band[index] for band in bands]

    def _code_residual(self, layer: TemporalLayer, kind: PlaneKind, residual: Tensor) -> Tensor:
        """Code residuals in quantisation steps; return them as a decoder reconstructs them."""
        coefficients = to_subbands(self._layouts[kind], residual)
        return self._quantise(layer, kind, coefficients, self._effort.lagrangian)

    def _quantise(
        self,
        layer: TemporalLayer,
        kind: PlaneKind,
        coefficients: list[Float32Array],
        lagrangian: float,
    ) -> Tensor:
        """Quantise coefficients by RDOQ; return the planes as a decoder reconstructs them.

        Args:
            layer: The layer.
            kind: Kind of the planes.
            coefficients: Coefficients of every band, in quantisation steps.
            lagrangian: Cost of a bit, in squared steps.
        """
        layout = self._layouts[kind]
        quantiser = RdoQuantiser(layout, layer.frames, coefficients, lagrangian)

        def code(coding_pass: CodingPass) -> Int16Array:
            symbols = quantiser(coding_pass)
            if self._motion_steps is not None:
                self.context_samples[kind].add(coding_pass, symbols)
            return symbols

        self.grids.code_band(layer, kind, [layout.scales + 1] * len(layer.frames), code)
        self.bits[kind] += quantiser.bits
        symbols = [band[list(layer.frames)] for band in self.grids.symbols[kind]]
        return synthesis(to_pyramid(layout, symbols))


def _select(mask: Picture, valid: Picture, masked: Picture) -> Picture:
    """Return the samples of one picture where they are valid, else those of another."""
    return Picture(
        torch.where(mask.luma, valid.luma, masked.luma),
        torch.where(mask.chroma, valid.chroma, masked.chroma),
    )
