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

# Largest matrix of interpolation weights, values. Only pictures with very long sides need a larger
# one, and are interpolated without.
_LARGEST_MATRIX = 1 << 22


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
    if not references or len(references[0]) < 2:
        return all_flows.new_zeros(len(frames), CHANNELS, *all_flows.shape[-2:])
    carriers, sides = zip(*carried_motion(references, all_references), strict=True)
    return project_motion(
        all_flows[list(carriers), list(sides)], frames, references, all_references, cell
    )


def carried_motion(
    references: Sequence[tuple[int, ...]], all_references: Mapping[int, tuple[int, ...]]
) -> list[tuple[int, int]]:
    """Return where the motion between the two references of each frame is stored.

    Args:
        references: The two references of each frame.
        all_references: References of every frame of the segment.

    Returns:
        For each frame, the reference that was predicted from the other one, and which of its own
        references, 0 or 1, that other one is.
    """
    pairs = [(b, a) if a in all_references[b] else (a, b) for a, b in references]
    return [(carrier, all_references[carrier].index(origin)) for carrier, origin in pairs]


def project_motion(
    motion: Tensor,
    frames: Sequence[int],
    references: Sequence[tuple[int, ...]],
    all_references: Mapping[int, tuple[int, ...]],
    cell: int,
) -> Tensor:
    """Predict the fields of frames from the motion between their two references.

    Args:
        motion: Displacements that `carried_motion` names for each frame, shape (B, 2, h, w).
        frames: Frame numbers.
        references: The two references of each frame.
        all_references: References of every frame of the segment.
        cell: Side of a cell, luma samples.

    Returns:
        Shape (B, 5, h, w).
    """
    height, width = motion.shape[-2:]
    spans, leads, times = [], [], []
    carriers = carried_motion(references, all_references)
    for frame, (a, b), (carrier, _) in zip(frames, references, carriers, strict=True):
        spans.append((a if carrier == b else b) - carrier)
        leads.append(carrier - frame)
        times.append((a - frame, b - frame))

    def to_column(values: Sequence[float]) -> Tensor:
        return motion.new_tensor(values).view(-1, 1, 1, 1)

    speed = motion / to_column(spans)
    moved = speed * _sample_pitch(speed) * (to_column(leads) / cell)
    _add_sample_centres(moved, height)
    speed = _sample(speed, moved, "bilinear")
    to_a, to_b = (speed * to_column([time[side] for time in times]) for side in range(2))
    zeros = motion.new_zeros(len(frames), 1, height, width)
    return torch.cat([(to_a - to_b) / 2, (to_a + to_b) / 2, zeros], dim=1)


def predict(
    fields: Tensor, sources: Sequence[Picture], cell: int, rows: slice = slice(None)
) -> Picture:
    """Predict frames from their references.

    Args:
        fields: Shape (B, 5, h, w).
        sources: One or two references of each frame, B frames each.
        cell: Side of a cell, luma samples.
        rows: The luma rows to predict, from an even row on; all by default.

    Returns:
        These rows of B frames.
    """
    luma = [source.luma for source in sources]
    chroma = [source.chroma for source in sources]
    # Both sides are compared: a 4:2:0 picture may be one sample wide, as is its chroma.
    ratio = 1 if luma[0].shape[-2:] == chroma[0].shape[-2:] else 2
    kernel = "bicubic" if ratio == 1 else "bilinear"
    chroma_rows = rows if ratio == 1 else halved(rows)
    return Picture(
        _blend(fields, luma, cell, 1, "bicubic", rows),
        _blend(fields, chroma, cell // ratio, ratio, kernel, chroma_rows),
    )


def halved(rows: slice) -> slice:
    """Return the 4:2:0 chroma rows of luma rows, which begin at an even row."""
    start, stop = rows.start, rows.stop
    return slice(start and start // 2, stop and (stop + 1) // 2)


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
    origins = -share * flow * _sample_pitch(flow) / cell
    _add_sample_centres(origins, flow.shape[-2])
    local_flow = _sample(flow, origins, "bilinear")
    # Expressed as a field: + m + s leads to the first reference, - m + s to the second.
    first, second = -share * local_flow, (1 - share) * local_flow
    mix = torch.special.logit(1 - share, eps=1e-6).expand(-1, 1, *flow.shape[-2:])
    fields = torch.cat([(first - second) / 2, (first + second) / 2, mix], dim=1)
    return predict(fields, [near, far], cell)


def _blend(
    fields: Tensor, planes: Sequence[Tensor], cell: int, ratio: int, kernel: str, rows: slice
) -> Tensor:
    """Warp the planes of one or two references, and blend them.

    Args:
        fields: Shape (B, 5, h, w).
        planes: Planes of one or two references, shape (B, C, H, W) each.
        cell: Side of a cell, samples of these planes.
        ratio: Luma samples per sample of these planes, along each axis.
        kernel: `"bilinear"` or `"bicubic"`.
        rows: The rows to compute.
    """
    height, width = planes[0].shape[-2:]
    first, last, _ = rows.indices(height)
    # Linear operations are done on cells, which are fewer than samples.
    displacements = flows(fields) * _sample_pitch(planes[0]) / ratio
    warped = []
    for side, plane in enumerate(planes):
        positions = _to_samples(displacements[:, side], cell, (first, last), (height, width))
        _add_sample_centres(positions, height, first)
        warped.append(_sample(plane, positions, kernel))
    if len(planes) == 1:
        return warped[0]
    share = torch.sigmoid(_to_samples(fields[:, 4:5], cell, (first, last), (height, width)))
    return torch.lerp(warped[1], warped[0], share)


def _to_samples(values: Tensor, cell: int, rows: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Interpolate values of cells linearly at samples.

    Args:
        values: Shape (B, C, h, w).
        cell: Side of a cell, samples.
        rows: First row of samples, and the one after the last.
        size: Height and width of the planes, samples.

    Returns:
        Shape (B, C, rows, width).
    """
    height, width = size
    # A row lies between the centres of two neighbouring cells.
    top = max(rows[0] // cell - 1, 0)
    values = values[..., top : (rows[1] - 1) // cell + 2, :]
    if width * values.shape[-1] <= _LARGEST_MATRIX:
        across = values @ _cell_weights(width, cell, values.device).mT
    else:
        across = _interpolated(values.mT, cell, (0, width), 0).mT
    cells = values.shape[-2]
    if height * -(-height // cell) <= _LARGEST_MATRIX:
        weights = _cell_weights(height, cell, values.device)
        return weights[rows[0] : rows[1], top : top + cells] @ across
    return _interpolated(across, cell, rows, top)


def _interpolated(values: Tensor, cell: int, rows: tuple[int, int], top: int) -> Tensor:
    """Interpolate rows of cells as `_cell_weights` does, without its matrix.

    Args:
        values: Rows of cells from number `top` on, shape (B, C, h, w).
        cell: Side of a cell, samples.
        rows: First row of samples, and the one after the last.
        top: Number of the first row of cells.
    """
    positions = (torch.arange(*rows, device=values.device) + 0.5) / cell - 0.5
    positions = (positions - top).clamp_(0, values.shape[-2] - 1)
    above = positions.floor()
    share = (positions - above)[:, None]
    lower, upper = above.long(), positions.ceil().long()
    return torch.lerp(values[..., lower, :], values[..., upper, :], share)


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


def _add_sample_centres(positions: Tensor, height: int, first: int = 0) -> None:
    """Add the centres of samples to displacements on planes that span -1 to 1.

    Args:
        positions: Shape (B, 2, H, W), x first; changed.
        height: Rows of the whole planes, of which these may be some.
        first: Number of the first of these rows.
    """
    rows, width = positions.shape[-2:]
    positions[:, 0] += _line_centres(width, positions.device)
    positions[:, 1] += _line_centres(height, positions.device)[first : first + rows, None]


@lru_cache(maxsize=32)
def _line_centres(length: int, device: torch.device) -> Tensor:
    """Return the centres of the samples of a line that spans -1 to 1, shape (length,)."""
    # A cached tensor must serve fits too, even if a decoder was the first to ask for it.
    with torch.inference_mode(False):
        return (2 * torch.arange(length, device=device) + 1) / length - 1


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
