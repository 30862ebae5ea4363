"""Conversion between planar 8-bit 4:2:0 and R'G'B', in NumPy.

This is the only module that applies a colour matrix. PNG output, `psnr_rgb` and RGB sources use it,
so both sides of a comparison are converted alike. Chroma is sited left, the default of H.264, H.265
and BT.709 material: horizontally on the even luma columns, vertically half-way between two luma
rows. Upsampling is bilinear. Downsampling filters with (1, 2, 1) / 4 horizontally and takes the
mean of two samples vertically. At the borders the outermost sample is repeated. R'G'B' keeps the
transfer characteristics and primaries of the source.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nvcodec.media import Colour, Float32Array, UInt8Array

# H.273 MatrixCoefficients -> (Kr, Kb).
_WEIGHTS: dict[int, tuple[float, float]] = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601, 625 lines
    6: (0.299, 0.114),  # BT.601, 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020, non-constant luminance
    10: (0.2627, 0.0593),  # constant luminance, for which this is the usual approximation
}
_IDENTITY = 0
# Samples of a strip of rows that is converted at a time, few enough for its float planes to stay in
# the caches.
_STRIP_SAMPLES = 1 << 18


def matrix_for(colour: Colour, width: int, height: int) -> int:
    """Return the matrix to use; if the source states none, guess it as players do.

    Args:
        colour: Colour that the source states.
        width: Picture width in samples.
        height: Picture height in samples.

    Returns:
        Code point of H.273 MatrixCoefficients: `colour.matrix` if it is usable, else 1 (BT.709) for
        pictures at least 1280 wide or more than 576 high, and 6 (BT.601) for smaller ones.
    """
    if colour.matrix == _IDENTITY or colour.matrix in _WEIGHTS:
        return colour.matrix
    return 1 if width >= 1280 or height > 576 else 6


def rgb(y: UInt8Array, u: UInt8Array, v: UInt8Array, colour: Colour) -> UInt8Array:
    """Convert planar 4:2:0 to R'G'B'.

    Args:
        y: Luma, uint8, shape (T, H, W).
        u: Blue difference, uint8, shape (T, ceil(H / 2), ceil(W / 2)).
        v: Red difference, same shape as `u`.
        colour: Colour of the samples; matrix and range are used.

    Returns:
        R'G'B', uint8 in [0, 255] (full range), shape (T, H, W, 3), rounded to nearest.
    """
    frames, height, width = y.shape
    out = np.empty((frames, height, width, 3), np.uint8)
    matrix = matrix_for(colour, width, height)
    for t in range(frames):
        for strip in _strips(height, width):
            luma = y[t, strip].astype(np.float32)
            chroma = [_upsample(c[t], strip, width) for c in (u, v)]
            for k, plane in enumerate(_rgb_planes(luma, chroma, matrix, colour)):
                out[t, strip, :, k] = _to_uint8(plane)
    return out


def _strips(height: int, width: int) -> Iterator[slice]:
    """Yield strips of rows; float planes of a whole frame would take many times its size."""
    count = 2 * max(_STRIP_SAMPLES // (2 * width), 1)
    for top in range(0, height, count):
        yield slice(top, min(top + count, height))


def _rgb_planes(
    luma: Float32Array, chroma: list[Float32Array], matrix: int, colour: Colour
) -> tuple[Float32Array, ...]:
    """Return R', G' and B' of a strip of luma and of chroma at its size, not rounded."""
    if not colour.full_range:
        luma = (luma - 16) * np.float32(255 / 219)
    if matrix == _IDENTITY:
        if not colour.full_range:
            chroma = [(c - 16) * np.float32(255 / 219) for c in chroma]
        return chroma[1], luma, chroma[0]
    gain = np.float32(1 if colour.full_range else 255 / 224)
    cb, cr = ((c - 128) * gain for c in chroma)
    kr, kb = _WEIGHTS[matrix]
    kg = 1 - kr - kb
    return (
        luma + np.float32(2 * (1 - kr)) * cr,
        luma - np.float32(2 * kb * (1 - kb) / kg) * cb - np.float32(2 * kr * (1 - kr) / kg) * cr,
        luma + np.float32(2 * (1 - kb)) * cb,
    )


def yuv420(
    picture: UInt8Array | Float32Array, colour: Colour
) -> tuple[UInt8Array, UInt8Array, UInt8Array]:
    """Convert R'G'B' to planar 4:2:0, the inverse of `rgb`.

    Args:
        picture: R'G'B', shape (T, H, W, 3); uint8 in [0, 255] or floating point in [0, 1].
        colour: Colour of the result; matrix and range are used.

    Returns:
        Planes y (T, H, W), u and v (T, ceil(H / 2), ceil(W / 2)), uint8, rounded to nearest.
    """
    frames, height, width, _ = picture.shape
    half = (frames, (height + 1) // 2, (width + 1) // 2)
    y = np.empty((frames, height, width), np.uint8)
    u, v = np.empty(half, np.uint8), np.empty(half, np.uint8)
    matrix = matrix_for(colour, width, height)
    scale = np.float32(1 if picture.dtype == np.uint8 else 255)
    for t in range(frames):
        for strip in _strips(height, width):
            channels = [picture[t, strip, :, k].astype(np.float32) * scale for k in range(3)]
            luma, *chroma = _yuv_planes(channels, matrix, colour)
            chroma_strip = slice(strip.start // 2, (strip.stop + 1) // 2)
            y[t, strip] = _to_uint8(luma)
            u[t, chroma_strip], v[t, chroma_strip] = (
                _to_uint8(halve_rows(halve_columns(c))) for c in chroma
            )
    return y, u, v


def _yuv_planes(channels: list[Float32Array], matrix: int, colour: Colour) -> list[Float32Array]:
    """Return luma and full-size chroma of a strip of R', G' and B', 0 to 255, not rounded."""
    r, g, b = channels
    gain, offset = (1.0, 0.0) if colour.full_range else (219 / 255, 16.0)
    if matrix == _IDENTITY:
        return [c * np.float32(gain) + np.float32(offset) for c in (g, b, r)]
    kr, kb = _WEIGHTS[matrix]
    luma = np.float32(kr) * r + np.float32(1 - kr - kb) * g + np.float32(kb) * b
    swing = 1.0 if colour.full_range else 224 / 255
    return [
        luma * np.float32(gain) + np.float32(offset),
        (b - luma) * np.float32(swing / (2 * (1 - kb))) + 128,
        (r - luma) * np.float32(swing / (2 * (1 - kr))) + 128,
    ]


def halve_columns(plane: Float32Array) -> Float32Array:
    """Filter the rows with (1, 2, 1) / 4 and keep every other column, so the result is sited left.

    Args:
        plane: Shape (H, W).

    Returns:
        Shape (H, ceil(W / 2)).
    """
    padded = np.pad(plane, ((0, 0), (1, 1)), mode="edge")
    filtered = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    return np.ascontiguousarray(filtered[:, ::2], dtype=np.float32)


def halve_rows(plane: Float32Array) -> Float32Array:
    """Return the mean of each pair of rows; the last of an odd number of rows is kept.

    Args:
        plane: Shape (H, W).

    Returns:
        Shape (ceil(H / 2), W).
    """
    padded = np.pad(plane, ((0, plane.shape[0] % 2), (0, 0)), mode="edge")
    return np.asarray((padded[0::2] + padded[1::2]) / 2, dtype=np.float32)


def _upsample(plane: UInt8Array, rows: slice, width: int) -> Float32Array:
    """Double the sides of a plane that is sited left, and return some rows of the result.

    Args:
        plane: Shape (ceil(H / 2), ceil(W / 2)).
        rows: Rows of the result, from an even one on.
        width: Columns of the result.
    """
    lines = np.arange(rows.start // 2 - 1, (rows.stop + 1) // 2 + 1).clip(0, len(plane) - 1)
    padded = plane[lines].astype(np.float32)
    centre = padded[1:-1]
    tall = np.empty((2 * centre.shape[0], centre.shape[1]), np.float32)
    tall[0::2] = (3 * centre + padded[:-2]) / 4
    tall[1::2] = (3 * centre + padded[2:]) / 4
    full = np.empty((tall.shape[0], 2 * tall.shape[1]), np.float32)
    full[:, 0::2] = tall
    full[:, 1::2] = (tall + np.pad(tall, ((0, 0), (0, 1)), mode="edge")[:, 1:]) / 2
    return full[: rows.stop - rows.start, :width]


def _to_uint8(plane: Float32Array) -> UInt8Array:
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)
