"""The model `latentgrid`: decodes frames from motion fields and wavelet latents.

    fields of a frame  = fields expected from its references + synthesis of its motion latents
    prediction         = its references, warped by the fields and blended
    frame              = prediction + synthesis of its luma and chroma latents, rounded to 8 bits

Every frame but the first of a segment is predicted from decoded frames (`Hierarchy`); the first may
be predicted from the last frame of the previous segment. The model is thus implicit in time and
explicit in space. The latents are integers on the bands of a wavelet pyramid, so that a fit can
find the best ones directly instead of by gradients. What is learned per video is the motion and the
context network that predicts the scale of each latent (`nvcodec.entropy.latents.context_network`).

The references are 8-bit frames, as shown, so that rounding differences between devices do not
accumulate.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor

import torch
from torch import Tensor

from nvcodec.media import Int16Array
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.latentgrid.gop import PREVIOUS_SEGMENT
from nvcodec.models.latentgrid.motion_compensation import (
    CHANNELS,
    Picture,
    concatenate,
    expected_fields,
    flows,
    interpolate,
    predict,
)
from nvcodec.models.latentgrid.reconstruction import reconstruct
from nvcodec.models.latentgrid.step_sizes import StepIndices
from nvcodec.models.latentgrid.subband_arrays import move_to_device, round_to_uint8, to_pyramid
from nvcodec.models.latentgrid.subbands import PlaneKind, SubbandLayout
from nvcodec.models.latentgrid.wavelets import synthesis

# Samples that are predicted at a time, few enough for intermediate results to stay in the caches.
_BATCH_SAMPLES = 1 << 19


@dataclass(frozen=True, slots=True)
class QuantisationSteps:
    """Quantisation steps of a segment.

    Attributes:
        luma: Step of every frame, 8-bit levels.
        chroma: Step of every frame, 8-bit levels.
        motion: Step of the four displacements, luma samples.
        mix: Step of the blending weight k.
    """

    luma: tuple[float, ...]
    chroma: tuple[float, ...]
    motion: float
    mix: float

    @classmethod
    def of(cls, indices: StepIndices, config: LatentGridConfig) -> QuantisationSteps:
        """Return the steps that the indices of a stream stand for."""
        luma, chroma = [0.0] * config.frames, [0.0] * config.frames
        for layer in config.temporal_layers:
            for frame in layer.frames:
                luma[frame], chroma[frame] = indices.luma_step(layer), indices.chroma_step(layer)
        return cls(tuple(luma), tuple(chroma), indices.motion_step, indices.mix_step)

    def field(self) -> Tensor:
        """Return the steps of the five channels of a field, shape (1, 5, 1, 1)."""
        return torch.tensor([self.motion] * 4 + [self.mix]).view(1, CHANNELS, 1, 1)


class LatentGrid:
    """Decodes the frames of a segment from its latents.

    Args:
        config: Sizes and coding order.
        steps: Quantisation steps.
        symbols: Symbols of each kind and band, shape (frames, channels, *padded size); see
            `LatentSymbols.symbols`.
        device: Device to compute on.
        previous_frame: Last frame of the previous segment, uint8, if this segment is predicted from
            it.
        read_depth: Function that is called with a temporal depth before the symbols of its frames
            are used; None if all symbols are known.
    """

    def __init__(
        self,
        config: LatentGridConfig,
        steps: QuantisationSteps,
        symbols: Mapping[PlaneKind, Sequence[Int16Array]],
        device: torch.device,
        previous_frame: Picture | None = None,
        read_depth: Callable[[int], None] | None = None,
    ) -> None:
        self.config, self._steps, self._symbols = config, steps, symbols
        self._device, self._previous_frame, self._read_depth = device, previous_frame, read_depth
        self._decoded: OrderedDict[int, Picture] = OrderedDict()
        # The frames of two GOPs, so that playing in order never decodes an anchor twice.
        self._cache_size = 2 * config.group + 2
        # Motion fields of every frame and their flows, up to the layers that are counted.
        size = config.field_size
        self._fields = torch.zeros(config.frames, CHANNELS, *size, device=device)
        self._flows = torch.zeros(config.frames, 2, 2, *size, device=device)
        self._layers_done = 0
        self._field_steps = steps.field().to(device)

    @torch.inference_mode()
    def planes(self, frames: Sequence[int]) -> Picture:
        """Decode frames to uint8.

        Args:
            frames: Numbers in the segment, in any order.

        Returns:
            One frame for each number, in the order of the numbers.
        """
        hierarchy = self.config.hierarchy
        missing = hierarchy.needed(frames, decoded=self._decoded.keys())
        # In long chains of anchors, frames that no other one needs are dropped on the way.
        uses = Counter(reference for frame in missing for reference in hierarchy.references(frame))
        uses.update(frames)
        for number, layer in enumerate(hierarchy.layers):
            due = [prediction for prediction in layer if prediction.frame in missing]
            if due:
                self._find_fields(number)
            batch_size = max(1, _BATCH_SAMPLES // (self.config.size[0] * self.config.size[1]))
            for start in range(0, len(due), batch_size):
                batch = due[start : start + batch_size]
                decoded = self._decode(
                    [prediction.frame for prediction in batch],
                    [prediction.references for prediction in batch],
                )
                for index, prediction in enumerate(batch):
                    self._decoded[prediction.frame] = decoded[index : index + 1]
                    uses.subtract(prediction.references)
                    for reference in prediction.references:
                        if not uses[reference] and len(self._decoded) > self._cache_size:
                            self._decoded.pop(reference, None)
        for frame in frames:
            self._decoded.move_to_end(frame)
        parts = [self._decoded[frame] for frame in frames]
        while len(self._decoded) > max(self._cache_size, len(set(frames))):
            self._decoded.popitem(last=False)
        return concatenate(parts)

    @torch.inference_mode()
    def interpolate(self, times: Sequence[float]) -> Picture:
        """Interpolate pictures between frames along the motion of the nearest frames; uint8.

        One of two consecutive frames is predicted from the other, among others. Its motion field
        leads there.

        Args:
            times: Times in frames from the first one; none of them is whole.
        """
        pairs = [(floor(time), ceil(time)) for time in times]
        needed = sorted({frame for pair in pairs for frame in pair})
        index = dict(zip(needed, range(len(needed)), strict=True))
        frames = self.planes(needed)
        pictures = []
        for time, (first, second) in zip(times, pairs, strict=True):
            second_is_near = first in self.config.hierarchy.references(second)
            near, far = (second, first) if second_is_near else (first, second)
            side = self.config.hierarchy.references(near).index(far)
            share = torch.tensor([abs(time - near)], device=self._device)
            near_frame, far_frame = (frames[[index[frame]]].float() for frame in (near, far))
            moved = interpolate(
                self._flows[[near], side], near_frame, far_frame, share, self.config.cell
            )
            pictures.append(Picture(round_to_uint8(moved.luma), round_to_uint8(moved.chroma)))
        return concatenate(pictures)

    def _picture(self, frame: int) -> Picture:
        """Return a decoded frame, or the last one of the previous segment."""
        if frame != PREVIOUS_SEGMENT:
            return self._decoded[frame]
        assert self._previous_frame is not None
        return self._previous_frame

    def _decode(self, frames: Sequence[int], references: Sequence[tuple[int, ...]]) -> Picture:
        """Decode frames of a temporal layer, whose references are decoded.

        Args:
            frames: Numbers of the frames.
            references: References of each frame, equally many for all.
        """
        config = self.config
        predicted = None
        if references[0]:
            sources = [
                concatenate([self._picture(both[side]) for both in references]).float()
                for side in range(len(references[0]))
            ]
            predicted = predict(self._fields[list(frames)], sources, config.cell)
        residual = Picture(
            self._residual(PlaneKind.LUMA, config.luma_layout, frames, self._steps.luma),
            self._residual(PlaneKind.CHROMA, config.chroma_layout, frames, self._steps.chroma),
        )
        return reconstruct(predicted, residual)

    def _residual(
        self, kind: PlaneKind, layout: SubbandLayout, frames: Sequence[int], steps: Sequence[float]
    ) -> Tensor:
        """Reconstruct the residuals of frames, shape (B, channels, H, W).

        Args:
            kind: Kind of the planes.
            layout: Their subbands.
            frames: Numbers of the frames.
            steps: Quantisation step of every frame of the segment, 8-bit levels.
        """
        pyramid = to_pyramid(layout, [band[list(frames)] for band in self._symbols[kind]])
        pyramid = move_to_device(pyramid, self._device)
        scale = torch.tensor([steps[frame] for frame in frames], device=self._device)
        return synthesis(pyramid) * scale.view(-1, 1, 1, 1)

    def _find_fields(self, last_layer: int) -> None:
        """Compute the motion fields up to a layer.

        Args:
            last_layer: Number of the layer in `Hierarchy.layers`.
        """
        hierarchy, layout = self.config.hierarchy, self.config.field_layout
        for number in range(self._layers_done, last_layer + 1):
            if self._read_depth is not None:
                self._read_depth(hierarchy.depths[number])
            frames = [prediction.frame for prediction in hierarchy.layers[number]]
            references = [prediction.references for prediction in hierarchy.layers[number]]
            if references[0]:
                pyramid = to_pyramid(
                    layout, [band[frames] for band in self._symbols[PlaneKind.MOTION]]
                )
                coded = synthesis(move_to_device(pyramid, self._device)) * self._field_steps
                expected = expected_fields(
                    frames, references, hierarchy.all_references, self._flows, self.config.cell
                )
                self._fields[frames] = coded + expected
                self._flows[frames] = flows(self._fields[frames])
            self._layers_done = number + 1
