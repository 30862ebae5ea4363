"""What a stream and its first picture say about themselves, in our terms.

A stream must not be asked once its container is closed, so all of this is read at opening.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import cast

import av
from av.sidedata.sidedata import SideDataContainer

from nvcodec.video import orientation
from nvcodec.video.orientation import Orientation

_HDR = {
    "DOVI_RPU_BUFFER": "Dolby Vision metadata",
    "DYNAMIC_HDR_PLUS": "HDR10+ metadata",
    "DYNAMIC_HDR_VIVID": "HDR Vivid metadata",
    "MASTERING_DISPLAY_METADATA": "mastering display metadata",
    "CONTENT_LIGHT_LEVEL": "content light level metadata",
}


def frame_rate(stream: av.VideoStream) -> Fraction:
    """The nominal frame rate, 25 where the file has no plausible one."""
    for rate in (stream.guessed_rate, stream.average_rate, stream.base_rate):
        # Tick rates (1000, 90000) pose as frame rates in files of variable rate.
        if rate is not None and 0 < rate <= 300:
            return Fraction(rate)
    return Fraction(25)


def duration(stream: av.VideoStream) -> Fraction | None:
    """Seconds the stream lasts, by its header or the tag Matroska writers leave."""
    if stream.duration is not None and stream.duration > 0 and stream.time_base:
        return stream.duration * Fraction(stream.time_base)
    tag = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if tag is None:
        return None
    return int(tag[1]) * 3600 + int(tag[2]) * 60 + Fraction(tag[3])


def orientation_of(frame: av.VideoFrame) -> Orientation | None:
    """How a picture is to be turned; None where its display matrix has a slanted angle."""
    try:
        matrices = [data for name, data in _side_data(frame) if name == "DISPLAYMATRIX"]
    except ValueError:
        # Side data newer than this PyAV; its own reading of the angle still works.
        return orientation.from_rotation(frame.rotation)
    return orientation.from_display_matrix(matrices[-1]) if matrices else orientation.UPRIGHT


def losses(frame: av.VideoFrame, stream: av.VideoStream) -> list[str]:
    """What travels beside the samples and is not kept, in words."""
    lost = []
    if stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) == "1":
        lost.append("the alpha channel")
    try:
        lost += [_HDR[name] for name, _ in _side_data(frame) if name in _HDR]
    except ValueError:
        lost.append("metadata of a kind unknown to this PyAV")
    return lost


def _side_data(frame: av.VideoFrame) -> list[tuple[str, bytes]]:
    """Name and payload of each; PyAV raises ValueError at types it does not know."""
    # Annotated as one entry; it is the mapping of all.
    container = cast(SideDataContainer, frame.side_data)
    return [(container[i].type.name, bytes(container[i])) for i in range(len(container))]
