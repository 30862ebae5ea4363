"""Decoding of a large frame in strips of rows, so that few of its samples are floats at a time.

In float32 a whole frame takes many times its own size while it is predicted and synthesised. Only
the finest wavelet scale and the prediction work at full size, and both depend on a few neighbouring
rows only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nvcodec.media import Int16Array
from nvcodec.models.latentgrid.picture import Picture
from nvcodec.models.latentgrid.reconstruction import reconstruct
from nvcodec.models.latentgrid.subband_arrays import move_to_device, to_pyramid
from nvcodec.models.latentgrid.subbands import SubbandLayout
from nvcodec.models.latentgrid.wavelets import synthesis, synthesis_rows

ResidualRows = Callable[[slice], Tensor]
"""Function that returns rows of the residual of a frame, shape (1, channels, rows, W), float."""

# A strip has a multiple of so many rows, so that its rows of chroma begin at an even one.
_ROWS = 4


def residual_rows(
    layout: SubbandLayout, bands: Sequence[Int16Array], step: float, device: torch.device
) -> ResidualRows:
    """Return the function that reconstructs rows of the residual of one frame.

    Args:
        layout: The subbands of its planes.
        bands: Array of each band, shape (1, channels, *padded size).
        step: Quantisation step, 8-bit levels.
        device: Device to compute on.
    """
    if not layout.scales:
        whole = to_pyramid(layout, bands).coarse.to(device) * step
        return lambda rows: whole[:, :, rows]
    height, width = layout.size
    half = SubbandLayout(((height + 1) // 2, (width + 1) // 2), layout.scales - 1, layout.channels)
    coarse = synthesis(move_to_device(to_pyramid(half, bands[:-3]), device))[0]
    details = [
        torch.from_numpy(values[0, :, : band.size[0], : band.size[1]])
        for band, values in zip(layout.bands[-3:], bands[-3:], strict=True)
    ]
    return lambda rows: synthesis_rows(coarse, details, rows.start, rows.stop)[None] * step


def decode_in_strips(
    predicted: Picture | None,
    luma: ResidualRows,
    chroma: ResidualRows,
    *,
    size: tuple[int, int],
    chroma_height: int,
    samples: int,
) -> Picture:
    """Decode one frame.

    Args:
        predicted: Its prediction, float; None if it has no references.
        luma: Its luma residual.
        chroma: Its chroma residual.
        size: Height and width of the frame.
        chroma_height: Height of its chroma planes.
        samples: Luma samples of a strip, about.

    Returns:
        The frame, uint8.
    """
    height, width = size
    count = max(samples // width // _ROWS, 1) * _ROWS
    strips = []
    for top in range(0, height, count):
        rows = slice(top, min(top + count, height))
        chroma_rows = rows if chroma_height == height else _halved(rows)
        part = predicted and Picture(
            predicted.luma[:, :, rows], predicted.chroma[:, :, chroma_rows]
        )
        strips.append(reconstruct(part, Picture(luma(rows), chroma(chroma_rows))))
    return Picture(
        torch.cat([strip.luma for strip in strips], 2),
        torch.cat([strip.chroma for strip in strips], 2),
    )


def _halved(rows: slice) -> slice:
    """Return the 4:2:0 chroma rows of luma rows, which begin at an even row."""
    start, stop = rows.start, rows.stop
    return slice(start and start // 2, stop and (stop + 1) // 2)
