"""Motion latents of least rate-distortion cost: gradients first, then trials of leaving some out.

What the residual will cost is not known before it is quantised; a smooth stand-in is: of a
coefficient c in steps, about c**2 while it will be rounded to zero, and about the bits of its
magnitude beyond.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi

import torch
import torch.nn.functional as F
from torch import Tensor

from nvcodec.fitting.latentgrid.context_training import code_length
from nvcodec.models.latentgrid.model import flattened
from nvcodec.models.latentgrid.motion_compensation import Picture, predict
from nvcodec.models.latentgrid.subbands import GridLayout, scales
from nvcodec.models.latentgrid.wavelets import Pyramid, analysis, synthesis

# In squared steps: where the stand-in turns from quadratic to logarithmic.
_KNEE = 0.55
_RESIDUAL_SCALES = 3
_CHROMA_WEIGHT = 0.5
_LEAST_SPREAD = 0.01


def shrunk(picture: Picture, times: int) -> Picture:
    """Frames at less than full size, by averaging."""
    if times == 1:
        return picture
    luma, chroma = (
        F.avg_pool2d(planes, times, ceil_mode=True, count_include_pad=False)
        for planes in (picture.luma, picture.chroma)
    )
    return Picture(luma, chroma)


@dataclass(frozen=True, slots=True)
class MotionTask:
    """What the motion of some frames is fitted to.

    Attributes:
        target: B source frames, shrunk.
        seen: How much of each sample counts, in [0, 1], shrunk; None if all do.
        sources: One or two decoded references of each, shrunk.
        shrink: How many times; large pictures are searched at less than full size.
        expected: Fields that cost nothing, shape (B, 5, h, w).
        step: Quantisation step of luma, levels of 255.
        steps: Of the field's channels, shape (1, 5, 1, 1).
        weight: What a bit costs, in squared steps.
        cell: Side of a cell.
        layout: Of the fields.
    """

    target: Picture
    seen: Picture | None
    sources: Sequence[Picture]
    shrink: int
    expected: Tensor
    step: float
    steps: Tensor
    weight: float
    cell: int
    layout: GridLayout

    def fields(self, latents: Sequence[Tensor]) -> Tensor:
        """Fields of latents."""
        return self.expected + synthesis(_pyramid(latents)) * self.steps

    def latents(self, fields: Tensor) -> list[Tensor]:
        """Latents of fields, not rounded."""
        pyramid = analysis((fields - self.expected) / self.steps, self.layout.scales)
        return [pyramid.coarse, *(band for bands in pyramid.details for band in bands)]

    def residual_cost(self, fields: Tensor) -> Tensor:
        """The stand-in for what fields leave to the residual, in all."""
        luma, chroma = self._residual(fields)
        bands = analysis(luma, self._scales)
        cost = _stand_in(bands.coarse).sum() + _CHROMA_WEIGHT * _stand_in(chroma).sum()
        for details in bands.details:
            for band in details:
                cost = cost + _stand_in(band).sum()
        return cost

    def cost_map(self, fields: Tensor) -> Tensor:
        """The same, cell by cell: shape (B, h, w)."""
        luma, chroma = self._residual(fields)
        bands = analysis(luma, self._scales)
        cost = _on_cells(_stand_in(chroma).sum(1, keepdim=True), self) * _CHROMA_WEIGHT
        for values in (bands.coarse, *(band for details in bands.details for band in details)):
            cost = cost + _on_cells(_stand_in(values), self)
        return cost[:, 0]

    @property
    def _scales(self) -> int:
        height, width = self.target.luma.shape[-2:]
        return scales((height, width), _RESIDUAL_SCALES)

    def _residual(self, fields: Tensor) -> tuple[Tensor, Tensor]:
        scale = fields.new_tensor([1 / self.shrink] * 4 + [1.0]).view(1, -1, 1, 1)
        made = predict(fields * scale, self.sources, self.cell // self.shrink)
        # A mean over n x n samples is a coefficient of an orthonormal transform divided by n.
        unit = self.step / self.shrink
        luma, chroma = self.target.luma - made.luma, self.target.chroma - made.chroma
        if self.seen is not None:
            luma, chroma = luma * self.seen.luma, chroma * self.seen.chroma
        return luma / unit, chroma / unit


def search(
    task: MotionTask, start: Tensor, *, steps: int, rate: float, deadzone: float, trials: int
) -> list[Tensor]:
    """Motion latents for some frames.

    Args:
        task: What is wanted.
        start: First guess at the fields, shape (B, 5, h, w).
        steps: Of Adam.
        rate: Of Adam, in latents.
        deadzone: Detail latents of the first guess below this are nearly left out.
        trials: How many groups of channels are left out on trial, 0 to 2.

    Returns:
        Integer latents, the bands from coarse to fine.
    """
    coarse, *details = task.latents(start)
    details = [
        torch.where(x.abs() < deadzone, 0.3 * x, x - x.sign() * 0.5 * min(deadzone, 1.0))
        for x in details
    ]
    latents = [x.clone().requires_grad_() for x in (coarse, *details)]
    if steps:
        _descend(task, latents, steps, rate)
    with torch.no_grad():
        return flattened(_pyramid(_pruned(task, [x.round() for x in latents], _GROUPS[:trials])))


def _descend(task: MotionTask, latents: list[Tensor], steps: int, rate: float) -> None:
    """Rounded latents are what is judged; gradients pass through the rounding."""
    optimiser = torch.optim.Adam(latents, lr=rate, betas=(0.8, 0.95))
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * 0.5 * (1 + cos(pi * step / steps))
        used = [x + (x.round() - x).detach() for x in latents]
        cost = task.residual_cost(task.fields(used))
        lengths = zip(used, _octaves(latents), strict=True)
        bits = sum(code_length(x, octaves).sum() for x, octaves in lengths)
        optimiser.zero_grad()
        (cost + task.weight * bits).backward()  # type: ignore[no-untyped-call]
        optimiser.step()


# Channels that are left out together: all, and what tells the two references apart.
_GROUPS = ((0, 1, 2, 3, 4), (2, 3, 4))


def _pruned(
    task: MotionTask, latents: list[Tensor], groups: Sequence[Sequence[int]]
) -> list[Tensor]:
    """Leave out the latents of a scale, block by block, where that costs less."""
    count = task.layout.scales
    base = task.cost_map(task.fields(latents))
    for scale in range(count + 1):
        # The bands of a scale; the coarsest one comes last.
        numbers = range(1 + 3 * scale, 4 + 3 * scale) if scale < count else range(1)
        block = 2 << min(scale, count - 1) if count else 1  # cells that a position covers
        for group in groups:
            for turn in range(2):
                octaves = _octaves(latents)
                trial = list(latents)
                saved: Tensor | float = 0.0
                for number in numbers:
                    band = latents[number]
                    rows = torch.arange(band.shape[-2])[:, None]
                    columns = torch.arange(band.shape[-1])
                    chosen = (rows + columns) % 2 == turn
                    trial[number] = band.clone()
                    trial[number][:, group] = torch.where(chosen, 0.0, band[:, group])
                    less = code_length(band, octaves[number])
                    less = less - code_length(trial[number], octaves[number])
                    saved = saved + _extended(less.sum(1, keepdim=True), task, block)
                if isinstance(saved, float) or not saved.any():
                    continue
                tried = task.cost_map(task.fields(trial))
                more = _block_sums((tried - base)[:, None], block)
                # What changes at a position reaches half way into the positions around it.
                around = F.avg_pool2d(more, 3, 1, 1) * 9
                accept = ((more + around) / 2 < task.weight * saved) & (saved > 0)
                if not accept.any():
                    continue
                for number in numbers:
                    height, width = latents[number].shape[-2:]
                    latents[number] = torch.where(
                        accept[..., :height, :width], trial[number], latents[number]
                    )
                base = task.cost_map(task.fields(latents))
    return latents


def _stand_in(values: Tensor) -> Tensor:
    return _KNEE * torch.log1p(values.square() / _KNEE)


def _pyramid(latents: Sequence[Tensor]) -> Pyramid:
    details = [tuple(latents[start : start + 3]) for start in range(1, len(latents), 3)]
    return Pyramid(latents[0], tuple(details))  # type: ignore[arg-type]


def _octaves(latents: Sequence[Tensor]) -> list[Tensor]:
    """Logarithms of Laplace scales that suit rounded latents, one per channel."""
    found = []
    for x in latents:
        mean = x.detach().round().abs().mean((0, 2, 3), keepdim=True).clamp_min(_LEAST_SPREAD)
        # Of a two-sided geometric distribution, the ratio of successive masses from its mean.
        ratio = 2 * mean / (1 + torch.sqrt(1 + 4 * mean.square()))
        found.append(torch.log2(-0.5 / torch.log(ratio.clamp(1e-6, 1 - 1e-6))))
    return found


def _on_cells(values: Tensor, task: MotionTask) -> Tensor:
    """Sums over cells of any map that covers the picture, shape (B, 1, h, w)."""
    height, width = task.layout.size
    if not values.numel():  # a line has no details across
        return values.new_zeros(len(values), 1, height, width)
    per = 1
    # The finest division of a cell that the map's samples still resolve.
    while values.shape[-2] > height * per or values.shape[-1] > width * per:
        per *= 2
    if values.shape[-1] * 2 <= width and values.shape[-2] * 2 <= height:
        return F.interpolate(values, size=(height, width), mode="nearest")
    margin = (0, width * per - values.shape[-1], 0, height * per - values.shape[-2])
    return F.avg_pool2d(F.pad(values, margin), per) * per**2


def _extended(values: Tensor, task: MotionTask, block: int) -> Tensor:
    height, width = (-(-side // block) for side in task.layout.size)
    return F.pad(values, (0, width - values.shape[-1], 0, height - values.shape[-2]))


def _block_sums(values: Tensor, block: int) -> Tensor:
    margin = (0, -values.shape[-1] % block, 0, -values.shape[-2] % block)
    return F.avg_pool2d(F.pad(values, margin), block) * block**2
