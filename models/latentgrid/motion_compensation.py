"""Prediction of a frame from decoded ones: motion fields, what is expected of them, warping.

A field has five channels on a grid of square cells: (m_x, m_y, s_x, s_y) in luma samples and k. A
position of the frame is found at + m + s in the first reference and at - m + s in the second, and
the two are blended with weights sigmoid(k) and 1 - sigmoid(k). Steady motion has s = 0. Between
the centres of cells fields are linear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

CHANNELS = 5


@dataclass(frozen=True, slots=True)
class Picture:
    """Frames as luma and chroma planes, uint8 or float, 0 to 255.

    Attributes:
        luma: Shape (B, 1, H, W).
        chroma: Shape (B, 2, h, w).
    """

    luma: Tensor
    chroma: Tensor

    def __getitem__(self, frames: Sequence[int] | Tensor | slice) -> Picture:
        """Some of the frames."""
        return Picture(self.luma[frames], self.chroma[frames])

    def to(self, device: torch.device) -> Picture:
        """The same frames on a device."""
        return Picture(self.luma.to(device), self.chroma.to(device))

    def float(self) -> Picture:
        """The same samples as floats."""
        return Picture(self.luma.float(), self.chroma.float())


def joined(parts: Sequence[Picture]) -> Picture:
    """The frames of all parts, one after the other."""
    return Picture(
        torch.cat([part.luma for part in parts]), torch.cat([part.chroma for part in parts])
    )


def flows(fields: Tensor) -> Tensor:
    """Where a position is found in each reference.

    Args:
        fields: Shape (B, 5, h, w).

    Returns:
        Shape (B, 2 references, 2 axes, h, w), luma samples, x first.
    """
    m, s = fields[:, 0:2], fields[:, 2:4]
    return torch.stack([s + m, s - m], dim=1)


def expected(
    frames: Sequence[int],
    references: Sequence[tuple[int, ...]],
    all_references: Mapping[int, tuple[int, ...]],
    known: Tensor,
    cell: int,
) -> Tensor:
    """Fields of frames between two others, if everything went on moving as between those.

    Of the two references of a frame, one was itself predicted from the other; its motion, shared
    out by time and followed to the frame, is what is expected. (The temporal direct mode of H.264,
    8.4.1.2.3, for fields.)

    Args:
        frames: Frame numbers.
        references: The one or two references of each; with one, nothing is expected.
        all_references: For every frame of the segment, its references.
        known: `flows` of every frame of the segment, shape (T, 2, 2, h, w).
        cell: Side of a cell, luma samples.

    Returns:
        Shape (B, 5, h, w); zeros where nothing is expected.
    """
    height, width = known.shape[-2:]
    if not references or len(references[0]) < 2:
        return known.new_zeros(len(frames), CHANNELS, height, width)
    later, sides, spans, leads, times = [], [], [], [], []
    for frame, (a, b) in zip(frames, references, strict=True):
        newer, origin = (b, a) if a in all_references[b] else (a, b)
        later.append(newer)
        sides.append(all_references[newer].index(origin))
        spans.append(origin - newer)
        leads.append(newer - frame)
        times.append((a - frame, b - frame))

    def column(values: Sequence[float]) -> Tensor:
        return known.new_tensor(values).view(-1, 1, 1, 1)

    speed = known[later, sides] / column(spans)
    moved = speed * _unit(speed) * (column(leads) / cell)
    where = _centres(height, width, known.device) + moved
    speed = _sampled(speed, where, "bilinear")
    to_a, to_b = (speed * column([time[side] for time in times]) for side in range(2))
    none = known.new_zeros(len(frames), 1, height, width)
    return torch.cat([(to_a - to_b) / 2, (to_a + to_b) / 2, none], dim=1)


def predict(fields: Tensor, sources: Sequence[Picture], cell: int) -> Picture:
    """Frames from their references.

    Args:
        fields: Shape (B, 5, h, w).
        sources: One or two references of each frame, B frames each.
        cell: Side of a cell, luma samples.

    Returns:
        B frames.
    """
    luma = [source.luma for source in sources]
    chroma = [source.chroma for source in sources]
    # Both sides are compared: a 4:2:0 picture may be one sample wide, as is its chroma.
    ratio = 1 if luma[0].shape[-2:] == chroma[0].shape[-2:] else 2
    return Picture(
        _blend(fields, luma, cell, 1, "bicubic"),
        _blend(fields, chroma, cell // ratio, ratio, "bicubic" if ratio == 1 else "bilinear"),
    )


def between(flow: Tensor, near: Picture, far: Picture, share: Tensor, cell: int) -> Picture:
    """Pictures between two frames, of which one has a motion field that leads to the other.

    Everything is taken to move straight and steadily: what is at x in the first frame and at
    x + flow in the second one is at x + share * flow in between. The picture is looked for along
    that line in both, and the two findings are cross-faded.

    Args:
        flow: From the frames with a field to the others, shape (B, 2, h, w), luma samples, x first.
        near: The frames with a field.
        far: The others.
        share: Of the way from the former to the latter, shape (B,), 0 to 1.
        cell: Side of a cell, luma samples.

    Returns:
        B pictures.
    """
    share = share.view(-1, 1, 1, 1)
    # The flow of a place in between is that of the place it came from, about a flow away.
    centres = _centres(*flow.shape[-2:], flow.device)
    here = _sampled(flow, centres - share * flow * _unit(flow) / cell, "bilinear")
    # As a field: at + m + s in the first reference and at - m + s in the second.
    first, second = -share * here, (1 - share) * here
    mix = torch.special.logit(1 - share, eps=1e-6).expand(-1, 1, *flow.shape[-2:])
    fields = torch.cat([(first - second) / 2, (first + second) / 2, mix], dim=1)
    return predict(fields, [near, far], cell)


def _blend(fields: Tensor, planes: Sequence[Tensor], cell: int, ratio: int, kernel: str) -> Tensor:
    """Warp the planes of one or two references, and mix them."""
    height, width = planes[0].shape[-2:]
    # What is linear is done on cells, before there are as many values as samples.
    moves = flows(fields) * _unit(planes[0]) / ratio
    down = _between(height, cell, fields.device)
    across = _between(width, cell, fields.device).mT
    grid = _centres(height, width, fields.device)
    warped = [
        _sampled(plane, grid + down @ (moves[:, side] @ across), kernel)
        for side, plane in enumerate(planes)
    ]
    if len(planes) == 1:
        return warped[0]
    return torch.lerp(warped[1], warped[0], torch.sigmoid(down @ (fields[:, 4:5] @ across)))


def _unit(planes: Tensor) -> Tensor:
    """A sample's width and height where the whole plane spans -1 to 1, shape (2, 1, 1)."""
    height, width = planes.shape[-2:]
    return planes.new_tensor([2 / width, 2 / height]).view(2, 1, 1)


@lru_cache(maxsize=32)
def _between(length: int, cell: int, device: torch.device) -> Tensor:
    """Weights of cells at the samples of a line, linear between their centres: (samples, cells).

    Two small products with these are faster than interpolation of planes, forth and back.
    """
    # What is kept must serve fits too, whoever asked first.
    with torch.inference_mode(False):
        cells = torch.eye(-(-length // cell), device=device)[None]
        weights = F.interpolate(cells, scale_factor=cell, mode="linear")[0, :, :length]
        return weights.mT.contiguous()


@lru_cache(maxsize=32)
def _centres(height: int, width: int, device: torch.device) -> Tensor:
    """Where samples are if the plane spans -1 to 1, x first: shape (2, height, width)."""
    # What is kept must serve fits too, whoever asked first.
    with torch.inference_mode(False):
        rows = (2 * torch.arange(height, device=device) + 1) / height - 1
        columns = (2 * torch.arange(width, device=device) + 1) / width - 1
        return torch.stack([columns.expand(height, -1), rows[:, None].expand(-1, width)])


def _sampled(planes: Tensor, where: Tensor, kernel: str) -> Tensor:
    """Planes at positions, the border repeated beyond it.

    Args:
        planes: Shape (B, C, h, w).
        where: Shape (B, 2, H, W), x first, on planes that span -1 to 1.
        kernel: `"bilinear"` or `"bicubic"` (Keys, a = -0.75).
    """
    return F.grid_sample(
        planes, where.permute(0, 2, 3, 1), mode=kernel, padding_mode="border", align_corners=False
    )
