"""Motion estimation: motion latents of low rate-distortion cost, by gradients and by pruning.

The cost of the residual is not known before it is quantised, so a smooth proxy stands for it: for a
coefficient c in quantisation steps, about c**2 where it will be rounded to zero, and about the bits
of its magnitude beyond.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi

import torch
import torch.nn.functional as F
from torch import Tensor

from nvcodec.fitting.latentgrid.context_training import code_length
from nvcodec.fitting.network.optimisers import Adam
from nvcodec.models.latentgrid.motion_compensation import Picture, predict
from nvcodec.models.latentgrid.subband_arrays import flatten_pyramid
from nvcodec.models.latentgrid.subbands import SubbandLayout, count_scales
from nvcodec.models.latentgrid.wavelets import Pyramid, analysis, synthesis

# Point at which the proxy cost turns from quadratic to logarithmic, in squared steps.
_KNEE = 0.55
_RESIDUAL_SCALES = 3
_CHROMA_WEIGHT = 0.5
_MIN_MEAN = 0.01


def downscale(picture: Picture, factor: int) -> Picture:
    """Return frames at a fraction of their size, by averaging.

    Args:
        picture: The frames.
        factor: Samples that are averaged along each axis.
    """
    if factor == 1:
        return picture
    luma, chroma = (
        F.avg_pool2d(planes, factor, ceil_mode=True, count_include_pad=False)
        for planes in (picture.luma, picture.chroma)
    )
    return Picture(luma, chroma)


@dataclass(frozen=True, slots=True)
class MotionTask:
    """The data that the motion of some frames is fitted to.

    Attributes:
        target: B source frames, downscaled.
        valid_share: How much of each sample counts, 0 to 1, downscaled; None if all do.
        sources: One or two decoded references of each frame, downscaled.
        factor: Factor of the downscaling; large pictures are searched at less than full size.
        expected: Fields that cost nothing, shape (B, 5, h, w).
        step: Quantisation step of luma, 8-bit levels.
        steps: Quantisation steps of the field's channels, shape (1, 5, 1, 1).
        lagrangian: Cost of a bit, in squared steps.
        cell: Side of a cell, luma samples.
        layout: The subbands of the fields.
    """

    target: Picture
    valid_share: Picture | None
    sources: Sequence[Picture]
    factor: int
    expected: Tensor
    step: float
    steps: Tensor
    lagrangian: float
    cell: int
    layout: SubbandLayout

    def fields(self, latents: Sequence[Tensor]) -> Tensor:
        """Return the fields of latents, shape (B, 5, h, w)."""
        return self.expected + synthesis(_to_pyramid(latents)) * self.steps

    def latents(self, fields: Tensor) -> list[Tensor]:
        """Return the latents of fields, not rounded, band by band."""
        pyramid = analysis((fields - self.expected) / self.steps, self.layout.scales)
        return [pyramid.coarse, *(band for bands in pyramid.details for band in bands)]

    def residual_cost(self, fields: Tensor) -> Tensor:
        """Return the proxy cost of the residual that fields leave, summed over all frames."""
        luma, chroma = self._scaled_residual(fields)
        bands = analysis(luma, self._scales)
        cost = _proxy_cost(bands.coarse).sum() + _CHROMA_WEIGHT * _proxy_cost(chroma).sum()
        for details in bands.details:
            for band in details:
                cost = cost + _proxy_cost(band).sum()
        return cost

    def cost_map(self, fields: Tensor) -> Tensor:
        """Return the proxy cost of the residual in every cell: shape (B, h, w)."""
        luma, chroma = self._scaled_residual(fields)
        bands = analysis(luma, self._scales)
        cost = _sum_over_cells(_proxy_cost(chroma).sum(1, keepdim=True), self) * _CHROMA_WEIGHT
        for values in (bands.coarse, *(band for details in bands.details for band in details)):
            cost = cost + _sum_over_cells(_proxy_cost(values), self)
        return cost[:, 0]

    @property
    def _scales(self) -> int:
        """Number of wavelet scales of the residual."""
        height, width = self.target.luma.shape[-2:]
        return count_scales((height, width), _RESIDUAL_SCALES)

    def _scaled_residual(self, fields: Tensor) -> tuple[Tensor, Tensor]:
        """Return the luma and chroma residuals of fields, in quantisation steps."""
        scale = fields.new_tensor([1 / self.factor] * 4 + [1.0]).view(1, -1, 1, 1)
        prediction = predict(fields * scale, self.sources, self.cell // self.factor)
        # A mean over n x n samples is a coefficient of an orthonormal transform, divided by n.
        step = self.step / self.factor
        luma, chroma = self.target.luma - prediction.luma, self.target.chroma - prediction.chroma
        if self.valid_share is not None:
            luma, chroma = luma * self.valid_share.luma, chroma * self.valid_share.chroma
        return luma / step, chroma / step


def estimate_motion(
    task: MotionTask, start: Tensor, *, steps: int, rate: float, deadzone: float, trials: int
) -> list[Tensor]:
    """Estimate the motion latents of some frames.

    Args:
        task: The frames, their references and costs.
        start: First estimate of the fields, shape (B, 5, h, w).
        steps: Number of steps of Adam.
        rate: Learning rate of Adam, in latents.
        deadzone: Detail latents of the first estimate below this are nearly zeroed.
        trials: Number of groups of channels that are zeroed on trial, 0 to 2.

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
        _optimise(task, latents, steps, rate)
    with torch.no_grad():
        return flatten_pyramid(
            _to_pyramid(_prune(task, [x.round() for x in latents], _CHANNEL_GROUPS[:trials]))
        )


def _optimise(task: MotionTask, latents: list[Tensor], steps: int, rate: float) -> None:
    """Optimise latents in place, for the cost of rounded latents with straight-through gradients.

    Args:
        task: The frames, their references and costs.
        latents: Latents, band by band; changed.
        steps: Number of steps of Adam.
        rate: Learning rate of Adam, in latents.
    """
    optimiser = Adam([{"params": latents}], (0.8, 0.95), fused=False)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * 0.5 * (1 + cos(pi * step / steps))
        rounded = [x + (x.round() - x).detach() for x in latents]
        cost = task.residual_cost(task.fields(rounded))
        pairs = zip(rounded, _octaves(latents), strict=True)
        bits = sum(code_length(x, octaves).sum() for x, octaves in pairs)
        optimiser.zero_grad()
        (cost + task.lagrangian * bits).backward()  # type: ignore[no-untyped-call]
        optimiser.step()


# Channels that are zeroed together: all, and those that distinguish the two references.
_CHANNEL_GROUPS = ((0, 1, 2, 3, 4), (2, 3, 4))


def _prune(
    task: MotionTask, latents: list[Tensor], groups: Sequence[Sequence[int]]
) -> list[Tensor]:
    """Zero the latents of each scale, block by block, where that lowers the cost.

    Args:
        task: The frames, their references and costs.
        latents: Integer latents, band by band.
        groups: Groups of channels that are zeroed together.
    """
    scales = task.layout.scales
    base_cost = task.cost_map(task.fields(latents))
    for scale in range(scales + 1):
        # The bands of a scale; the coarsest one comes last.
        numbers = range(1 + 3 * scale, 4 + 3 * scale) if scale < scales else range(1)
        # Cells that a position covers along each axis.
        block = 2 << min(scale, scales - 1) if scales else 1
        for group in groups:
            for colour in range(2):
                octaves = _octaves(latents)
                trial = list(latents)
                saved_bits: Tensor | float = 0.0
                for number in numbers:
                    band = latents[number]
                    rows = torch.arange(band.shape[-2])[:, None]
                    columns = torch.arange(band.shape[-1])
                    on_colour = (rows + columns) % 2 == colour
                    trial[number] = band.clone()
                    trial[number][:, group] = torch.where(on_colour, 0.0, band[:, group])
                    saved = code_length(band, octaves[number])
                    saved = saved - code_length(trial[number], octaves[number])
                    saved_bits = saved_bits + _pad_to_blocks(
                        saved.sum(1, keepdim=True), task, block
                    )
                if isinstance(saved_bits, float) or not saved_bits.any():
                    continue
                trial_cost = task.cost_map(task.fields(trial))
                extra_cost = _block_sums((trial_cost - base_cost)[:, None], block)
                # A change at a position reaches half way into the positions around it.
                around = F.avg_pool2d(extra_cost, 3, 1, 1) * 9
                accept = ((extra_cost + around) / 2 < task.lagrangian * saved_bits) & (
                    saved_bits > 0
                )
                if not accept.any():
                    continue
                for number in numbers:
                    height, width = latents[number].shape[-2:]
                    latents[number] = torch.where(
                        accept[..., :height, :width], trial[number], latents[number]
                    )
                base_cost = task.cost_map(task.fields(latents))
    return latents


def _proxy_cost(values: Tensor) -> Tensor:
    """Return the proxy cost of coefficients in quantisation steps."""
    return _KNEE * torch.log1p(values.square() / _KNEE)


def _to_pyramid(latents: Sequence[Tensor]) -> Pyramid:
    """Return the pyramid of a list of bands."""
    details = [tuple(latents[start : start + 3]) for start in range(1, len(latents), 3)]
    return Pyramid(latents[0], tuple(details))  # type: ignore[arg-type]


def _octaves(latents: Sequence[Tensor]) -> list[Tensor]:
    """Return base-2 logarithms of Laplace scales that suit rounded latents, one per channel."""
    octaves = []
    for x in latents:
        mean = x.detach().round().abs().mean((0, 2, 3), keepdim=True).clamp_min(_MIN_MEAN)
        # Ratio of successive masses of a two-sided geometric distribution, from its mean.
        ratio = 2 * mean / (1 + torch.sqrt(1 + 4 * mean.square()))
        octaves.append(torch.log2(-0.5 / torch.log(ratio.clamp(1e-6, 1 - 1e-6))))
    return octaves


def _sum_over_cells(values: Tensor, task: MotionTask) -> Tensor:
    """Return sums over cells of a map that covers the picture at any resolution: (B, 1, h, w)."""
    height, width = task.layout.size
    if not values.numel():  # A picture one sample wide or high has empty bands.
        return values.new_zeros(len(values), 1, height, width)
    # Smallest power of two that divides cells finely enough for every sample of the map.
    divisions = 1
    while values.shape[-2] > height * divisions or values.shape[-1] > width * divisions:
        divisions *= 2
    if values.shape[-1] * 2 <= width and values.shape[-2] * 2 <= height:
        return F.interpolate(values, size=(height, width), mode="nearest")
    margin = (
        0,
        width * divisions - values.shape[-1],
        0,
        height * divisions - values.shape[-2],
    )
    return F.avg_pool2d(F.pad(values, margin), divisions) * divisions**2


def _pad_to_blocks(values: Tensor, task: MotionTask, block: int) -> Tensor:
    """Pad a band to the number of blocks that cover the field."""
    height, width = (-(-side // block) for side in task.layout.size)
    return F.pad(values, (0, width - values.shape[-1], 0, height - values.shape[-2]))


def _block_sums(values: Tensor, block: int) -> Tensor:
    """Return sums over blocks of cells."""
    margin = (0, -values.shape[-1] % block, 0, -values.shape[-2] % block)
    return F.avg_pool2d(F.pad(values, margin), block) * block**2
