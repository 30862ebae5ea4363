"""Random access to an `.nvc` file: header, tracks, segments, tokens and packets.

The payload of a segment is opaque here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from types import MappingProxyType
from typing import BinaryIO, final

import numpy as np

from nvcodec.closing import Closing
from nvcodec.container.byte_source import ByteSource, StoredFile
from nvcodec.container.checks import check_header_framing, check_preamble
from nvcodec.container.damage import Damage
from nvcodec.container.framing import PREAMBLE
from nvcodec.container.header import read_header
from nvcodec.container.packets import read_packets
from nvcodec.container.section_list import (
    IndexEntry,
    SectionList,
    SegmentEntry,
    SegmentList,
)
from nvcodec.container.section_table import SectionTable
from nvcodec.container.section_types import HEADER, PACKETS, TRACK
from nvcodec.container.segment_lookup import (
    matches_entry,
    segment_shown,
    segment_with,
    segments_needed,
)
from nvcodec.container.segment_section import Segment, read_segment
from nvcodec.errors import BitstreamError
from nvcodec.indexing import Seconds
from nvcodec.media import Packet, Track


@final
class Reader(Closing):
    """Random access to an `.nvc` file.

    A finished file is opened through its index: only header, metadata, tracks, chapters and index
    are read and checked, whatever the file's size. Without a usable index every section is checked
    once, and each intact one stays usable. Several threads may use a reader at a time, and so may
    processes that are forked. A pickled reader is opened anew, by its path or with its contents.

    Args:
        source: Path, bytes, or binary file whose first byte is the first of the stream. A file that
            cannot seek (a pipe) is first copied to a temporary file.

    Attributes:
        version: Major and minor version of the stream.
        header: Header of the stream.
        tracks: Intact tracks by number. Numbers are consecutive from 0 unless one is damaged.
        metadata: Free text; a later section overrides an earlier one.
        chapters: Chapters in the order of the source.
        segments: Segments in order. Those listed by an index are checked when they are read;
            without an index only intact ones are listed.
        file_bytes: Size of the stream, bytes.

    Raises:
        TruncatedStreamError: If the stream ends before its header does.
        ChecksumError: If the header is damaged.
        UnsupportedVersionError: If this release does not know the major version or a critical
            section.
        BitstreamError: If this is not an `.nvc` stream.
        VideoError: If it is the `reopenable` file of another reader, and has changed since.

    Raises (all methods that read):
        ClosedError: If the reader is closed.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes | BinaryIO) -> None:
        self._source = ByteSource.open(source)
        try:
            self.file_bytes = self._source.size
            preamble = self._source.read(0, min(len(PREAMBLE), self._source.size))
            self.version = check_preamble(preamble)
            framing = self._source.framing(len(PREAMBLE))
            check_header_framing(framing)
            self._source.check_crc(framing, before=len(PREAMBLE))
            self.header = read_header(self._source.payload(framing), self.version[1])
            self._table = SectionTable(self._source, framing)
            self._list_contents()
        except BaseException:
            self._source.close()
            raise

    def __reduce__(self) -> tuple[type[Reader], tuple[bytes | StoredFile]]:
        return Reader, (self.reopenable(),)

    def reopenable(self) -> bytes | StoredFile:
        """Return the contents or the path by which another process can open the same file.

        Raises:
            ConfigError: If the source is a pipe or a file object.
        """
        return self._source.reopenable()

    def _list_contents(self) -> None:
        """Read tracks, metadata and chapters, and list the segments."""
        tracks, metadata = self._table.tracks_and_metadata()
        self.tracks: Mapping[int, Track] = MappingProxyType(tracks)
        self.metadata: Mapping[str, str] = MappingProxyType(metadata)
        self.chapters = self._table.chapters()
        self.segments = SegmentList(self._table.entries)
        self._token_places = self._table.token_places(self.header.tokens, self.segments)
        self._last: Segment | None = None

    @property
    def frame_count(self) -> int:
        """Number of the frame after the last segment; frames lost before it are counted."""
        return self.segments[-1].stop_frame if self.segments else 0

    @property
    def duration(self) -> Fraction:
        """Time from the start of the first frame to the end of the last, seconds.

        Raises:
            BitstreamError: If there is no index and the last segment is malformed.
        """
        if not self.segments:
            return Fraction(0)
        if self._table.end is None:
            self._table.end = self.segment(len(self.segments) - 1).end
        return (self._table.end - self.segments[0].start) * self.header.video.time_base

    @property
    def damage(self) -> tuple[Damage, ...]:
        """Damage known so far; `verify` checks the whole file."""
        return tuple(self._table.damage)

    @property
    def complete(self) -> bool:
        """Whether the file has its end section and no known damage."""
        return not self._table.damage

    @property
    def track_bytes(self) -> int:
        """Size of intact track and packets sections, bytes, framing included."""
        return self._table.entries.of_kind(TRACK, PACKETS).bytes

    @property
    def token_bytes(self) -> int:
        """Size of the sections of tokens that were found, bytes, framing included."""
        found = self._token_places[self._token_places >= 0]
        return SectionList(self._table.entries.records[found]).bytes

    @property
    def bytes_read(self) -> int:
        """Bytes read from the file so far; bytes that are read twice count twice."""
        return self._source.bytes_read

    @property
    def video_bytes(self) -> int:
        """Size of everything but tracks and packets, bytes: `file_bytes - track_bytes`."""
        return self.file_bytes - self.track_bytes

    def segment(self, index: int) -> Segment:
        """Read a segment: timestamps, durations and payload. The last one read is cached.

        Args:
            index: Position in `segments`, 0 <= index < len(segments).

        Raises:
            IndexError: If there is no such segment.
            ChecksumError: If the section is damaged.
            BitstreamError: If it is malformed.
        """
        self.check_open()
        listed, last = self._entry(index), self._last
        if last and last.first_frame == listed.first_frame:
            return last
        entry = self._section(index)
        with self._table.recording_damage(entry):
            cursor = self._table.payload(entry)
            offset = cursor.offset
            segment = read_segment(cursor)
            if not matches_entry(segment, listed, predicted=listed.predicted):
                raise cursor.error("the segment is not the one that the index describes", offset)
        self._last = segment
        return segment

    def tokens(self, index: int) -> Segment:
        """Read the tokens of a segment; the segment's own section is not read.

        Args:
            index: Position in `segments`, 0 <= index < len(segments).

        Returns:
            Timestamps and durations of the segment, with the coded tokens as `payload`.

        Raises:
            IndexError: If there is no such segment.
            ChecksumError: If the section is damaged.
            BitstreamError: If the section is malformed or missing, or the file holds no tokens.
        """
        listed = self._entry(index)
        if self.header.tokens is None:
            raise BitstreamError(
                f"{HEADER} section, byte {len(PREAMBLE)}: the file holds no tokens"
            )
        kind = self.header.tokens.section
        place = int(self._token_places[index])
        if place < 0:
            for damage in self.damage:
                if damage.offset < listed.offset <= damage.offset + damage.size:
                    raise damage.error()
            raise BitstreamError(
                f"{kind} section, byte {listed.offset}: missing before segment {index}"
            )
        lost = self._section(index).segment if self.header.tokens.conditioning else None
        entry = replace(self._table.entries[place], kind=kind, segment=lost)
        with self._table.recording_damage(entry):
            cursor = self._table.small_payload(entry)
            offset = cursor.offset
            tokens = read_segment(cursor)
            if not matches_entry(tokens, listed, predicted=False):
                raise cursor.error("the tokens are not those of the segment behind them", offset)
        return tokens

    def payload(self, index: int) -> bytes:
        """Read the payload of a segment.

        Args:
            index: Position in `segments`, 0 <= index < len(segments).

        Raises:
            IndexError: If there is no such segment.
            ChecksumError: If the section is damaged.
            BitstreamError: If it is malformed.
        """
        return self.segment(index).payload

    def packets(self, track: int, *, skip_damaged: bool = False) -> Iterator[Packet]:
        """Read the packets of a track, in the order of the source.

        Args:
            track: Number of the track, a key of `tracks`.
            skip_damaged: Skip sections that are damaged and add each to `damage`. Sections found to
                be damaged when the file was opened are always skipped.

        Raises:
            ChecksumError: If a section is damaged, unless `skip_damaged`.
            BitstreamError: If it is malformed, unless `skip_damaged`.
        """
        sections = self._table.entries.of_kind(PACKETS)
        for place in np.flatnonzero(sections.records["track"] == track).tolist():
            entry = sections[place]
            try:
                with self._table.recording_damage(entry):
                    cursor = self._table.payload(entry)
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
        """Return the segment that holds a frame.

        Args:
            frame: Number of the frame in the video, from 0.

        Raises:
            IndexError: If the video is not known to have such a frame.
            ChecksumError: If the section that held the frame is damaged.
            BitstreamError: If the frame was lost otherwise.
        """
        return segment_with(self.segments, frame, self.damage)

    def segment_at(self, seconds: Seconds) -> SegmentEntry:
        """Return the segment shown at a time; the first or last one for times outside the video.

        Args:
            seconds: Time on the scale of the timestamps, `pts * time_base`.

        Raises:
            ConfigError: If the time is not a number (NaN).
            IndexError: If there are no segments.
        """
        return segment_shown(self.segments, seconds, self.header.video.time_base)

    def needed(self, index: int) -> range:
        """Return the segments to decode, in order, for segment `index`: its references and itself.

        Args:
            index: Position in `segments`, 0 <= index < len(segments).

        Raises:
            IndexError: If there is no such segment.
            BitstreamError: If a segment that it is predicted from was lost.
        """
        self._entry(index)
        return segments_needed(self.segments, index, self.damage)

    def verify(self) -> tuple[Damage, ...]:
        """Check the CRC of every section in constant memory; the contents are not parsed.

        Returns:
            All damage, which `damage` also lists from now on.
        """
        self._table.check_all()
        return self.damage

    def check_open(self) -> None:
        """Raise an error if the reader is closed.

        Raises:
            ClosedError: If it is closed.
        """
        self._source.check_open()

    def close(self) -> None:
        """Close the file if it was opened by this reader. Reads in other threads still end well."""
        self._source.close()

    def _section(self, index: int) -> IndexEntry:
        """Return the section of a segment."""
        return self._table.entries[int(self.segments.places[index])]

    def _entry(self, index: int) -> SegmentEntry:
        if not 0 <= index < len(self.segments):
            raise IndexError(f"segment {index} of {len(self.segments)}")
        return self.segments[index]
