"""Finds the sections of an `.nvc` file that has no usable index: unfinished, cut or damaged.

Owns the search for the next intact section after a damaged one, and the account of which frames
were lost. The work and the memory are linear in the size of the file, whatever its bytes are. The
rules are `docs/bitstream.md`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from nvcodec.container.byte_source import ByteSource
from nvcodec.container.checks import refuse_unknown
from nvcodec.container.damage import Damage, DamageKind
from nvcodec.container.framing import TYPE_SIZE, Framing
from nvcodec.container.header import END, HEADER, INDEX, KNOWN, PACKETS, SEGMENT, TRACK
from nvcodec.container.index import MAX_SECTIONS, Entry, read_end, read_index
from nvcodec.container.segment_section import SUMMARY_SIZE, read_summary
from nvcodec.errors import BitstreamError, TruncatedStreamError, UnsupportedVersionError

_CHUNK = 2**20
_TYPES = re.compile(b"|".join(kind.encode("ascii") for kind in sorted(KNOWN)))
_FRAMELESS = KNOWN - {SEGMENT}
_HASH_FACTOR = 8
"""A scan hashes at most this many times the size of the file: hostile bytes can hold a candidate
section every few bytes, each claiming megabytes."""
_MAX_FAILURES = 2**16
"""Most candidates that turn out to be none, and most damaged stretches, before the rest is given up.
Chance makes one candidate in half a gigabyte."""


def holds_section(source: ByteSource, position: int) -> bool:
    """Whether an intact section of a known type starts at `position` or later."""
    return _Scanner(source).search(position) < source.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a search through a whole file found.

    Attributes:
        entries: Intact sections in file order, without index and end.
        damage: Everything else.
        finished: The end section is there.
    """

    entries: tuple[Entry, ...]
    damage: tuple[Damage, ...]
    finished: bool


def scan(source: ByteSource, header: Framing) -> Scan:
    """Look at every section of a file, intact or not.

    Raises:
        UnsupportedVersionError: If the file holds an unknown critical section.
    """
    return _Scanner(source).run(header)


class _Scanner:
    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._hash_left = _HASH_FACTOR * source.size + _CHUNK
        self._failures_left = _MAX_FAILURES
        self._entries: list[Entry] = []
        self._damage: list[Damage] = []
        self._suspects: list[int] = []  # damage since the last segment, which may hold frames
        self._tracks: set[int] = set()
        self._next_frame = 0
        self._last_start: int | None = None
        self._index: Framing | None = None
        self._total: int | None = None  # frames according to that index

    def run(self, header: Framing) -> Scan:
        self._entries.append(Entry(kind=HEADER, offset=header.offset, size=header.size))
        position, finished = header.end, False
        while position < self._source.size and not finished:
            if len(self._entries) > MAX_SECTIONS or len(self._damage) >= _MAX_FAILURES:
                reason = "too many sections or too much damage, the rest is given up"
                rest = self._source.size - position
                self._report(DamageKind.UNREADABLE, "", position, rest, reason)
                break
            found = self._intact(position)
            if found is None:
                position = self._skip(position)
                continue
            try:
                finished = self._accept(found)
            except UnsupportedVersionError:
                raise
            except BitstreamError as error:
                self._report(DamageKind.MALFORMED, found.kind, position, found.size, str(error))
            position = found.end
        if finished and position < self._source.size:
            self._damage.append(
                Damage(
                    kind=DamageKind.TRAILING,
                    section="",
                    offset=position,
                    size=self._source.size - position,
                    reason="bytes follow the end section",
                )
            )
        self._account_for_the_end(finished)
        return Scan(entries=tuple(self._entries), damage=tuple(self._damage), finished=finished)

    def _intact(self, position: int) -> Framing | None:
        """The section at this byte if it is whole and its CRC matches."""
        try:
            found = self._source.framing(position)
            self._hash_left -= found.size
            if self._hash_left < 0:
                return None
            self._source.check(found)
        except BitstreamError:
            return None
        return found

    def _skip(self, position: int) -> int:
        """Report the damage at `position`; returns the byte to go on at."""
        size = self._source.size
        try:
            found = self._source.framing(position)
        except TruncatedStreamError as error:
            kind, reason = DamageKind.TRUNCATED, str(error)
        except BitstreamError as error:
            kind, reason = DamageKind.UNREADABLE, str(error)
        else:
            # The length is believed if it leads to another section or to the end.
            if found.end == size or self._intact(found.end):
                reason = "the CRC-32 does not match"
                self._report(DamageKind.CHECKSUM, found.kind, position, found.size, reason)
                return found.end
            kind, reason = DamageKind.UNREADABLE, "neither CRC-32 nor length can be right"
        name = self._source.read(position, min(TYPE_SIZE, size - position))
        section = name.decode("ascii") if name in {kind.encode() for kind in KNOWN} else ""
        following = self.search(position + 1)
        if following < size and kind is DamageKind.TRUNCATED:
            kind = DamageKind.UNREADABLE
        self._report(kind, section, position, following - position, reason)
        return following

    def search(self, position: int) -> int:
        """The next byte where an intact section of a known type starts, else the file's size."""
        size, step = self._source.size, 256
        while position < size:
            # Steps grow from small: a search that ends soon must not have read much.
            chunk = self._source.read(position, min(step, size - position))
            for match in _TYPES.finditer(chunk):
                if self._intact(position + match.start()):
                    return position + match.start()
                self._failures_left -= 1
                if self._hash_left < 0 or self._failures_left < 0:
                    return size
            if position + len(chunk) == size:
                break
            position += len(chunk) - (TYPE_SIZE - 1)
            step = min(2 * step, _CHUNK)
        return size

    def _accept(self, found: Framing) -> bool:
        """Enter an intact section; returns whether it is the end."""
        entry = Entry(kind=found.kind, offset=found.offset, size=found.size)
        if self._index and found.kind != END:
            self._misplaced(self._index, "an index that is not followed by the end section")
            self._index = self._total = None
        if found.kind == SEGMENT:
            return self._accept_segment(found, entry)
        if found.kind == INDEX:
            self._total = sum(
                entry.segment.frames
                for entry in read_index(self._source.payload(found)).entries
                if entry.segment
            )
            self._index = found
            return False
        if found.kind == END:
            return self._accept_end(found)
        refuse_unknown(found.kind, found.offset)
        if found.kind == HEADER:
            self._misplaced(found, "a second header")
            return False
        if found.kind == TRACK:
            track = self._source.prefix(found, 1).u8("track")
            if track in self._tracks:
                self._misplaced(found, f"track {track} is described twice")
                return False
            self._tracks.add(track)
        if found.kind == PACKETS:
            entry = replace(entry, track=self._source.prefix(found, 1).u8("track"))
        self._entries.append(entry)
        return False

    def _accept_segment(self, found: Framing, entry: Entry) -> bool:
        summary = read_summary(self._source.prefix(found, SUMMARY_SIZE))
        first, start = summary.first_frame, summary.start
        if first < self._next_frame or (self._last_start is not None and start <= self._last_start):
            self._misplaced(
                found, f"frames from {first} at {start} ticks do not follow {self._next_frame - 1}"
            )
            return False
        self._lose_frames(first, found.offset)
        self._next_frame = first + summary.frames
        self._last_start = start
        self._entries.append(replace(entry, segment=summary))
        return False

    def _accept_end(self, found: Framing) -> bool:
        index_size = read_end(self._source.payload(found))
        if not self._suspects and self._total is None:
            self._damage.append(
                Damage(
                    kind=DamageKind.MISSING,
                    section=INDEX,
                    offset=found.offset,
                    size=0,
                    reason="no index before the end section",
                )
            )
        for number in self._suspects:
            # A damaged stretch that is exactly the index holds no frames.
            damage = self._damage[number]
            if damage.offset + damage.size == found.offset and damage.size == index_size:
                self._damage[number] = replace(damage, section=INDEX)
        return True

    def _account_for_the_end(self, finished: bool) -> None:
        size = self._source.size
        last = self._damage[-1] if self._damage else None
        if not finished and (last is None or last.offset + last.size < size):
            self._report(DamageKind.TRUNCATED, END, size, 0, "the file ends before its end section")
        if self._total is not None:
            self._lose_frames(self._total, size)
        else:
            for number in self._suspects:
                damage = self._damage[number]
                if damage.size == 0 or damage.section not in (INDEX, END):
                    self._damage[number] = replace(damage, frames=(self._next_frame, None))

    def _lose_frames(self, until: int, offset: int) -> None:
        """Blame the damage since the last segment for the frames missing before `until`."""
        if until > self._next_frame:
            lost = (self._next_frame, until)
            likely = [n for n in self._suspects if self._damage[n].section not in _FRAMELESS]
            for number in likely or self._suspects:
                self._damage[number] = replace(self._damage[number], frames=lost)
            if not self._suspects:
                self._damage.append(
                    Damage(
                        kind=DamageKind.MISSING,
                        section=SEGMENT,
                        offset=offset,
                        size=0,
                        reason="no section holds these frames",
                        frames=lost,
                    )
                )
        self._suspects.clear()

    def _misplaced(self, found: Framing, reason: str) -> None:
        self._damage.append(
            Damage(
                kind=DamageKind.MISPLACED,
                section=found.kind,
                offset=found.offset,
                size=found.size,
                reason=reason,
            )
        )

    def _report(self, kind: DamageKind, section: str, offset: int, size: int, reason: str) -> None:
        self._suspects.append(len(self._damage))
        self._damage.append(
            Damage(kind=kind, section=section, offset=offset, size=size, reason=reason)
        )
