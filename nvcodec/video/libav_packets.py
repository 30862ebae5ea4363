"""Packets of a track as libav has them."""

from __future__ import annotations

from fractions import Fraction

import av
from av.packet import PacketSideData
from av.stream import Stream

from nvcodec.media import Packet

SKIP_SAMPLES = 11
"""libavcodec's type of the side data that says how many samples of a packet are not played."""
# Side data that muxers store, and the size they assume without a check (None: text of any length).
_STORED_SIDE_DATA: dict[int, int | None] = {SKIP_SAMPLES: 10, 16: None, 17: None}


def libav_packet(packet: Packet, time_base: Fraction) -> av.Packet[Stream]:
    """Return a packet for a decoder or a muxer, with the side data that both understand.

    Args:
        packet: Packet of a track.
        time_base: Seconds per tick of the track.
    """
    copy: av.Packet[Stream] = av.Packet(packet.data)
    copy.time_base = time_base
    copy.pts, copy.dts = packet.pts, packet.dts
    copy.duration = packet.duration
    copy.is_keyframe = packet.keyframe
    for kind, data in packet.side_data:
        size = _STORED_SIDE_DATA.get(kind, -1)
        if size is None or size == len(data):
            side = PacketSideData(kind, len(data))  # type: ignore[call-arg]
            side.update(data)
            copy.set_sidedata(side)
    return copy
