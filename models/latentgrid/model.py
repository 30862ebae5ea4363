"""`latentgrid`: motion fields and multi-scale latents, from which frames follow in closed form.

    fields of a frame  = what its references' motion lets expect + synthesis of its motion latents
    prediction         = its references, moved by the fields and blended
    frame              = prediction + synthesis of its luma and chroma latents, rounded to 8 bits

Every frame but the first of a segment is predicted from decoded ones (`Hierarchy`), and that one
may be from the last of the segment before: the model is implicit in time, explicit in space. The
latents are integers on the bands of a wavelet pyramid, so that a fit can find the best ones
directly instead of by gradients; what is learned per video is the motion and the network that says
how likely each latent is (`nvcodec.entropy.latents.context_network`).

The references are 8-bit frames, as shown: what rounding differs between devices does not add up.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
import torch
from torch import Tensor

from nvcodec.media import Float32Array, Int16Array
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.latentgrid.gop import PREVIOUS_SEGMENT
from nvcodec.models.latentgrid.motion_compensation import (
    CHANNELS,
    Picture,
    between,
    expected,
    flows,
    joined,
    predict,
)
from nvcodec.models.latentgrid.step_sizes import StepIndices
from nvcodec.models.latentgrid.subbands import GridLayout, PlaneKind
from nvcodec.models.latentgrid.wavelets import Pyramid, analysis, synthesis

GREY = 128.0
# Samples predicted at a time: their intermediate results stay in the caches.
_BATCH_SAMPLES = 1 << 19


@dataclass(frozen=True, slots=True)
class Steps:
    """Quantisation steps.

    Attributes:
        luma: Of every frame, levels of 255.
        chroma: Of every frame, levels of 255.
        motion: Of the four displacements, luma samples.
        mix: Of k.
    """

    luma: tuple[float, ...]
    chroma: tuple[float, ...]
    motion: float
    mix: float

    @classmethod
    def of(cls, indices: StepIndices, config: LatentGridConfig) -> Steps:
        """The steps that the indices of a stream stand for."""
        luma, chroma = [0.0] * config.frames, [0.0] * config.frames
        for level in config.levels:
            for frame in level.frames:
                luma[frame], chroma[frame] = indices.luma_step(level), indices.chroma_step(level)
        return cls(tuple(luma), tuple(chroma), indices.motion_step, indices.mix_step)

    def field(self) -> Tensor:
        """Steps of the five channels of a field, shape (1, 5, 1, 1)."""
        return torch.tensor([self.motion] * 4 + [self.mix]).view(1, CHANNELS, 1, 1)


class LatentGrid:
    """Frames from latents.

    Args:
        config: Sizes and order.
        steps: Quantisation steps.
        symbols: Of each kind and band, shape (frames, channels, *room); see `Grids.symbols`.
        device: Where to compute.
        before: The last frame of the segment before, if this one is predicted from it; uint8.
        read: To be called with a depth before the symbols of its frames are looked at; without,
            all are known.
    """

    def __init__(
        self,
        config: LatentGridConfig,
        steps: Steps,
        symbols: Mapping[PlaneKind, Sequence[Int16Array]],
        device: torch.device,
        before: Picture | None = None,
        read: Callable[[int], None] | None = None,
    ) -> None:
        self.config, self._steps, self._symbols = config, steps, symbols
        self._device, self._before, self._read = device, before, read
        self._decoded: OrderedDict[int, Picture] = OrderedDict()
        # The frames of two groups, so that playing on never decodes an anchor twice.
        self._kept = 2 * config.group + 2
        # Motion fields of every frame and their flows, as far as there are levels counted.
        size = config.field_size
        self._fields = torch.zeros(config.frames, CHANNELS, *size, device=device)
        self._known = torch.zeros(config.frames, 2, 2, *size, device=device)
        self._levels = 0
        self._field_steps = steps.field().to(device)

    @torch.inference_mode()
    def planes(self, frames: Sequence[int]) -> Picture:
        """Frames, rounded to 8 bits, as uint8.

        Args:
            frames: Numbers in the segment, in any order.
        """
        hierarchy = self.config.hierarchy
        missing = hierarchy.needed(frames, known=self._decoded.keys())
        # What long chains of anchors leave behind is let go of on the way.
        uses = Counter(other for frame in missing for other in hierarchy.references(frame))
        uses.update(frames)
        for number, level in enumerate(hierarchy.levels):
            due = [made for made in level if made.frame in missing]
            if due:
                self._find_fields(number)
            batch = max(1, _BATCH_SAMPLES // (self.config.size[0] * self.config.size[1]))
            for start in range(0, len(due), batch):
                some = due[start : start + batch]
                made = self._decode([one.frame for one in some], [one.references for one in some])
                for place, one in enumerate(some):
                    self._decoded[one.frame] = made[place : place + 1]
                    uses.subtract(one.references)
                    for other in one.references:
                        if not uses[other] and len(self._decoded) > self._kept:
                            self._decoded.pop(other, None)
        for frame in frames:
            self._decoded.move_to_end(frame)
        parts = [self._decoded[frame] for frame in frames]
        while len(self._decoded) > max(self._kept, len(set(frames))):
            self._decoded.popitem(last=False)
        return joined(parts)

    @torch.inference_mode()
    def between(self, times: Sequence[float]) -> Picture:
        """Pictures between frames, moved along the motion of the nearest ones; uint8.

        Of two frames in a row one is predicted from the other, among others: its motion field
        leads there.

        Args:
            times: In frames from the first one; none of them whole.
        """
        pairs = [(floor(time), ceil(time)) for time in times]
        needed = sorted({frame for pair in pairs for frame in pair})
        decoded = dict(zip(needed, range(len(needed)), strict=True))
        frames = self.planes(needed)
        made = []
        for time, (first, second) in zip(times, pairs, strict=True):
            late = first in self.config.hierarchy.references(second)
            near, far = (second, first) if late else (first, second)
            side = self.config.hierarchy.references(near).index(far)
            share = torch.tensor([abs(time - near)], device=self._device)
            source, other = (frames[[decoded[frame]]].float() for frame in (near, far))
            moved = between(self._known[[near], side], source, other, share, self.config.cell)
            made.append(Picture(rounded(moved.luma), rounded(moved.chroma)))
        return joined(made)

    def _picture(self, frame: int) -> Picture:
        """A decoded frame, or the one before the segment."""
        if frame != PREVIOUS_SEGMENT:
            return self._decoded[frame]
        assert self._before is not None
        return self._before

    def _decode(self, frames: Sequence[int], references: Sequence[tuple[int, ...]]) -> Picture:
        """Frames of a level whose references are decoded."""
        config = self.config
        predicted = None
        if references[0]:
            sources = [
                joined([self._picture(both[side]) for both in references]).float()
                for side in range(len(references[0]))
            ]
            predicted = predict(self._fields[list(frames)], sources, config.cell)
        luma = self._residual(PlaneKind.LUMA, config.luma_layout, frames, self._steps.luma)
        chroma = self._residual(PlaneKind.CHROMA, config.chroma_layout, frames, self._steps.chroma)
        return Picture(
            rounded(luma + (GREY if predicted is None else predicted.luma)),
            rounded(chroma + (GREY if predicted is None else predicted.chroma)),
        )

    def _residual(
        self, kind: PlaneKind, layout: GridLayout, frames: Sequence[int], steps: Sequence[float]
    ) -> Tensor:
        pyramid = pyramid_of(layout, [band[list(frames)] for band in self._symbols[kind]])
        pyramid = on_device(pyramid, self._device)
        scale = torch.tensor([steps[frame] for frame in frames], device=self._device)
        return synthesis(pyramid) * scale.view(-1, 1, 1, 1)

    def _find_fields(self, last: int) -> None:
        """Make the motion fields known up to a level, counted in `Hierarchy.levels`."""
        hierarchy, layout = self.config.hierarchy, self.config.field_layout
        for number in range(self._levels, last + 1):
            if self._read is not None:
                self._read(hierarchy.depths[number])
            frames = [made.frame for made in hierarchy.levels[number]]
            references = [made.references for made in hierarchy.levels[number]]
            if references[0]:
                pyramid = pyramid_of(
                    layout, [band[frames] for band in self._symbols[PlaneKind.MOTION]]
                )
                coded = synthesis(on_device(pyramid, self._device)) * self._field_steps
                likely = expected(
                    frames, references, hierarchy.all_references, self._known, self.config.cell
                )
                self._fields[frames] = coded + likely
                self._known[frames] = flows(self._fields[frames])
            self._levels = number + 1


def rounded(planes: Tensor) -> Tensor:
    """To the nearest of 0 to 255, uint8."""
    # Cutting off the fraction of a positive number rounds down.
    return (planes + 0.5).clamp_(0, 255.5).to(torch.uint8)


def pyramid_of(layout: GridLayout, bands: Sequence[Int16Array]) -> Pyramid:
    """A pyramid from the arrays of `Grids`.

    Args:
        layout: Its bands.
        bands: Shape (B, channels, *room) each.
    """
    planes = [
        torch.from_numpy(np.ascontiguousarray(values[..., : band.size[0], : band.size[1]])).float()
        for band, values in zip(layout.bands, bands, strict=True)
    ]
    details = [tuple(planes[start : start + 3]) for start in range(1, len(planes), 3)]
    return Pyramid(planes[0], tuple(reversed(details)))  # type: ignore[arg-type]


def bands_of(layout: GridLayout, planes: Tensor) -> list[Float32Array]:
    """The coefficients of planes in the shape of the arrays of `Grids`, float32.

    Args:
        layout: The bands.
        planes: Shape (B, channels, H, W).
    """
    return crop_to_bands(layout, flattened(analysis(planes, layout.scales)))


def flattened(pyramid: Pyramid) -> list[Tensor]:
    """The bands of a pyramid from coarse to fine, as a `GridLayout` has them."""
    return [pyramid.coarse, *(band for bands in reversed(pyramid.details) for band in bands)]


def crop_to_bands(layout: GridLayout, bands: Sequence[Tensor]) -> list[Float32Array]:
    """Bands in the shape of the arrays of `Grids`, float32.

    Args:
        layout: The bands.
        bands: Shape (B, channels, h, w) each.
    """
    found = []
    for band, values in zip(layout.bands, bands, strict=True):
        padded = np.zeros((*values.shape[:2], *band.padded_size), np.float32)
        padded[..., : band.size[0], : band.size[1]] = values.cpu().numpy()
        found.append(padded)
    return found


def on_device(pyramid: Pyramid, device: torch.device) -> Pyramid:
    """A pyramid on another device."""
    if device.type == "cpu":
        return pyramid
    details = tuple(tuple(band.to(device) for band in bands) for bands in pyramid.details)
    return Pyramid(pyramid.coarse.to(device), details)  # type: ignore[arg-type]
