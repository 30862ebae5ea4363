"""The last frame of a TTA track in Matroska, which libav cannot decode.

A TTA frame lasts about a second, the last one less. How many samples it has stands in the header of
a TTA file, which Matroska does not hold; libav fills in the duration of the whole Matroska file
instead. Where that is another one, its decoder reads beyond the frame's end. A decoder that is told
the right number stops exactly there, so the number is found by trying those that round to the
packet's duration.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import av

# Where the header states the number of samples, 32 bits, little-endian.
_SAMPLES = slice(14, 18)


def decode_last_frame(
    header: bytes | None, packet: av.Packet[Any], rate: int
) -> list[av.AudioFrame]:
    """Decode the last packet of a track.

    Args:
        header: Header of the track, as libav made it.
        packet: The packet, with its duration.
        rate: Samples per second.

    Returns:
        Its samples; nothing if the packet cannot be decoded.
    """
    if header is None or not packet.duration or packet.time_base is None:
        return []
    tick = Fraction(packet.time_base)
    stated, spread = round(packet.duration * tick * rate), math.ceil(tick * rate)
    near = range(max(stated - spread, 1), stated + spread + 1)
    for samples in sorted(near, key=lambda count: abs(count - stated)):
        context = av.CodecContext.create("tta", "r")
        assert isinstance(context, av.AudioCodecContext)
        number = samples.to_bytes(4, "little")
        context.extradata = header[: _SAMPLES.start] + number + header[_SAMPLES.stop :]
        try:
            return context.decode(packet)
        except (av.FFmpegError, ValueError):
            continue
    return []
