"""Search for the jumps of a file's clock; see `nvcodec.video.sources.clock_jumps`.

A stream jumps where its time goes back, or far forward, and the packet behind confirms it. The
first stream that jumps begins a part, and the other streams enter it when their times get close to
its clock. libav delivers a packet when the next one begins, so streams do not enter at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from typing import Any

from av.container import InputContainer
from av.packet import Packet as AvPacket

_BACK = Fraction(1, 10)  # seconds back that are a jump; less is taken for jitter
_FORWARD = Fraction(10)  # seconds forward that are a jump; less is taken for a gap
_JITTER = Fraction(1, 100)  # seconds that a clock is off without a jump, where one is expected
_WRAP = 1 << 33
_WRAPPING = ("mpegts", "mpeg")  # formats whose clock has 33 bits, at 90 kHz


def is_marker(packet: AvPacket[Any]) -> bool:
    """Return whether a packet is the marker at the end of a stream, which the file does not hold."""
    return packet.size == 0 and packet.dts is None and packet.pts is None


@dataclass(frozen=True, slots=True)
class _Times:
    """Times of a packet in units that all streams have in common.

    Attributes:
        number: Number of the packet in its stream.
        time: Decoding time, else presentation time.
        delay: Presentation time less `time`.
        length: Duration, 0 where unknown.
    """

    number: int
    time: int
    delay: int
    length: int


@dataclass(slots=True)
class _Lane:
    """A stream while the file is scanned.

    Attributes:
        leads: Whether jumps are looked for in this stream, because it is audio or video.
        unit: Units per tick.
        count: Number of packets so far.
        part: Number of the part that the stream has reached.
        turns: Units that wraps of the clock add to its times.
        next: Unwrapped time expected of the next packet; None before the first.
        last_length: Duration of the packet before, known or measured.
        held: Packet that jumped and that the packet behind it must confirm.
        begins: Number of the first packet, part, and `turns` from there on.
        starts: Time at which the first packet of each part begins.
        ends: Time at which the last packet of each part ends.
    """

    leads: bool
    unit: int
    count: int = 0
    part: int = 0
    turns: int = 0
    next: int | None = None
    last_length: int = 0
    held: _Times | None = None
    begins: list[tuple[int, int, int]] = field(default_factory=list)
    starts: dict[int, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)


class JumpScan:
    """Assigns the packets of a file to parts.

    Args:
        container: The opened file, whose packets `add` is given in the order of the file.
    """

    def __init__(self, container: InputContainer) -> None:
        bases = {s.index: Fraction(s.time_base) for s in container.streams if s.time_base}
        self._second = lcm(*(base.denominator for base in bases.values()))
        wraps = container.format.name in _WRAPPING
        self._wrap = _WRAP * self._second // 90_000 if wraps else 0
        self._lanes = {
            s.index: _Lane(s.type in ("audio", "video"), int(bases[s.index] * self._second))
            for s in container.streams
            if s.index in bases
        }
        self._newest = 0
        self._clock: dict[int, int] = {}  # latest time of each part

    def add(self, packet: AvPacket[Any]) -> None:
        """Take the next packet of the file."""
        lane = self._lanes.get(packet.stream_index)
        if lane is None or is_marker(packet):
            return
        number = lane.count
        lane.count += 1
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None:
            return
        delay = 0 if packet.pts is None else packet.pts - stamp
        length = max(packet.duration or 0, 0)
        times = _Times(number, stamp * lane.unit, delay * lane.unit, length * lane.unit)
        if not lane.leads:
            self._follow(lane, times)
        elif lane.next is None:
            self._enter(lane, times, self._newest)
        elif lane.held is not None:
            self._settle(lane, lane.held, times)
        elif self._jumps(lane, times.time):
            lane.held = times
        else:
            self._place(lane, times)

    def result(self) -> tuple[dict[int, list[tuple[int, int]]], int, Fraction | None]:
        """Return the shifts, the number of jumps and the duration, as `ClockJumps` takes them."""
        for lane in self._lanes.values():
            if lane.held is not None:
                self._begin_part(lane, lane.held)
        leading = [lane for lane in self._lanes.values() if lane.starts]
        offsets: list[int] = []
        reached: dict[int, int] = {}  # end of each leading stream so far, shifted
        for part in range(self._newest + 1):
            here = {n: lane for n, lane in enumerate(leading) if part in lane.starts}
            overlaps = [reached[n] - lane.starts[part] for n, lane in here.items() if n in reached]
            if not overlaps and reached:  # no stream goes on
                overlaps = [max(reached.values()) - min(x.starts[part] for x in here.values())]
            offsets.append(max(overlaps, default=0))
            for n, lane in here.items():
                reached[n] = max(reached.get(n, 0), lane.ends[part] + offsets[part])
        shifts = {
            index: [
                (first, (turns + offsets[part]) // lane.unit) for first, part, turns in lane.begins
            ]
            for index, lane in self._lanes.items()
            if any(part or turns for _, part, turns in lane.begins)
        }
        if not self._newest:
            return shifts, 0, None
        start = min(lane.starts[0] for lane in leading if 0 in lane.starts)
        return shifts, self._newest, Fraction(max(reached.values()) - start, self._second)

    def _distance(self, time: int, clock: int) -> int:
        """Return how far a time is past a clock, by the nearest turn of the clock."""
        gap = time - clock
        if self._wrap:
            gap = (gap + self._wrap // 2) % self._wrap - self._wrap // 2
        return gap

    def _near(self, time: int, part: int) -> bool:
        """Return whether a time is close to those of a part."""
        clock = self._clock.get(part)
        return clock is not None and abs(self._distance(time, clock)) <= _FORWARD * self._second

    def _jumps(self, lane: _Lane, time: int) -> bool:
        """Return whether the clock of a stream jumps to a time."""
        assert lane.next is not None
        gap = Fraction(self._distance(time, lane.next), self._second)
        if gap < -_BACK:
            return True
        if lane.part < self._newest and self._near(time, self._newest):
            # Another stream has jumped already; this one may have to jump less far.
            return not -_JITTER <= gap <= _BACK
        # A picture after a long pause is no jump where the sound goes on.
        return gap > _FORWARD and not self._near(time, lane.part)

    def _settle(self, lane: _Lane, held: _Times, times: _Times) -> None:
        """Decide about a packet that jumped by the packet behind it."""
        lane.held = None
        far = abs(self._distance(times.time, held.time)) > _BACK * self._second
        if far and not self._jumps(lane, times.time):
            self._place(lane, times)  # a single wrong time, which `Clock` repairs
            return
        self._begin_part(lane, held)
        if self._jumps(lane, times.time):
            lane.held = times
        else:
            self._place(lane, times)

    def _begin_part(self, lane: _Lane, times: _Times) -> None:
        """Let a stream enter the newest part, if another has begun it, or else a new one."""
        if lane.part == self._newest or not self._near(times.time, self._newest):
            self._newest += 1
        self._enter(lane, times, self._newest)

    def _enter(self, lane: _Lane, times: _Times, part: int) -> None:
        time = times.time
        if self._near(time, part):
            time = self._clock[part] + self._distance(time, self._clock[part])
        lane.part, lane.next, lane.turns = part, time, time - times.time
        lane.begins.append((times.number, part, lane.turns))
        self._place(lane, times)

    def _follow(self, lane: _Lane, times: _Times) -> None:
        """Let a subtitle belong to the part that audio or video has reached."""
        if not self._near(times.time, self._newest):
            return
        clock = self._clock[self._newest]
        turns = clock + self._distance(times.time, clock) - times.time
        if not lane.begins or lane.begins[-1][1:] != (self._newest, turns):
            lane.begins.append((times.number, self._newest, turns))

    def _place(self, lane: _Lane, times: _Times) -> None:
        """Take a packet into the part that its stream has reached."""
        assert lane.next is not None
        time = lane.next + self._distance(times.time, lane.next)
        if time - times.time != lane.turns:
            lane.turns = time - times.time
            lane.begins.append((times.number, lane.part, lane.turns))
        length = times.length or lane.last_length
        part, shown = lane.part, time + times.delay
        lane.starts[part] = min(lane.starts.get(part, shown), shown)
        lane.ends[part] = max(lane.ends.get(part, shown), shown + length)
        if not times.length and time > lane.next:
            length += time - lane.next
        lane.next, lane.last_length = time + length, length
        self._clock[part] = max(self._clock.get(part, time), time)
