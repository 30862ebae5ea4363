"""Motion compensation: motion fields, their temporal prediction, and warping of reference frames.

A field has five channels on a grid of square cells: (m_x, m_y, s_x, s_y) in luma samples and k. A
position of the frame is found at + m + s in the first reference and at - m + s in the second. The
two are blended with weights sigmoid(k) and 1 - sigmoid(k). Steady motion has s = 0. Between the
centres of cells, fields are interpolated linearly.
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
        """Return some of the frames."""
        return Picture(self.luma[frames], self.chroma[frames])

    def to(self, device: torch.device) -> Picture:
        """Return the same frames on a device."""
        return Picture(self.luma.to(device), self.chroma.to(device))

    def float(self) -> Picture:
        """Return the same samples as floats."""
        return Picture(self.luma.float(), self.chroma.float())


def concatenate(parts: Sequence[Picture]) -> Picture:
    """Concatenate the frames of all parts."""
    return Picture(
        torch.cat([part.luma for part in parts]), torch.cat([part.chroma for part in parts])
    )


def flows(fields: Tensor) -> Tensor:
    """Return the displacements of fields towards each reference.

    Args:
        fields: Shape (B, 5, h, w).

    Returns:
        Shape (B, 2 references, 2 axes, h, w), luma samples, x first.
    """
    m, s = fields[:, 0:2], fields[:, 2:4]
    return torch.stack([s + m, s - m], dim=1)


def expected_fields(
    frames: Sequence[int],
    references: Sequence[tuple[int, ...]],
    all_references: Mapping[int, tuple[int, ...]],
    all_flows: Tensor,
    cell: int,
) -> Tensor:
    """Predict the fields of frames between two references from the motion between these references.

    One of the two references of a frame was predicted from the other. Its motion is scaled
    by temporal distance and projected to the frame, as in the temporal direct mode of H.264,
    8.4.1.2.3, for fields.

    Args:
        frames: Frame numbers.
        references: The one or two references of each frame; with one, zeros are predicted.
        all_references: References of every frame of the segment.
        all_flows: `flows` of every frame of the segment, shape (T, 2, 2, h, w).
        cell: Side of a cell, luma samples.

    Returns:
        Shape (B, 5, h, w); zeros where there is nothing to predict from.
    """
    height, width = all_flows.shape[-2:]
    if not references or len(references[0]) < 2:
        return all_flows.new_zeros(len(frames), CHANNELS, height, width)
    carriers, carrier_sides, spans, leads, times = [], [], [], [], []
    for frame, (a, b) in zip(frames, references, strict=True):
        carrier, origin = (b, a) if a in all_references[b] else (a, b)
        carriers.append(carrier)
        carrier_sides.append(all_references[carrier].index(origin))
        spans.append(origin - carrier)
        leads.append(carrier - frame)
        times.append((a - frame, b - frame))

    def to_column(values: Sequence[float]) -> Tensor:
        return all_flows.new_tensor(values).view(-1, 1, 1, 1)

    speed = all_flows[carriers, carrier_sides] / to_column(spans)
    moved = speed * _sample_pitch(speed) * (to_column(leads) / cell)
    positions = _sample_centres(height, width, all_flows.device) + moved
    speed = _sample(speed, positions, "bilinear")
    to_a, to_b = (speed * to_column([time[side] for time in times]) for side in range(2))
    zeros = all_flows.new_zeros(len(frames), 1, height, width)
    return torch.cat([(to_a - to_b) / 2, (to_a + to_b) / 2, zeros], dim=1)


def predict(fields: Tensor, sources: Sequence[Picture], cell: int) -> Picture:
    """Predict frames from their references.

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


def interpolate(flow: Tensor, near: Picture, far: Picture, share: Tensor, cell: int) -> Picture:
    """Interpolate pictures between two frames, one of which has a motion field towards the other.

    Motion is taken to be straight and steady: a point at x in the first frame and at x + flow in
    the second one is at x + share * flow in between. Both frames are sampled along that line, and
    the two samples are cross-faded.

    Args:
        flow: Displacements from the near frames to the far ones, shape (B, 2, h, w), luma samples,
            x first.
        near: The frames that have the motion field.
        far: The frames that the field leads to.
        share: Position between near and far, shape (B,), 0 (near) to 1 (far).
        cell: Side of a cell, luma samples.

    Returns:
        B pictures.
    """
    share = share.view(-1, 1, 1, 1)
    # A point in between has the flow of the cell that it came from, about one flow away.
    centres = _sample_centres(*flow.shape[-2:], flow.device)
    local_flow = _sample(flow, centres - share * flow * _sample_pitch(flow) / cell, "bilinear")
    # Expressed as a field: + m + s leads to the first reference, - m + s to the second.
    first, second = -share * local_flow, (1 - share) * local_flow
    mix = torch.special.logit(1 - share, eps=1e-6).expand(-1, 1, *flow.shape[-2:])
    fields = torch.cat([(first - second) / 2, (first + second) / 2, mix], dim=1)
    return predict(fields, [near, far], cell)


def _blend(fields: Tensor, planes: Sequence[Tensor], cell: int, ratio: int, kernel: str) -> Tensor:
    """Warp the planes of one or two references, and blend them.

    Args:
        fields: Shape (B, 5, h, w).
        planes: Planes of one or two references, shape (B, C, H, W) each.
        cell: Side of a cell, samples of these planes.
        ratio: Luma samples per sample of these planes, along each axis.
        kernel: `"bilinear"` or `"bicubic"`.
    """
    height, width = planes[0].shape[-2:]
    # Linear operations are done on cells, which are fewer than samples.
    displacements = flows(fields) * _sample_pitch(planes[0]) / ratio
    row_weights = _cell_weights(height, cell, fields.device)
    column_weights = _cell_weights(width, cell, fields.device).mT
    positions = _sample_centres(height, width, fields.device)
    warped = [
        _sample(plane, positions + row_weights @ (displacements[:, side] @ column_weights), kernel)
        for side, plane in enumerate(planes)
    ]
    if len(planes) == 1:
        return warped[0]
    return torch.lerp(
        warped[1], warped[0], torch.sigmoid(row_weights @ (fields[:, 4:5] @ column_weights))
    )


def _sample_pitch(planes: Tensor) -> Tensor:
    """Return width and height of a sample on planes that span -1 to 1, shape (2, 1, 1)."""
    height, width = planes.shape[-2:]
    return planes.new_tensor([2 / width, 2 / height]).view(2, 1, 1)


@lru_cache(maxsize=32)
def _cell_weights(length: int, cell: int, device: torch.device) -> Tensor:
    """Return weights of cells for linear interpolation at the samples of a line: (samples, cells).

    Two small products with these are faster than interpolation of planes, forwards and backwards.
    """
    # A cached tensor must serve fits too, even if a decoder was the first to ask for it.
    with torch.inference_mode(False):
        cells = torch.eye(-(-length // cell), device=device)[None]
        weights = F.interpolate(cells, scale_factor=cell, mode="linear")[0, :, :length]
        return weights.mT.contiguous()


@lru_cache(maxsize=32)
def _sample_centres(height: int, width: int, device: torch.device) -> Tensor:
    """Return the centres of samples on planes that span -1 to 1, x first: (2, height, width)."""
    # A cached tensor must serve fits too, even if a decoder was the first to ask for it.
    with torch.inference_mode(False):
        rows = (2 * torch.arange(height, device=device) + 1) / height - 1
        columns = (2 * torch.arange(width, device=device) + 1) / width - 1
        return torch.stack([columns.expand(height, -1), rows[:, None].expand(-1, width)])


def _sample(planes: Tensor, positions: Tensor, kernel: str) -> Tensor:
    """Sample planes at positions; beyond the border, the border is repeated.

    Args:
        planes: Shape (B, C, h, w).
        positions: Shape (B, 2, H, W), x first, on planes that span -1 to 1.
        kernel: `"bilinear"` or `"bicubic"` (Keys, a = -0.75).
    """
    return F.grid_sample(
        planes,
        positions.permute(0, 2, 3, 1),
        mode=kernel,
        padding_mode="border",
        align_corners=False,
    )
