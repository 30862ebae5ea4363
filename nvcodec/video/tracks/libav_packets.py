"""Packets of a track, from libav and back."""

from __future__ import annotations

from fractions import Fraction
from typing import get_args

import av
from av.packet import PacketSideData, PktSideDataT
from av.stream import Stream

from nvcodec.media import Packet

SKIP_SAMPLES = 11
"""libavcodec's type of the side data that says how many samples of a packet are not played."""
_SIDE_DATA_TYPES: tuple[str, ...] = get_args(PktSideDataT)
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


def stored_packet(source: av.Packet[Stream]) -> Packet:
    """Return a packet that libav has read, with all its side data.

    Args:
        source: The packet.
    """
    try:
        side = tuple(
            (_SIDE_DATA_TYPES.index(item.data_type), bytes(item)) for item in source.iter_sidedata()
        )
    except (ValueError, IndexError):
        side = ()  # a type that this PyAV does not know
    return Packet(
        data=bytes(source),
        pts=source.pts,
        dts=source.dts,
        duration=max(source.duration or 0, 0),
        keyframe=source.is_keyframe,
        side_data=side,
    )
