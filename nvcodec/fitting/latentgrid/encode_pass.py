"""Passes over a segment: whole encodes at given quantisation steps, and what they result in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from nvcodec.entropy.latents.default_networks import default_network
from nvcodec.entropy.latents.encoder import CodedGrids, encode_grids
from nvcodec.fitting.latentgrid.context_training import ContextSamples, fit_network
from nvcodec.fitting.latentgrid.effort import Effort
from nvcodec.fitting.latentgrid.layer_coder import LayerCoder
from nvcodec.fitting.latentgrid.motion_search.work import MotionWork
from nvcodec.fitting.latentgrid.segment_state import SegmentState
from nvcodec.models.latentgrid.picture import Picture
from nvcodec.models.latentgrid.step_sizes import StepIndices
from nvcodec.models.latentgrid.subbands import PlaneKind


@dataclass(frozen=True, slots=True)
class PassResult:
    """The result of a pass.

    Attributes:
        coded: Everything that the stream is to hold.
        body: The same as bytes.
        psnr: PSNR of luma, dB, mean over frames.
        error: Mean squared error over all samples of all planes.
        samples: Number of these samples.
        bits: Estimated bits of each kind of plane.
        motion_bits: Bits of motion.
        context_samples: Context samples of each kind, if motion was estimated. Other passes are too many
            to train on all of them.
        decoded: The decoded frames, uint8.
    """

    coded: CodedGrids
    body: bytes
    psnr: float
    error: float
    samples: int
    bits: Mapping[PlaneKind, float]
    motion_bits: float
    context_samples: Mapping[PlaneKind, ContextSamples]
    decoded: Picture


class SegmentFit(SegmentState):
    """A segment that is encoded in passes, each of which builds on those before."""

    def run(
        self,
        steps: StepIndices,
        effort: Effort,
        *,
        motion_work: MotionWork,
        on_layer: Callable[[int, float], None] | None = None,
    ) -> PassResult:
        """Encode the segment once.

        Args:
            steps: Quantisation steps.
            effort: Cost of a bit, and settings of motion estimation.
            motion_work: What to do about motion.
            on_layer: Called after every layer with the number of coded frames and their mean PSNR.
        """
        coder = LayerCoder(self, steps, effort, motion_work)
        done = measured = 0
        psnr = 0.0
        for layer in self.config.temporal_layers:
            values = coder.code(layer)
            psnr += sum(values)
            measured += len(values)
            done += len(layer.frames)
            if on_layer is not None:
                on_layer(done, psnr / max(measured, 1))
        coded = CodedGrids(steps, coder.grids, coder.coded_motion, prod(self.config.grid_size))
        return PassResult(
            coded=coded,
            body=encode_grids(coded, self.config.temporal_layers),
            psnr=psnr / max(measured, 1),
            error=coder.squared_error / self.sample_count,
            samples=self.sample_count,
            bits=coder.bits,
            motion_bits=coder.motion_bits,
            context_samples=coder.context_samples,
            decoded=coder.decoded,
        )

    def learn(self, result: PassResult, steps: int) -> None:
        """Train the context networks on the symbols of a pass.

        Args:
            result: Result of the pass.
            steps: Number of steps of Adam.
        """
        for kind, layout in self.config.layouts.items():
            self.networks[kind] = fit_network(
                self.networks[kind],
                default_network(kind, layout),
                result.context_samples[kind],
                steps=steps,
                generator=self.random,
            )
