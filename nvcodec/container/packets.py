"""Packet sections of an `.nvc` file: compressed audio and subtitles, as bytes and back.

The layout is specified in `docs/bitstream.md`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nvcodec.container.fields import MAX_TERM, Cursor, Payload
from nvcodec.container.framing import MAX_TICKS
from nvcodec.container.section_types import PACKETS
from nvcodec.container.track_sections import MAX_TRACKS
from nvcodec.media import Packet

MAX_SIDE_DATA = 255
MAX_PACKETS = 2**16
PACKETS_TARGET = 2**20
"""Bytes of packet data after which a writer starts another section."""

_KEYFRAME, _NO_PTS, _PTS, _DTS, _NO_DTS, _DURATION, _SIDE_DATA = (1 << bit for bit in range(7))


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketsSection:
    """Consecutive packets of one track.

    Attributes:
        track: Number of the track.
        packets: Packets in the order of the source.
    """

    track: int
    packets: tuple[Packet, ...]


def write_packets(track: int, packets: Sequence[Packet]) -> Iterator[bytes]:
    """Yield the payloads of the pack sections for these packets, `MAX_PACKETS` or 1 MiB at a time.

    Args:
        track: Number of the track, 0 to 255.
        packets: Packets in the order of the source; timestamps and durations below 2**61 in
            magnitude.

    Raises:
        ConfigError: If a field is outside the range the format allows.
    """
    start = 0
    while start < len(packets):
        # The number of packets precedes them, so they are counted first.
        stop, size = start, 0
        limit = min(len(packets), start + MAX_PACKETS)
        while stop < limit and size < PACKETS_TARGET:
            size += len(packets[stop].data)
            stop += 1
        out = Payload(PACKETS)
        out.u8("track", track, 0, MAX_TRACKS - 1)
        out.varint("packets", stop - start)
        expected = duration = 0
        for packet in packets[start:stop]:
            expected = _write_packet(out, packet, expected, duration)
            duration = packet.duration
        yield bytes(out)
        start = stop


def read_packets(cursor: Cursor) -> PacketsSection:
    """Read the payload of one pack section.

    Raises:
        BitstreamError: If the section is malformed.
    """
    track = cursor.u8("track")
    # A packet takes at least two bytes, flags and size, which bounds the allocation.
    count = cursor.varint("packets", 0, min(MAX_PACKETS, cursor.remaining // 2))
    packets: list[Packet] = []
    expected = duration = 0
    for _ in range(count):
        packet, expected = _read_packet(cursor, expected, duration)
        duration = packet.duration
        packets.append(packet)
    cursor.finish()
    return PacketsSection(track=track, packets=tuple(packets))


def _write_packet(out: Payload, packet: Packet, expected: int, duration: int) -> int:
    """Append one packet and return the timestamp expected for the next one."""
    pts, dts = packet.pts, packet.dts
    # Without a flag dts equals pts; both may be absent.
    flags = (
        (_KEYFRAME if packet.keyframe else 0)
        | (_NO_PTS if pts is None else _PTS if pts != expected else 0)
        | (0 if dts == pts else _NO_DTS if dts is None else _DTS)
        | (_DURATION if packet.duration != duration else 0)
        | (_SIDE_DATA if packet.side_data else 0)
    )
    out.u8("packet flags", flags)
    reference = expected
    if pts is not None:
        reference = out.check("pts", pts, -MAX_TICKS, MAX_TICKS)
    if flags & _PTS:
        out.signed("pts", reference - expected)
    if dts is not None and flags & _DTS:
        out.signed("dts", out.check("dts", dts, -MAX_TICKS, MAX_TICKS) - reference)
    if flags & _DURATION:
        out.varint("duration", packet.duration, 0, MAX_TICKS)
    if flags & _SIDE_DATA:
        out.varint("side data", len(packet.side_data), 1, MAX_SIDE_DATA)
        for kind, data in packet.side_data:
            out.varint("side data type", kind, 0, MAX_TERM)
            out.sized("side data", data, MAX_TERM)
    out.sized("packet", packet.data, MAX_TERM)
    return _next_expected(pts, dts, expected, packet.duration)


def _read_packet(cursor: Cursor, expected: int, duration: int) -> tuple[Packet, int]:
    start = cursor.offset
    flags = cursor.u8("packet flags", 0, 0x7F)
    if (flags & _NO_PTS and flags & _PTS) or (flags & _NO_DTS and flags & _DTS):
        raise cursor.error(f"packet flags {flags:#04x} contradict themselves", start)
    pts: int | None = None
    if not flags & _NO_PTS:
        pts = expected + (cursor.signed("pts") if flags & _PTS else 0)
    dts = pts
    if flags & _NO_DTS:
        dts = None
    elif flags & _DTS:
        dts = (expected if pts is None else pts) + cursor.signed("dts")
    if max(abs(pts or 0), abs(dts or 0)) > MAX_TICKS:
        raise cursor.error(f"packet times {pts} and {dts} are beyond {MAX_TICKS}", start)
    if flags & _DURATION:
        duration = cursor.varint("duration", 0, MAX_TICKS)
    side_data: list[tuple[int, bytes]] = []
    if flags & _SIDE_DATA:
        for _ in range(cursor.varint("side data", 1, MAX_SIDE_DATA)):
            kind = cursor.varint("side data type", 0, MAX_TERM)
            side_data.append((kind, cursor.sized("side data", MAX_TERM)))
    packet = Packet(
        data=cursor.sized("packet", MAX_TERM),
        pts=pts,
        dts=dts,
        duration=duration,
        keyframe=bool(flags & _KEYFRAME),
        side_data=tuple(side_data),
    )
    return packet, _next_expected(pts, dts, expected, duration)


def _next_expected(pts: int | None, dts: int | None, expected: int, duration: int) -> int:
    time = pts if pts is not None else dts if dts is not None else expected
    # The bound makes every difference to it fit 64 bits.
    return min(time + duration, 2 * MAX_TICKS)
