"""Conversion of decoded libav pictures to planar 8-bit 4:2:0, and back.

8-bit 4:2:0 is copied unchanged. Deeper planar YUV is rounded, not dithered: a dither pattern is
noise that costs bits. swscale is used only to repack layouts and to scale, always with the same
range stated for input and output, since its guess for `yuvj*` and grey would change sample values.
"""

from __future__ import annotations

import re

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation

from nvcodec.media import Colour, Planes, UInt8Array
from nvcodec.video.colour import halve_columns, halve_rows, yuv420

_REPACK = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_DEEP = re.compile(r"yuva?4\d\dp(9|10|12|14|16)le$")
_UNSPECIFIED = 2


def colour_of(frame: av.VideoFrame, stream: av.VideoStream) -> Colour:
    """Return the colour of the converted pictures, as H.273 code points.

    Args:
        frame: The first decoded picture; decoders often state more than containers.
        stream: The stream it came from, used where the picture states nothing.

    Returns:
        The colour of the pictures. RGB pictures get BT.709 primaries and the sRGB transfer where
        the source states none, limited range, and the matrix usual for their size (BT.601 up to 576
        lines and below 1280 columns, else BT.709).
    """
    context = stream.codec_context
    primaries = _specified(frame.color_primaries, context.color_primaries)
    transfer = _specified(frame.color_trc, context.color_trc)
    if _is_rgb(frame.format):
        small = frame.width < 1280 and frame.height <= 576
        return Colour(
            primaries=1 if primaries == _UNSPECIFIED else primaries,
            transfer=13 if transfer == _UNSPECIFIED else transfer,
            matrix=6 if small else 1,
        )
    full = frame.format.name.startswith("yuvj") or frame.color_range == 2
    if frame.color_range == 0:
        full = full or context.color_range == 2
    matrix = _specified(frame.colorspace, context.colorspace)
    # The identity matrix means G'B'R' planes, which no YUV format has, whatever the header claims.
    return Colour(primaries, transfer, matrix or _UNSPECIFIED, full)


def losses(frame: av.VideoFrame) -> list[str]:
    """Return what the conversion of a picture to 8-bit 4:2:0 loses, in words; empty if nothing."""
    layout = frame.format
    lost = []
    depth = max((part.bits for part in layout.components), default=8)
    if depth > 8:
        lost.append(f"{depth}-bit samples")
    if any(part.is_alpha for part in layout.components) and not layout.has_palette:
        lost.append("the alpha channel")
    if _is_rgb(layout):
        lost.append("full-resolution RGB")
    elif len(layout.components) < 3:
        # Added constant chroma loses nothing, but changes the format.
        lost.append("the gray format (neutral chroma is added)")
    elif layout.chroma_width(8) != 4 or layout.chroma_height(8) != 4:
        name = {(8, 8): "4:4:4", (4, 8): "4:2:2", (8, 4): "4:4:0", (2, 8): "4:1:1"}
        lost.append(
            f"{name.get((layout.chroma_width(8), layout.chroma_height(8)), layout.name)} chroma"
        )
    if frame.interlaced_frame:
        lost.append("interlacing (the two fields stay woven into progressive frames)")
    return lost


def planes(frame: av.VideoFrame, colour: Colour) -> Planes:
    """Convert a picture at its own size and orientation.

    Args:
        frame: Decoded picture of any pixel format.
        colour: Colour of the result; matrix and range are used.

    Returns:
        y (H, W), u and v (ceil(H / 2), ceil(W / 2)), uint8.
    """
    layout = frame.format
    full = layout.name.startswith("yuvj") or frame.color_range == 2
    if _is_rgb(layout):
        packed = _repack(frame, "rgb24", True)
        height, width = packed.height, packed.width
        picture = _plane(packed, 0)[:, : 3 * width].reshape(1, height, width, 3)
        y, u, v = yuv420(picture, colour)
        return y[0], u[0], v[0]
    if len(layout.components) < 3:
        gray = frame if layout.name == "gray" else _repack(frame, "gray", full)
        luma = _plane(gray, 0)[:, : gray.width].copy()
        half = ((gray.height + 1) // 2, (gray.width + 1) // 2)
        neutral = np.full(half, 128, np.uint8)
        return luma, neutral, neutral.copy()
    result = _eight_bit(frame, full)
    if full != colour.full_range:
        result = _change_range(result, colour.full_range)
    return result


def resize(picture: Planes, width: int, height: int, colour: Colour) -> Planes:
    """Scale a picture with a Lanczos filter, or with area averaging to half size or less.

    Args:
        picture: y (H, W), u and v (ceil(H / 2), ceil(W / 2)), uint8.
        width: Target width in samples.
        height: Target height in samples.
        colour: Colour of the samples; the range is used and kept.

    Returns:
        Planes of the target size.
    """
    old_height, old_width = picture[0].shape
    if (old_width, old_height) == (width, height):
        return picture
    frame = frame_from(picture, colour)
    shrink = 2 * width <= old_width and 2 * height <= old_height
    method = Interpolation.AREA if shrink else Interpolation.LANCZOS
    side = 2 if colour.full_range else 1
    scaled = frame.reformat(
        width=width,
        height=height,
        format="yuv420p",
        src_colorspace=5,
        dst_colorspace=5,
        src_color_range=side,
        dst_color_range=side,
        interpolation=method | Interpolation.ACCURATE_RND | Interpolation.BITEXACT,
        threads=1,
    )
    return _copy_yuv(scaled)


def frame_from(picture: Planes, colour: Colour) -> av.VideoFrame:
    """Return a libav picture that holds the planes and states their colour.

    Args:
        picture: y (H, W), u and v (ceil(H / 2), ceil(W / 2)), uint8.
        colour: Colour of the samples.
    """
    height, width = picture[0].shape
    frame = av.VideoFrame(width, height, "yuv420p")
    for target, samples in zip(frame.planes, picture, strict=True):
        rows, columns = samples.shape
        if target.line_size == columns:
            target.update(samples.tobytes())
        else:
            padded = np.zeros((target.height, target.line_size), np.uint8)
            padded[:rows, :columns] = samples
            target.update(padded.tobytes())
    frame.color_range = 2 if colour.full_range else 1
    frame.color_primaries = colour.primaries
    frame.color_trc = colour.transfer
    frame.colorspace = colour.matrix
    return frame


def _eight_bit(frame: av.VideoFrame, full: bool) -> Planes:
    """Convert a YUV picture to 8-bit 4:2:0 of the same range."""
    layout = frame.format
    if layout.name in ("yuv420p", "yuvj420p"):
        return _copy_yuv(frame)
    deep = _DEEP.match(layout.name)
    sampling = {(8, 8): "444", (4, 8): "422", (8, 4): "440", (4, 4): "420"}.get(
        (layout.chroma_width(8), layout.chroma_height(8)), "444"
    )
    if deep is None:
        depth = max(part.bits for part in layout.components)
        suffix = "" if depth <= 8 else "10le" if depth == 10 else "16le"
        if sampling == "440" and depth > 10:
            sampling, suffix = "444", "16le"
        name = f"yuv{sampling}p{suffix}"
        frame = frame if layout.name == name else _repack(frame, name, full)
        deep = _DEEP.match(name)
    bits = int(deep.group(1)) if deep else 8
    result = []
    for k in range(3):
        source = frame.planes[k]
        if bits == 8:
            samples = _plane(frame, k)[:, : source.width]
        else:
            samples = _round_to_8(_plane(frame, k).view(np.uint16)[:, : source.width], bits, full)
        if k and sampling != "420":
            chroma = samples.astype(np.float32)
            if sampling in ("444", "440"):
                chroma = halve_columns(chroma)
            if sampling in ("444", "422"):
                chroma = halve_rows(chroma)
            # Halves are rounded up, as usual in video; rint would round them to even values.
            samples = np.floor(chroma + 0.5).astype(np.uint8)
        result.append(np.ascontiguousarray(samples))
    return result[0], result[1], result[2]


def _round_to_8(samples: npt.NDArray[np.uint16], bits: int, full: bool) -> UInt8Array:
    """Round samples of `bits` bits to 8 bits, in full or limited range."""
    wide = samples.astype(np.uint32)
    if full:
        peak = (1 << bits) - 1
        return np.minimum((wide * 255 + peak // 2) // peak, 255).astype(np.uint8)
    shift = bits - 8
    return np.minimum((wide + (1 << (shift - 1))) >> shift, 255).astype(np.uint8)


def _change_range(picture: Planes, to_full: bool) -> Planes:
    """Convert limited range to full range, or full range to limited range."""
    y, u, v = (plane.astype(np.float32) for plane in picture)
    if to_full:
        y, swing = (y - 16) * np.float32(255 / 219), np.float32(255 / 224)
    else:
        y, swing = y * np.float32(219 / 255) + 16, np.float32(224 / 255)
    result = (y, (u - 128) * swing + 128, (v - 128) * swing + 128)
    a, b, c = (np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in result)
    return a, b, c


def _repack(frame: av.VideoFrame, name: str, full: bool) -> av.VideoFrame:
    """Convert a picture to another pixel format of the same range."""
    side = 2 if full else 1
    return frame.reformat(
        format=name,
        src_colorspace=5,
        dst_colorspace=5,
        src_color_range=side,
        dst_color_range=side,
        interpolation=_REPACK,
        threads=1,
    )


def _copy_yuv(frame: av.VideoFrame) -> Planes:
    y, u, v = (_plane(frame, k)[:, : frame.planes[k].width].copy() for k in range(3))
    return y, u, v


def _plane(frame: av.VideoFrame, index: int) -> UInt8Array:
    """Return a view of the bytes of one plane, shape (H, bytes of a line with its padding)."""
    plane = frame.planes[index]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)


def _is_rgb(layout: av.VideoFormat) -> bool:
    return layout.is_rgb or layout.has_palette or layout.name.startswith(("bayer_", "xyz"))


def _specified(first: int, second: int) -> int:
    """Return the first code point that is specified and fits a byte."""
    value = first if first != _UNSPECIFIED else second
    return value if 0 <= value <= 255 else _UNSPECIFIED
