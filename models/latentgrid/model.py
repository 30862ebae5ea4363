"""The model `latentgrid`: decodes frames from motion and wavelet latents.

    prediction  = blocks of its references, displaced and blended where they overlap
    frame       = prediction + synthesis of its luma and chroma latents, rounded to 8 bits

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
from nvcodec.models.latentgrid.frame_interpolation import interpolate
from nvcodec.models.latentgrid.gop import PREVIOUS_SEGMENT
from nvcodec.models.latentgrid.large_frames import decode_in_strips, residual_rows
from nvcodec.models.latentgrid.motion.grids import MotionGrid
from nvcodec.models.latentgrid.motion.pictures import flow_towards, predict_picture
from nvcodec.models.latentgrid.picture import Picture, concatenate
from nvcodec.models.latentgrid.reconstruction import reconstruct
from nvcodec.models.latentgrid.step_sizes import StepIndices
from nvcodec.models.latentgrid.subband_arrays import move_to_device, round_to_uint8, to_pyramid
from nvcodec.models.latentgrid.subbands import PlaneKind, SubbandLayout
from nvcodec.models.latentgrid.wavelets import synthesis

# Samples that are predicted at a time, few enough for intermediate results to stay in the caches.
# A frame with more is decoded in strips.
_BATCH_SAMPLES = 1 << 19
# Memory of the decoded frames that are kept for later use.
_CACHE_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class QuantisationSteps:
    """Quantisation steps of a segment.

    Attributes:
        luma: Step of every frame, 8-bit levels.
        chroma: Step of every frame, 8-bit levels.
    """

    luma: tuple[float, ...]
    chroma: tuple[float, ...]

    @classmethod
    def of(cls, indices: StepIndices, config: LatentGridConfig) -> QuantisationSteps:
        """Return the steps that the indices of a stream stand for."""
        luma, chroma = [0.0] * config.frames, [0.0] * config.frames
        for layer in config.temporal_layers:
            for frame in layer.frames:
                luma[frame], chroma[frame] = indices.luma_step(layer), indices.chroma_step(layer)
        return cls(tuple(luma), tuple(chroma))


class LatentGrid:
    """Decodes the frames of a segment from its latents.

    Args:
        config: Sizes and coding order.
        steps: Quantisation steps.
        symbols: Symbols of each kind and band, shape (frames, channels, *padded size); see
            `LatentSymbols.symbols`.
        motion: Motion of every frame that has references, as far as it is read.
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
        motion: Mapping[int, MotionGrid],
        device: torch.device,
        previous_frame: Picture | None = None,
        read_depth: Callable[[int], None] | None = None,
    ) -> None:
        self.config, self._steps, self._symbols = config, steps, symbols
        self._motion = motion
        self._device, self._previous_frame, self._read_depth = device, previous_frame, read_depth
        # Those used last stand at the end.
        self._decoded: OrderedDict[int, Picture] = OrderedDict()
        # The frames of two GOPs, as far as they are small; of large ones at least those that playing
        # in order needs again, so that it never decodes a frame twice.
        playback = config.group.bit_length() + 3
        self._cache_size = max(
            playback, min(2 * config.group + 2, _CACHE_BYTES // config.decoded_frame_bytes)
        )
        self._residuals = (
            (PlaneKind.LUMA, config.luma_layout, steps.luma),
            (PlaneKind.CHROMA, config.chroma_layout, steps.chroma),
        )

    @torch.inference_mode()
    def planes(self, frames: Sequence[int]) -> Picture:
        """Decode frames to uint8.

        Args:
            frames: Numbers in the segment, in any order.

        Returns:
            One frame for each number, in the order of the numbers.
        """
        hierarchy = self.config.hierarchy
        self._touch(frames)
        missing = hierarchy.needed(frames, decoded=self._decoded.keys())
        # In long chains of anchors, frames that no other one needs are dropped on the way.
        uses = Counter(reference for frame in missing for reference in hierarchy.references(frame))
        uses.update(frames)
        batch_size = max(1, _BATCH_SAMPLES // (self.config.size[0] * self.config.size[1]))
        for layer, depth in zip(hierarchy.layers, hierarchy.depths, strict=True):
            due = [prediction for prediction in layer if prediction.frame in missing]
            if due and self._read_depth is not None:
                self._read_depth(depth)
            for start in range(0, len(due), batch_size):
                batch = due[start : start + batch_size]
                numbers = [prediction.frame for prediction in batch]
                references = [prediction.references for prediction in batch]
                decoded = self._decode(numbers, references)
                for index, prediction in enumerate(batch):
                    self._decoded[prediction.frame] = decoded[index : index + 1]
                    uses.subtract(prediction.references)
                self._drop(self._cache_size, uses)
        self._touch(frames)
        parts = [self._decoded[frame] for frame in frames]
        self._drop(self._cache_size, dict.fromkeys(frames, 1))
        return concatenate(parts)

    def _touch(self, frames: Sequence[int]) -> None:
        """Move frames, and before them the frames around them that they depend on, to the end."""
        for frame in (*sorted(self.config.hierarchy.around(frames)), *frames):
            if frame in self._decoded:
                self._decoded.move_to_end(frame)

    def _drop(self, most: int, uses: Mapping[int, int]) -> None:
        """Drop the frames used longest ago until `most` are left, but none that is still of use."""
        surplus = len(self._decoded) - most
        if surplus > 0:
            unused = [frame for frame in self._decoded if not uses.get(frame)]
            for frame in unused[:surplus]:
                del self._decoded[frame]

    @torch.inference_mode()
    def interpolate(self, times: Sequence[float]) -> Picture:
        """Interpolate pictures between frames along the motion of the nearest frames; uint8.

        One of two consecutive frames is predicted from the other, among others. Its motion leads
        there.

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
            around = self.config.hierarchy.references(near)
            side = around.index(far)
            share = torch.tensor([abs(time - near)], device=self._device)
            near_frame, far_frame = (frames[[index[frame]]].float() for frame in (near, far))
            distances = around[0] - near, around[-1] - near
            flow = flow_towards(self._motion[near], side, distances).to(self._device)
            moved = interpolate(flow, near_frame, far_frame, share, self.config.cell)
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
            predicted = concatenate(
                [
                    predict_picture(
                        self._motion[frame], [self._picture(number) for number in own], config.cell
                    )
                    for frame, own in zip(frames, references, strict=True)
                ]
            )
        if config.size[0] * config.size[1] > _BATCH_SAMPLES:
            (frame,) = frames
            luma, chroma = (
                residual_rows(layout, self._bands(kind, [frame]), steps[frame], self._device)
                for kind, layout, steps in self._residuals
            )
            return decode_in_strips(
                predicted,
                luma,
                chroma,
                size=config.size,
                chroma_height=config.chroma_size[0],
                samples=_BATCH_SAMPLES,
            )
        residual = Picture(*(self._residual(frames, *planes) for planes in self._residuals))
        return reconstruct(predicted, residual)

    def _residual(
        self, frames: Sequence[int], kind: PlaneKind, layout: SubbandLayout, steps: Sequence[float]
    ) -> Tensor:
        """Reconstruct the residuals of frames, shape (B, channels, H, W).

        Args:
            frames: Numbers of the frames.
            kind: Kind of the planes.
            layout: Their subbands.
            steps: Quantisation step of every frame of the segment, 8-bit levels.
        """
        pyramid = move_to_device(to_pyramid(layout, self._bands(kind, frames)), self._device)
        scale = torch.tensor([steps[frame] for frame in frames], device=self._device)
        return synthesis(pyramid) * scale.view(-1, 1, 1, 1)

    def _bands(self, kind: PlaneKind, frames: Sequence[int]) -> list[Int16Array]:
        """Return the symbols of frames, band by band: a view if there is one frame only."""
        if len(frames) == 1:
            return [band[frames[0] : frames[0] + 1] for band in self._symbols[kind]]
        return [band[list(frames)] for band in self._symbols[kind]]
