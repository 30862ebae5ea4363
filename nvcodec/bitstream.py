"""The `.nvc` container: `Reader` for whole files, `read_forward` for pipes, `Writer` to make them.

Owns what a caller sees of the format. A file is a signature, then sections of type, length, payload
and CRC-32: header, tracks, then packets and segments in turns, an index and an end. What a segment's
payload means is not known here, and no network, picture or PyAV object passes through. Normative
description: `docs/bitstream.md`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from math import floor
from types import MappingProxyType, TracebackType
from typing import BinaryIO, final

from nvcodec.errors import BitstreamError, ChecksumError
from nvcodec.forward import read_forward
from nvcodec.layout import (
    Damage,
    DamageKind,
    Source,
    check_header_framing,
    check_preamble,
    indexed,
)
from nvcodec.media import ColourMode, Packet, Track
from nvcodec.packets import PacketsSection, read_packets
from nvcodec.scan import scan
from nvcodec.sections import (
    HEADER,
    INDEX,
    METADATA,
    PACKETS,
    TRACK,
    Header,
    Metadata,
    TokenFormat,
    TrackSection,
    read_header,
    read_metadata,
    read_track,
)
from nvcodec.timeline import END_SIZE, OTHER, Entry, Segment, TokensSection, read_segment
from nvcodec.wire import PREAMBLE, Cursor, Framing
from nvcodec.writer import Resumed, Writer

__all__ = [
    "ColourMode",
    "Damage",
    "DamageKind",
    "Header",
    "Metadata",
    "PacketsSection",
    "Reader",
    "Resumed",
    "Segment",
    "SegmentEntry",
    "TokenFormat",
    "TokensSection",
    "TrackSection",
    "Writer",
    "read_forward",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentEntry:
    """Where a segment lies and what it holds.

    Attributes:
        index: Position in `Reader.segments`.
        first_frame: Number of its first frame in the video.
        frames: Number of frames.
        start: Timestamp of its first frame, ticks of the video's time base.
        predicted: It needs the decoded state of the segment before it.
        offset: Byte offset of the section.
        size: Bytes of the section, framing and timestamps included.
    """

    index: int
    first_frame: int
    frames: int
    start: int
    predicted: bool
    offset: int
    size: int

    @property
    def stop_frame(self) -> int:
        """Number of the frame after its last."""
        return self.first_frame + self.frames


@final
class Reader:
    """Random access to an `.nvc` file.

    A finished file is opened through its index: header, tracks and index are read and checked,
    nothing else, whatever the file's size. Without a usable index every section is looked at once,
    and each whole one stays usable. Not safe for use by several threads at a time.

    Args:
        source: Path, bytes, or binary file whose first byte is the first of the stream. A file that
            cannot seek (a pipe) is first copied to a temporary file.

    Attributes:
        version: Major and minor version of the stream.
        header: The header.
        tracks: Intact tracks by number. Numbers are consecutive from 0 unless one is damaged.
        metadata: Free text, later sections over earlier ones.
        segments: Intact segments in order; where the index says so, also those not yet checked.
        file_bytes: Size of the stream in bytes.

    Raises:
        TruncatedStreamError: If the stream ends before its header does.
        ChecksumError: If the header is damaged.
        UnsupportedVersionError: If the major version, or a critical section, is unknown.
        BitstreamError: If this is not an `.nvc` stream.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes | BinaryIO) -> None:
        with ExitStack() as stack:
            self._source = Source(_seekable(source, stack))
            self.file_bytes = self._source.size
            preamble = self._source.read(0, min(len(PREAMBLE), self._source.size))
            self.version = check_preamble(preamble)
            found = self._source.framing(len(PREAMBLE))
            check_header_framing(found)
            self._source.check(found, before=len(PREAMBLE))
            self.header = read_header(self._source.payload(found), self.version[1])
            self._find_sections(found)
            self._stack = stack.pop_all()

    def _find_sections(self, header: Framing) -> None:
        index = indexed(self._source, header)
        self._damage: list[Damage] = []
        self._reported: set[int] = set()
        self._end: int | None = None
        if index:
            self._entries, self._end = index.entries, index.end
        else:
            found = scan(self._source, header)
            self._entries = found.entries
            self._damage += found.damage
            if found.finished and not found.damage:
                self._damage.append(
                    Damage(
                        kind=DamageKind.MALFORMED,
                        section=INDEX,
                        offset=self._source.size - END_SIZE,
                        size=0,
                        reason="the index before this byte does not describe the file",
                    )
                )
        tracks: dict[int, Track] = {}
        metadata: dict[str, str] = {}
        for entry in self._entries:
            if entry.kind not in (TRACK, METADATA):
                continue
            try:
                cursor = self._cursor(entry)
                if entry.kind == METADATA:
                    metadata |= read_metadata(cursor).entries
                    continue
                section = read_track(cursor)
                if section.index in tracks:
                    raise cursor.error(f"track {section.index} is described twice")
                tracks[section.index] = section.track
            except BitstreamError as error:
                self._report_error(entry, error)
        self.tracks: Mapping[int, Track] = MappingProxyType(tracks)
        self.metadata: Mapping[str, str] = MappingProxyType(metadata)
        segments: list[SegmentEntry] = []
        for entry in self._entries:
            if entry.segment:
                segments.append(
                    SegmentEntry(
                        index=len(segments),
                        first_frame=entry.segment.first_frame,
                        frames=entry.segment.frames,
                        start=entry.segment.start,
                        predicted=entry.segment.predicted,
                        offset=entry.offset,
                        size=entry.size,
                    )
                )
        self.segments = tuple(segments)
        self._segment_entries = tuple(entry for entry in self._entries if entry.segment)
        self._token_entries = self._find_tokens()
        self._last: Segment | None = None

    def _find_tokens(self) -> tuple[Entry | None, ...]:
        """For each segment where its tokens should be: directly before it."""
        if self.header.tokens is None:
            return ()
        kinds = (OTHER, self.header.tokens.section)  # the index does not tell which
        return tuple(
            before if before.kind in kinds and before.offset + before.size == entry.offset else None
            for before, entry in pairwise(self._entries)
            if entry.segment
        )

    @property
    def frame_count(self) -> int:
        """Number of the frame after the last one known; frames lost before it are counted."""
        return self.segments[-1].stop_frame if self.segments else 0

    @property
    def duration(self) -> Fraction:
        """Seconds from the start of the first frame to the end of the last.

        Raises:
            BitstreamError: If there is no index and the last segment is malformed.
        """
        if not self.segments:
            return Fraction(0)
        if self._end is None:
            self._end = self.segment(len(self.segments) - 1).end
        return (self._end - self.segments[0].start) * self.header.video.time_base

    @property
    def damage(self) -> tuple[Damage, ...]:
        """What is known to be missing or damaged; `verify` looks at everything."""
        return tuple(self._damage)

    @property
    def complete(self) -> bool:
        """The file has its end section and no known damage."""
        return not self._damage

    @property
    def track_bytes(self) -> int:
        """Bytes of intact track and packets sections, framing included."""
        return sum(entry.size for entry in self._entries if entry.kind in (TRACK, PACKETS))

    @property
    def token_bytes(self) -> int:
        """Bytes of the sections of tokens, framing included, as far as they are known."""
        return sum(entry.size for entry in self._token_entries if entry)

    @property
    def bytes_read(self) -> int:
        """Bytes read from the file so far; what was read twice counts twice."""
        return self._source.bytes_read

    @property
    def video_bytes(self) -> int:
        """All other bytes of the file: `file_bytes - track_bytes`."""
        return self.file_bytes - self.track_bytes

    def segment(self, index: int) -> Segment:
        """One segment: timestamps, durations and payload. The last one asked for is kept.

        Args:
            index: Position in `segments`, 0 <= index < len(segments).

        Raises:
            IndexError: If there is no such segment.
            ChecksumError: If the section is damaged.
            BitstreamError: If it is malformed.
        """
        if not 0 <= index < len(self.segments):
            raise IndexError(f"segment {index} of {len(self.segments)}")
        known = self.segments[index]
        if self._last and self._last.first_frame == known.first_frame:
            return self._last
        entry = self._segment_entries[index]
        try:
            cursor = self._cursor(entry)
            offset = cursor.offset
            segment = read_segment(cursor)
            listed = (known.first_frame, known.frames, known.start, known.predicted)
            if listed != (
                segment.first_frame,
                segment.frames,
                segment.pts[0],
                segment.predicted,
            ):
                raise cursor.error("the segment is not the one that the index describes", offset)
        except BitstreamError as error:
            self._report_error(entry, error)
            raise
        self._last = segment
        return segment

    def tokens(self, index: int) -> Segment:
        """The tokens of a segment: its timestamps and durations, the tokens coded as `payload`.

        The segment's own section is not read.

        Args:
            index: Position in `segments`, 0 <= index < len(segments).

        Raises:
            IndexError: If there is no such segment.
            ChecksumError: If the section is damaged.
            BitstreamError: If it is malformed or missing.
        """
        if not 0 <= index < len(self.segments):
            raise IndexError(f"segment {index} of {len(self.segments)}")
        known = self.segments[index]
        if self.header.tokens is None:
            raise BitstreamError(f"{HEADER} section, byte {len(PREAMBLE)}: says of no tokens")
        kind = self.header.tokens.section
        entry = self._token_entries[index]
        if entry is None:
            for damage in self._damage:
                if damage.offset < known.offset <= damage.offset + damage.size:
                    raise damage.error()
            raise BitstreamError(
                f"{kind} section, byte {known.offset}: missing before segment {index}"
            )
        lost = self._segment_entries[index].segment if self.header.tokens.fed else None
        entry = replace(entry, kind=kind, segment=lost)
        try:
            cursor = self._source.checked(self._framing(entry))
            offset = cursor.offset
            found = read_segment(cursor)
            listed = (known.first_frame, known.frames, known.start, False)
            if listed != (found.first_frame, found.frames, found.pts[0], found.predicted):
                raise cursor.error("the tokens are not those of the segment behind them", offset)
        except BitstreamError as error:
            self._report_error(entry, error)
            raise
        return found

    def payload(self, index: int) -> bytes:
        """The state of a segment's network, as it was written; see `segment`."""
        return self.segment(index).payload

    def packets(self, track: int, *, skip_damaged: bool = False) -> Iterator[Packet]:
        """The packets of a track, in the order of the source.

        Args:
            track: Number of the track, a key of `tracks`.
            skip_damaged: Leave out sections that are damaged; each is added to `damage`. Sections
                already known to be damaged when the file was opened are always left out.

        Raises:
            ChecksumError: If a section is damaged, unless `skip_damaged`.
            BitstreamError: If it is malformed, unless `skip_damaged`.
        """
        for entry in self._entries:
            if entry.kind != PACKETS or entry.track != track:
                continue
            try:
                cursor = self._cursor(entry)
                section = read_packets(cursor)
                if section.track != track:
                    raise cursor.error(f"packets of track {section.track}, the index says {track}")
            except BitstreamError as error:
                self._report_error(entry, error)
                if skip_damaged:
                    continue
                raise
            yield from section.packets

    def segment_of(self, frame: int) -> SegmentEntry:
        """The segment that holds a frame.

        Args:
            frame: Number of the frame in the video, from 0.

        Raises:
            IndexError: If the video has no such frame, as far as is known.
            ChecksumError: If the section that held it is damaged.
            BitstreamError: If it was lost otherwise.
        """
        position = bisect_right(self.segments, frame, key=lambda entry: entry.first_frame) - 1
        if position >= 0 and frame < self.segments[position].stop_frame:
            return self.segments[position]
        for damage in self._damage:
            if damage.frames and damage.frames[0] <= frame:
                stop = damage.frames[1]
                if stop is None or frame < stop:
                    raise damage.error()
        raise IndexError(f"frame {frame} of {self.frame_count}")

    def segment_at(self, seconds: float | Fraction) -> SegmentEntry:
        """The segment shown at a time; the first or last one for times outside the video.

        Args:
            seconds: Time on the scale of the timestamps: `pts * time_base`. Finite.

        Raises:
            IndexError: If there are no segments.
        """
        if not self.segments:
            raise IndexError("the stream holds no segments")
        ticks = floor(Fraction(seconds) / self.header.video.time_base)
        position = bisect_right(self.segments, ticks, key=lambda entry: entry.start) - 1
        return self.segments[max(position, 0)]

    def needed(self, index: int) -> range:
        """The segments to decode, in order, to have segment `index`: it and those it leans on.

        Raises:
            IndexError: If there is no such segment.
            BitstreamError: If one that it is predicted from was lost.
        """
        if not 0 <= index < len(self.segments):
            raise IndexError(f"segment {index} of {len(self.segments)}")
        first = index
        while self.segments[first].predicted:
            wanted = self.segments[first].first_frame
            if first == 0 or self.segments[first - 1].stop_frame != wanted:
                self.segment_of(wanted - 1)  # says what happened to it
                raise BitstreamError(f"frame {wanted - 1} was lost, and segment {index} needs it")
            first -= 1
        return range(first, index + 1)

    def verify(self) -> tuple[Damage, ...]:
        """Check the CRC of every section, in constant memory.

        Returns:
            All damage, which `damage` also lists from now on. Does not look inside sections.
        """
        for entry in self._entries:
            try:
                if entry.kind != HEADER:  # checked on opening
                    found = self._framing(entry)
                    entry = replace(entry, kind=found.kind)  # the index does not tell of all
                    self._source.check(found)
            except BitstreamError as error:
                self._report_error(entry, error)
        return self.damage

    def close(self) -> None:
        """Close the file if it was opened here."""
        self._stack.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _framing(self, entry: Entry) -> Framing:
        try:
            found = self._source.framing(entry.offset)
        except BitstreamError as error:
            raise ChecksumError(f"{entry.kind} section, byte {entry.offset}: {error}") from None
        if (found.kind != entry.kind and entry.kind != OTHER) or found.size != entry.size:
            raise ChecksumError(
                f"{entry.kind} section, byte {entry.offset}: type or length is damaged, found "
                f"{found.kind} of {found.size} bytes where the index says {entry.size}"
            )
        return found

    def _cursor(self, entry: Entry) -> Cursor:
        found = self._framing(entry)
        self._source.check(found)
        return self._source.payload(found)

    def _report_error(self, entry: Entry, error: BitstreamError) -> None:
        kind = DamageKind.CHECKSUM if isinstance(error, ChecksumError) else DamageKind.MALFORMED
        self._report(kind, entry, str(error))

    def _report(self, kind: DamageKind, entry: Entry, reason: str) -> None:
        if entry.offset in self._reported:
            return
        self._reported.add(entry.offset)
        lost = entry.segment
        self._damage.append(
            Damage(
                kind=kind,
                section=entry.kind,
                offset=entry.offset,
                size=entry.size,
                reason=reason,
                frames=(lost.first_frame, lost.first_frame + lost.frames) if lost else None,
            )
        )


def _seekable(source: str | os.PathLike[str] | bytes | BinaryIO, stack: ExitStack) -> BinaryIO:
    """The source as a file that can seek; `stack` closes what was opened here."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return stack.enter_context(BytesIO(source))
    if isinstance(source, (str, os.PathLike)):
        return stack.enter_context(open(source, "rb"))
    if source.seekable():
        return source
    with ExitStack() as spooling:
        spool = spooling.enter_context(tempfile.TemporaryFile())
        shutil.copyfileobj(source, spool)
        stack.push(spooling.pop_all())
    return spool
