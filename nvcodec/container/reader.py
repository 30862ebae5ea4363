"""Random access to an `.nvc` file: its header, tracks, segments and tokens, in any order.

Nothing of a segment's payload is known here, and no network, picture or PyAV object passes through.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from types import MappingProxyType
from typing import BinaryIO, final

from nvcodec.closing import Closing
from nvcodec.container.byte_source import ByteSource
from nvcodec.container.checks import check_header_framing, check_preamble
from nvcodec.container.damage import Damage
from nvcodec.container.framing import PREAMBLE
from nvcodec.container.header import (
    HEADER,
    METADATA,
    PACKETS,
    TRACK,
    read_header,
    read_metadata,
    read_track,
)
from nvcodec.container.index import OTHER, Entry
from nvcodec.container.packets import read_packets
from nvcodec.container.section_table import Access
from nvcodec.container.segment_lookup import (
    SegmentEntry,
    segment_shown,
    segment_with,
    segments_needed,
    segments_of,
)
from nvcodec.container.segment_section import Segment, read_segment
from nvcodec.errors import BitstreamError
from nvcodec.media import Packet, Track


@final
class Reader(Closing):
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
            self._source = ByteSource(_seekable(source, stack))
            self.file_bytes = self._source.size
            preamble = self._source.read(0, min(len(PREAMBLE), self._source.size))
            self.version = check_preamble(preamble)
            found = self._source.framing(len(PREAMBLE))
            check_header_framing(found)
            self._source.check(found, before=len(PREAMBLE))
            self.header = read_header(self._source.payload(found), self.version[1])
            self._access = Access(self._source, found)
            self._describe()
            self._stack = stack.pop_all()

    def _describe(self) -> None:
        """Read tracks and metadata, and list the segments."""
        tracks: dict[int, Track] = {}
        metadata: dict[str, str] = {}
        for entry in self._access.entries:
            if entry.kind not in (TRACK, METADATA):
                continue
            with suppress(BitstreamError), self._access.noting(entry):
                cursor = self._access.payload(entry)
                if entry.kind == METADATA:
                    metadata |= read_metadata(cursor).entries
                    continue
                section = read_track(cursor)
                if section.index in tracks:
                    raise cursor.error(f"track {section.index} is described twice")
                tracks[section.index] = section.track
        self.tracks: Mapping[int, Track] = MappingProxyType(tracks)
        self.metadata: Mapping[str, str] = MappingProxyType(metadata)
        self.segments = segments_of(self._access.entries)
        self._segment_entries = tuple(entry for entry in self._access.entries if entry.segment)
        self._token_entries = self._find_tokens()
        self._last: Segment | None = None

    def _find_tokens(self) -> tuple[Entry | None, ...]:
        """For each segment where its tokens should be: directly before it."""
        if self.header.tokens is None:
            return ()
        kinds = (OTHER, self.header.tokens.section)  # the index does not tell which
        return tuple(
            before if before.kind in kinds and before.offset + before.size == entry.offset else None
            for before, entry in pairwise(self._access.entries)
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
        if self._access.end is None:
            self._access.end = self.segment(len(self.segments) - 1).end
        return (self._access.end - self.segments[0].start) * self.header.video.time_base

    @property
    def damage(self) -> tuple[Damage, ...]:
        """What is known to be missing or damaged; `verify` looks at everything."""
        return tuple(self._access.damage)

    @property
    def complete(self) -> bool:
        """The file has its end section and no known damage."""
        return not self._access.damage

    @property
    def track_bytes(self) -> int:
        """Bytes of intact track and packets sections, framing included."""
        return sum(entry.size for entry in self._access.entries if entry.kind in (TRACK, PACKETS))

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
        known = self._known(index)
        if self._last and self._last.first_frame == known.first_frame:
            return self._last
        entry = self._segment_entries[index]
        with self._access.noting(entry):
            cursor = self._access.payload(entry)
            offset = cursor.offset
            segment = read_segment(cursor)
            if not _is(segment, known, predicted=known.predicted):
                raise cursor.error("the segment is not the one that the index describes", offset)
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
        known = self._known(index)
        if self.header.tokens is None:
            raise BitstreamError(f"{HEADER} section, byte {len(PREAMBLE)}: says of no tokens")
        kind = self.header.tokens.section
        entry = self._token_entries[index]
        if entry is None:
            for damage in self.damage:
                if damage.offset < known.offset <= damage.offset + damage.size:
                    raise damage.error()
            raise BitstreamError(
                f"{kind} section, byte {known.offset}: missing before segment {index}"
            )
        lost = self._segment_entries[index].segment if self.header.tokens.conditioning else None
        entry = replace(entry, kind=kind, segment=lost)
        with self._access.noting(entry):
            cursor = self._access.small_payload(entry)
            offset = cursor.offset
            found = read_segment(cursor)
            if not _is(found, known, predicted=False):
                raise cursor.error("the tokens are not those of the segment behind them", offset)
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
        for entry in self._access.entries:
            if entry.kind != PACKETS or entry.track != track:
                continue
            try:
                with self._access.noting(entry):
                    cursor = self._access.payload(entry)
                    section = read_packets(cursor)
                    if section.track != track:
                        raise cursor.error(
                            f"packets of track {section.track}, the index says {track}"
                        )
            except BitstreamError:
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
        return segment_with(self.segments, frame, self.damage)

    def segment_at(self, seconds: float | Fraction) -> SegmentEntry:
        """The segment shown at a time; the first or last one for times outside the video.

        Args:
            seconds: Time on the scale of the timestamps: `pts * time_base`. Finite.

        Raises:
            IndexError: If there are no segments.
        """
        return segment_shown(self.segments, seconds, self.header.video.time_base)

    def needed(self, index: int) -> range:
        """The segments to decode, in order, to have segment `index`: it and those it leans on.

        Raises:
            IndexError: If there is no such segment.
            BitstreamError: If one that it is predicted from was lost.
        """
        self._known(index)
        return segments_needed(self.segments, index, self.damage)

    def verify(self) -> tuple[Damage, ...]:
        """Check the CRC of every section, in constant memory.

        Returns:
            All damage, which `damage` also lists from now on. Does not look inside sections.
        """
        self._access.check_all()
        return self.damage

    def close(self) -> None:
        """Close the file if it was opened here."""
        self._stack.close()

    def _known(self, index: int) -> SegmentEntry:
        if not 0 <= index < len(self.segments):
            raise IndexError(f"segment {index} of {len(self.segments)}")
        return self.segments[index]


def _is(found: Segment, listed: SegmentEntry, *, predicted: bool) -> bool:
    """Whether a section has the frames of a segment, as the index knows it."""
    return (found.first_frame, found.frames, found.pts[0], found.predicted) == (
        listed.first_frame,
        listed.frames,
        listed.start,
        predicted,
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
