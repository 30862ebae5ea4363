"""Properties of a video stream and its first picture: duration, orientation, losses.

A stream must not be asked once its container is closed, so all properties are read at opening.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import cast

import av
from av.sidedata.sidedata import SideDataContainer

from nvcodec.video.sources import orientation
from nvcodec.video.sources.orientation import Orientation

_HDR = {
    "DOVI_RPU_BUFFER": "Dolby Vision metadata",
    "DYNAMIC_HDR_PLUS": "HDR10+ metadata",
    "DYNAMIC_HDR_VIVID": "HDR Vivid metadata",
    "MASTERING_DISPLAY_METADATA": "mastering display metadata",
    "CONTENT_LIGHT_LEVEL": "content light level metadata",
}


def duration(stream: av.VideoStream) -> Fraction | None:
    """Return the duration of a stream, seconds, from its header or the tag of Matroska muxers."""
    if stream.duration is not None and stream.duration > 0 and stream.time_base:
        return stream.duration * Fraction(stream.time_base)
    tag = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if tag is None:
        return None
    return int(tag[1]) * 3600 + int(tag[2]) * 60 + Fraction(tag[3])


def orientation_of(frame: av.VideoFrame) -> Orientation | None:
    """Return the orientation in which a picture is shown; None if its angle is slanted."""
    if isinstance(frame.opaque, Orientation):
        return frame.opaque  # `VideoFile` has read it from the file
    try:
        matrices = [data for name, data in _side_data(frame) if name == "DISPLAYMATRIX"]
    except ValueError:
        # This PyAV does not know some side data, but its own reading of the angle works.
        return orientation.from_rotation(frame.rotation)
    return orientation.from_display_matrix(matrices[-1]) if matrices else orientation.UPRIGHT


def losses(frame: av.VideoFrame, stream: av.VideoStream) -> list[str]:
    """Return what of a picture besides its samples is lost, in words; empty if nothing."""
    lost = []
    if stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) == "1":
        lost.append("the alpha channel")
    try:
        lost += [_HDR[name] for name, _ in _side_data(frame) if name in _HDR]
    except ValueError:
        lost.append("metadata of a kind unknown to this PyAV")
    return lost


def _side_data(frame: av.VideoFrame) -> list[tuple[str, bytes]]:
    """Return name and payload of each item; PyAV raises ValueError at types it does not know."""
    # PyAV annotates it as a single item; it is the container of all items.
    container = cast(SideDataContainer, frame.side_data)
    return [(container[i].type.name, bytes(container[i])) for i in range(len(container))]
