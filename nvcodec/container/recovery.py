"""Recovery of an `.nvc` file without a usable index: unfinished, cut or damaged.

Owns the search for the next intact section after a damaged one, and the record of lost frames. Time
and memory are linear in the size of the file, whatever its bytes are. The rules are specified in
`docs/bitstream.md`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from nvcodec.container.byte_source import ByteSource
from nvcodec.container.checks import refuse_unknown
from nvcodec.container.damage import Damage, DamageKind
from nvcodec.container.framing import TYPE_SIZE, Framing
from nvcodec.container.index import MAX_SECTIONS, read_end, read_index
from nvcodec.container.section_list import IndexEntry, SectionCollector, SectionList
from nvcodec.container.section_types import (
    END,
    HEADER,
    INDEX,
    PACKETS,
    SECTION_TYPES,
    SEGMENT,
    TRACK,
)
from nvcodec.container.segment_section import SUMMARY_SIZE, read_summary
from nvcodec.errors import BitstreamError, TruncatedStreamError, UnsupportedVersionError

_CHUNK = 2**20
_TYPES = re.compile(b"|".join(kind.encode("ascii") for kind in sorted(SECTION_TYPES)))
_FRAMELESS = SECTION_TYPES - {SEGMENT}
_HASH_FACTOR = 8
"""Most bytes that a scan hashes, as a multiple of the file's size: hostile bytes can hold a
candidate section every few bytes, each of which claims megabytes."""
_MAX_FAILURES = 2**16
"""Most false candidates, and most damaged ranges, before a scan gives up the rest of the file.
Random bytes hold one candidate in half a gigabyte."""


def holds_section(source: ByteSource, position: int) -> bool:
    """Return whether an intact section of a known type starts at byte `position` or later."""
    return _Scanner(source).search(position) < source.size


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """Result of a scan of a whole file.

    Attributes:
        entries: Intact sections in file order, without index and end.
        damage: Damaged and missing parts, in file order.
        finished: Whether the file has its end section.
    """

    entries: SectionList
    damage: tuple[Damage, ...]
    finished: bool


def scan(source: ByteSource, header: Framing) -> ScanResult:
    """Check every section of a file and search for the next one behind damage.

    Args:
        source: The file.
        header: Position of its header section, which is checked already.

    Raises:
        UnsupportedVersionError: If the file holds an unknown critical section.
    """
    return _Scanner(source).run(header)


class _Scanner:
    """State of a scan: the sections found so far, and the work that is left to spend."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._hash_left = _HASH_FACTOR * source.size + _CHUNK
        self._failures_left = _MAX_FAILURES
        self._entries = SectionCollector()
        self._damage: list[Damage] = []
        # Positions in `_damage` of damage since the last segment, which may have held frames.
        self._suspects: list[int] = []
        self._tracks: set[int] = set()
        self._next_frame = 0
        self._last_start: int | None = None
        self._index: Framing | None = None
        self._total: int | None = None  # number of frames that this index states

    def run(self, header: Framing) -> ScanResult:
        """Scan the file from the end of its header."""
        self._entries.append(IndexEntry(kind=HEADER, offset=header.offset, size=header.size))
        position, finished = header.end, False
        while position < self._source.size and not finished:
            if len(self._entries) > MAX_SECTIONS or len(self._damage) >= _MAX_FAILURES:
                reason = "too many sections or too much damage, the rest is given up"
                rest = self._source.size - position
                self._report(DamageKind.UNREADABLE, "", position, rest, reason)
                break
            framing = self._intact(position)
            if framing is None:
                position = self._skip(position)
                continue
            try:
                finished = self._accept(framing)
            except UnsupportedVersionError:
                raise
            except BitstreamError as error:
                self._report(DamageKind.MALFORMED, framing.kind, position, framing.size, str(error))
            position = framing.end
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
        self._finish(finished)
        return ScanResult(
            entries=self._entries.sections(), damage=tuple(self._damage), finished=finished
        )

    def _intact(self, position: int) -> Framing | None:
        """Return the section at this byte if it is whole and its CRC matches."""
        try:
            framing = self._source.framing(position)
            self._hash_left -= framing.size
            if self._hash_left < 0:
                return None
            self._source.check_crc(framing)
        except BitstreamError:
            return None
        return framing

    def _skip(self, position: int) -> int:
        """Report the damage at `position` and return the byte to continue at."""
        size = self._source.size
        try:
            framing = self._source.framing(position)
        except TruncatedStreamError as error:
            kind, reason = DamageKind.TRUNCATED, str(error)
        except BitstreamError as error:
            kind, reason = DamageKind.UNREADABLE, str(error)
        else:
            # The length is trusted if it leads to another section or to the end.
            if framing.end == size or self._intact(framing.end):
                reason = "the CRC-32 does not match"
                self._report(DamageKind.CHECKSUM, framing.kind, position, framing.size, reason)
                return framing.end
            kind, reason = DamageKind.UNREADABLE, "neither CRC-32 nor length can be right"
        name = self._source.read(position, min(TYPE_SIZE, size - position))
        section = name.decode("ascii") if name in {kind.encode() for kind in SECTION_TYPES} else ""
        following = self.search(position + 1)
        if following < size and kind is DamageKind.TRUNCATED:
            kind = DamageKind.UNREADABLE
        self._report(kind, section, position, following - position, reason)
        return following

    def search(self, position: int) -> int:
        """Return the next byte where an intact section starts, else the file's size."""
        size, chunk_size = self._source.size, 256
        while position < size:
            # Chunks grow from a small size, so that a short search reads little.
            chunk = self._source.read(position, min(chunk_size, size - position))
            for match in _TYPES.finditer(chunk):
                if self._intact(position + match.start()):
                    return position + match.start()
                self._failures_left -= 1
                if self._hash_left < 0 or self._failures_left < 0:
                    return size
            if position + len(chunk) == size:
                break
            position += len(chunk) - (TYPE_SIZE - 1)
            chunk_size = min(2 * chunk_size, _CHUNK)
        return size

    def _accept(self, framing: Framing) -> bool:
        """Add an intact section to the table and return whether it is the end section."""
        entry = IndexEntry(kind=framing.kind, offset=framing.offset, size=framing.size)
        if self._index and framing.kind != END:
            self._misplaced(self._index, "an index that is not followed by the end section")
            self._index = self._total = None
        if framing.kind == SEGMENT:
            return self._accept_segment(framing, entry)
        if framing.kind == INDEX:
            listed = read_index(self._source.payload(framing)).entries
            self._total = int(listed.records["frames"].sum())
            self._index = framing
            return False
        if framing.kind == END:
            return self._accept_end(framing)
        refuse_unknown(framing.kind, framing.offset)
        if framing.kind == HEADER:
            self._misplaced(framing, "a second header")
            return False
        if framing.kind == TRACK:
            track = self._source.payload_prefix(framing, 1).u8("track")
            if track in self._tracks:
                self._misplaced(framing, f"track {track} is described twice")
                return False
            self._tracks.add(track)
        if framing.kind == PACKETS:
            entry = replace(entry, track=self._source.payload_prefix(framing, 1).u8("track"))
        self._entries.append(entry)
        return False

    def _accept_segment(self, framing: Framing, entry: IndexEntry) -> bool:
        summary = read_summary(self._source.payload_prefix(framing, SUMMARY_SIZE))
        first, start = summary.first_frame, summary.start
        if first < self._next_frame or (self._last_start is not None and start <= self._last_start):
            self._misplaced(
                framing,
                f"frames from {first} at {start} ticks do not follow {self._next_frame - 1}",
            )
            return False
        self._lose_frames(first, framing.offset)
        self._next_frame = first + summary.frames
        self._last_start = start
        self._entries.append(replace(entry, segment=summary))
        return False

    def _accept_end(self, framing: Framing) -> bool:
        index_size = read_end(self._source.payload(framing))
        if not self._suspects and self._total is None:
            self._damage.append(
                Damage(
                    kind=DamageKind.MISSING,
                    section=INDEX,
                    offset=framing.offset,
                    size=0,
                    reason="no index before the end section",
                )
            )
        for number in self._suspects:
            # A damaged range that is exactly the index holds no frames.
            damage = self._damage[number]
            if damage.offset + damage.size == framing.offset and damage.size == index_size:
                self._damage[number] = replace(damage, section=INDEX)
        return True

    def _finish(self, finished: bool) -> None:
        """Record the frames and sections that are missing at the end of the file."""
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
        """Attribute the frames missing before `until` to the damage since the last segment."""
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

    def _misplaced(self, framing: Framing, reason: str) -> None:
        self._damage.append(
            Damage(
                kind=DamageKind.MISPLACED,
                section=framing.kind,
                offset=framing.offset,
                size=framing.size,
                reason=reason,
            )
        )

    def _report(self, kind: DamageKind, section: str, offset: int, size: int, reason: str) -> None:
        """Record damage that may have held frames."""
        self._suspects.append(len(self._damage))
        self._damage.append(
            Damage(kind=kind, section=section, offset=offset, size=size, reason=reason)
        )
