"""Coding of temporal layers: motion, prediction and latents of a layer, and its decoded frames.

Every layer is predicted from frames as a decoder will have them, so that errors do not accumulate.
"""

from __future__ import annotations

from math import log10

import torch
from torch import Tensor

from nvcodec.entropy.latents.context_model import CodingPass, LatentSymbols
from nvcodec.entropy.motion.coder import CodedMotion, MotionCoder
from nvcodec.fitting.latentgrid.context_training import ContextSamples
from nvcodec.fitting.latentgrid.effort import Effort
from nvcodec.fitting.latentgrid.motion_search.frame_search import search_motion
from nvcodec.fitting.latentgrid.motion_search.work import MotionWork
from nvcodec.fitting.latentgrid.rdoq import RdoQuantiser
from nvcodec.fitting.latentgrid.segment_state import SegmentState
from nvcodec.media import Float32Array, Int16Array
from nvcodec.models.latentgrid.gop import PREVIOUS_SEGMENT, TemporalLayer
from nvcodec.models.latentgrid.motion.pictures import predict_picture
from nvcodec.models.latentgrid.picture import Picture, concatenate
from nvcodec.models.latentgrid.reconstruction import GREY, reconstruct
from nvcodec.models.latentgrid.step_sizes import StepIndices
from nvcodec.models.latentgrid.subband_arrays import (
    to_pyramid,
    to_subbands,
)
from nvcodec.models.latentgrid.subbands import PlaneKind
from nvcodec.models.latentgrid.wavelets import synthesis


class LayerCoder:
    """Codes the temporal layers of a segment, one after the other, in one pass.

    Args:
        segment: The segment; new motion is stored there.
        steps: Quantisation steps.
        effort: Cost of a bit, and settings of motion estimation.
        motion_work: What to do about motion.

    Attributes:
        grids: The symbols coded so far.
        bits: Estimated bits of each kind of plane.
        context_samples: Context samples of each kind, if motion is estimated.
        squared_error: Sum of squared errors over all samples that count.
        motion_bits: Bits of motion.
        coded_motion: Coded motion of the frames of each temporal depth.
        decoded: Decoded frames, uint8.
    """

    def __init__(
        self,
        segment: SegmentState,
        steps: StepIndices,
        effort: Effort,
        motion_work: MotionWork,
    ) -> None:
        self._segment, self._steps, self._effort = segment, steps, effort
        self._motion_work = motion_work
        config = segment.config
        self._layouts = config.layouts
        self.grids = LatentSymbols(self._layouts, config.frames, segment.networks)
        self.bits = dict.fromkeys(self._layouts, 0.0)
        self.context_samples = {kind: ContextSamples() for kind in self._layouts}
        self.squared_error = 0.0
        self._motion = MotionCoder(config.hierarchy.all_references, config.grid_size, config.cell)
        self.motion_bits = 0.0
        self.coded_motion: list[list[CodedMotion]] = [
            [] for _ in range(config.temporal_layers[-1].depth + 1)
        ]
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
            prediction = self._predict(layer)
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

    def _predict(self, layer: TemporalLayer) -> Picture:
        """Code the motion of a layer, after searching for it if asked to; return the prediction."""
        segment, config = self._segment, self._segment.config
        valid = segment.valid_mask
        predicted = []
        for frame, numbers in zip(layer.frames, layer.references, strict=True):
            references = [self._reference([number]) for number in numbers]
            if self._motion_work is not MotionWork.KEEP:
                refine = self._motion_work is MotionWork.REFINE
                segment.motion[frame] = search_motion(
                    self._motion,
                    frame,
                    segment.source.luma[frame, 0].numpy(),
                    [reference.luma[0, 0].numpy() for reference in references],
                    None if valid is None else valid.luma[frame, 0].numpy(),
                    cell=config.cell,
                    step=self._steps.luma_step(layer),
                    lagrangian=self._effort.motion_lagrangian,
                    refinements=self._effort.refinements,
                    start=segment.motion[frame] if refine else None,
                )
            coded = self._motion.encode(frame, segment.motion[frame])
            self.coded_motion[layer.depth].append(coded)
            self.motion_bits += coded.bits
            predicted.append(predict_picture(segment.motion[frame], references, config.cell))
        return concatenate(predicted)

    def _reference(self, frames: list[int]) -> Picture:
        """Return decoded frames, or the last one of the previous segment."""
        if frames != [PREVIOUS_SEGMENT]:
            return self.decoded[frames]
        assert self._segment.previous_frame is not None
        return self._segment.previous_frame

    def _code_residual(self, layer: TemporalLayer, kind: PlaneKind, residual: Tensor) -> Tensor:
        """Code residuals in quantisation steps; return them as a decoder reconstructs them."""
        coefficients = to_subbands(self._layouts[kind], residual)
        return self._quantise(layer, kind, coefficients)

    def _quantise(
        self,
        layer: TemporalLayer,
        kind: PlaneKind,
        coefficients: list[Float32Array],
    ) -> Tensor:
        """Quantise coefficients by RDOQ; return the planes as a decoder reconstructs them.

        Args:
            layer: The layer.
            kind: Kind of the planes.
            coefficients: Coefficients of every band, in quantisation steps.
        """
        layout = self._layouts[kind]
        quantiser = RdoQuantiser(layout, layer.frames, coefficients, self._effort.lagrangian)

        def code(coding_pass: CodingPass) -> Int16Array:
            symbols = quantiser(coding_pass)
            if self._motion_work is not MotionWork.KEEP:
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
