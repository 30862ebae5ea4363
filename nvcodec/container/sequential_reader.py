"""Sequential reading of an `.nvc` stream without seeking, for example from a pipe.

The first error ends the reading. Random access, and the recovery of damaged files, are
`nvcodec.container.Reader`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from nvcodec.container.chapters import ChaptersSection, read_chapters
from nvcodec.container.checks import check_header_framing, check_preamble, refuse_unknown
from nvcodec.container.fields import Cursor
from nvcodec.container.framing import CRC_SIZE, MAX_FRAMING, PREAMBLE, TYPE_SIZE, read_framing
from nvcodec.container.header import Header, read_header
from nvcodec.container.index import read_end, read_index
from nvcodec.container.packets import PacketsSection, read_packets
from nvcodec.container.section_types import (
    CHAPTERS,
    END,
    HEADER,
    INDEX,
    METADATA,
    PACKETS,
    SEGMENT,
    TRACK,
)
from nvcodec.container.segment_section import Segment, TokensSection, read_segment
from nvcodec.container.track_sections import Metadata, TrackSection, read_metadata, read_track
from nvcodec.errors import ChecksumError, TruncatedStreamError

_CHUNK = 2**20


def read_forward(
    file: BinaryIO,
) -> Iterator[
    Header | Metadata | TrackSection | PacketsSection | TokensSection | Segment | ChaptersSection
]:
    """Read the sections of a stream in file order, without seeking.

    One section is held in memory at a time. Tracks come before their packets, and packets and
    tokens before the segment they belong to. Index, end and unknown optional sections are checked,
    but not yielded. Nothing after the end section is read.

    Args:
        file: Binary file, positioned at the first byte of the stream.

    Yields:
        The contents of each section: the header first, then metadata, tracks, packets, tokens and
        segments, and chapters at the end.

    Raises:
        TruncatedStreamError: If the stream stops before its end section.
        ChecksumError: If a section is damaged.
        UnsupportedVersionError: If this release does not know the major version or a critical
            section.
        BitstreamError: If the stream is malformed.
    """
    preamble = _read_up_to(file, len(PREAMBLE))
    _, minor = check_preamble(preamble)
    cursor = _next_section(file, len(PREAMBLE), before=preamble)
    header = read_header(cursor, minor)
    yield header
    tracks = frames = 0
    last_start: int | None = None
    while cursor.section != END:
        start, previous = cursor.end + CRC_SIZE, cursor.section
        cursor = _next_section(file, start)
        kind = cursor.section
        if previous == INDEX and kind != END:
            raise cursor.error(f"the end section expected after the index, got {kind}", start)
        if kind == TRACK:
            track = read_track(cursor)
            if track.index != tracks:
                raise cursor.error(f"track {tracks} expected, got {track.index}", start)
            tracks += 1
            yield track
        elif kind == METADATA:
            yield read_metadata(cursor)
        elif kind == CHAPTERS:
            yield read_chapters(cursor)
        elif kind == PACKETS:
            yield read_packets(cursor)
        elif kind == SEGMENT:
            segment = read_segment(cursor)
            if segment.first_frame != frames:
                raise cursor.error(f"frame {frames} expected, got {segment.first_frame}", start)
            if last_start is not None and segment.pts[0] <= last_start:
                raise cursor.error("the segment does not start after the one before it", start)
            frames += segment.frames
            last_start = segment.pts[0]
            yield segment
        elif header.tokens and kind == header.tokens.section:
            yield TokensSection(segment=read_segment(cursor))
        elif kind == INDEX:
            read_index(cursor)
        elif kind == END:
            read_end(cursor)
        elif kind == HEADER:
            raise cursor.error("a second header", start)
        else:
            refuse_unknown(kind, start)


def _next_section(file: BinaryIO, offset: int, *, before: bytes = b"") -> Cursor:
    """Read the next section, check its CRC and return its payload.

    Args:
        file: Binary file, positioned at the start of the section.
        offset: Byte offset of the section in the stream, used in errors.
        before: The preamble if the section must be the header, whose CRC covers it.
    """
    head = _read_up_to(file, TYPE_SIZE + 1)
    while TYPE_SIZE < len(head) < MAX_FRAMING and head[-1] & 0x80:
        byte = _read_up_to(file, 1)
        if not byte:
            break
        head += byte
    framing = read_framing(head, offset)
    if before:
        check_header_framing(framing)
    body = _read_up_to(file, framing.payload_size + CRC_SIZE)
    if len(body) < framing.payload_size + CRC_SIZE:
        raise TruncatedStreamError(
            f"{framing.kind} section, byte {offset}: ends at byte {framing.end}, "
            f"the stream at byte {offset + len(head) + len(body)}"
        )
    payload, stored = body[:-CRC_SIZE], int.from_bytes(body[-CRC_SIZE:], "little")
    crc = zlib.crc32(payload, zlib.crc32(before + head))
    if crc != stored:
        raise ChecksumError(
            f"{framing.kind} section, byte {offset}: CRC-32 is {crc:08x}, "
            f"the stream says {stored:08x}"
        )
    return Cursor(payload, section=framing.kind, offset=framing.payload_offset)


def _read_up_to(file: BinaryIO, count: int) -> bytes:
    """Read `count` bytes, fewer only at the end of the stream.

    Memory grows with the bytes that arrive: a section may claim a length that never comes.
    """
    parts: list[bytes] = []
    while count:
        part = file.read(min(count, _CHUNK))
        if not part:
            break
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
