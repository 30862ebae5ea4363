"""Clocks that jump: transport and program streams joined with `cat`, recordings cut in two.

Where the clock of a file jumps back, or far forward, another *part* of the file begins. All tracks
of a part are shifted alike, so that none of them overlaps the part before: picture and sound stay
together. The file is read once, without decoding, to find the parts. Whoever reads packets of the
file, for pictures or for tracks, then shifts them by the same amounts.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet as AvPacket

from nvcodec.video.sources.clock_jump_scan import JumpScan, is_marker

_DOUBTFUL = 3  # packets before a jump that libav may take for damaged
_LARGEST = 1 << 62  # ticks
_DISCONTINUOUS = 0x0200  # AVFMT_TS_DISCONT of libavformat


def can_jump(container: InputContainer) -> bool:
    """Return whether the format of a file allows that its clock jumps."""
    return bool(container.format.flags & _DISCONTINUOUS)


class ClockJumps:
    """Shifts of the packets of a file whose clock jumps; `scan` finds them.

    Args:
        shifts: Number of the first packet of each part, and the ticks to add from there on, for
            each stream that is shifted.
        count: Number of jumps.
        duration: Time from the first packet to the end of the last, seconds; None without jumps.

    Attributes:
        count: Number of jumps.
        duration: Time from the first packet to the end of the last, seconds; None without jumps.
    """

    def __init__(
        self,
        shifts: dict[int, list[tuple[int, int]]] | None = None,
        count: int = 0,
        duration: Fraction | None = None,
    ) -> None:
        self.count, self.duration = count, duration
        self._shifts = shifts or {}
        self._seen: Counter[int] = Counter()
        self._position: Counter[int] = Counter()

    @classmethod
    def scan(cls, container: InputContainer) -> ClockJumps:
        """Find the jumps of a file.

        Args:
            container: The file, opened for this purpose; it is read to its end.
        """
        scan = JumpScan(container)
        try:
            for packet in container.demux():
                scan.add(packet)
        except av.FFmpegError:
            # Whoever reads the packets for their contents reports the damage.
            return cls(*scan.result())
        return cls(*scan.result())

    def for_another_pass(self) -> ClockJumps:
        """Return the same shifts for another pass over the packets."""
        return ClockJumps(self._shifts, self.count, self.duration)

    def shift(self, packet: AvPacket[Any]) -> bool:
        """Shift the times of the next packet.

        Args:
            packet: Packet of any stream; all packets of a stream come, in the order of the file.

        Returns:
            Whether the clock jumps shortly behind this packet. libav then takes the packet for
            damaged, because the packet counter of the file jumps, too.
        """
        index = packet.stream_index
        shifts = self._shifts.get(index)
        if not shifts or is_marker(packet):
            return False
        number, position = self._seen[index], self._position[index]
        self._seen[index] += 1
        while position < len(shifts) and shifts[position][0] <= number:
            position += 1
        self._position[index] = position
        ticks = shifts[position - 1][1] if position else 0
        packet.pts, packet.dts = _moved(packet.pts, ticks), _moved(packet.dts, ticks)
        return position < len(shifts) and shifts[position][0] - number <= _DOUBTFUL

    def warnings(self) -> list[str]:
        """Return a line about the jumps, or none."""
        if not self.count:
            return []
        jumps = "once" if self.count == 1 else f"{self.count} times"
        line = (
            f"the clock of the file jumps {jumps}, as if files were joined; behind a jump, pictures "
            "and sound are shifted alike to follow those before it"
        )
        return [line]


def _moved(stamp: int | None, ticks: int) -> int | None:
    """Return a time that is shifted, unless a damaged file leads beyond 64 bits."""
    if stamp is None or not -_LARGEST < stamp + ticks < _LARGEST:
        return stamp
    return stamp + ticks
