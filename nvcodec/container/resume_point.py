"""Point at which an `.nvc` file is continued, after an interruption or to append segments."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from nvcodec.container.byte_source import ByteSource
from nvcodec.container.checks import check_header_framing, check_preamble, read_index_if_valid
from nvcodec.container.fields import Cursor
from nvcodec.container.framing import MAJOR, MINOR, PREAMBLE, Framing
from nvcodec.container.header import MAX_HEADER, Header, read_header
from nvcodec.container.packets import read_packets
from nvcodec.container.recovery import holds_section, scan
from nvcodec.container.section_list import IndexEntry
from nvcodec.container.section_types import PACKETS, SEGMENT, TRACK
from nvcodec.container.segment_section import Segment, read_segment
from nvcodec.container.track_sections import read_track
from nvcodec.errors import BitstreamError, TruncatedStreamError, UnsupportedVersionError
from nvcodec.media import Track


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """Contents of a file at the point where `Writer.resume` or `Writer.append` continues it.

    Attributes:
        header: Header of the file.
        tracks: Tracks of the file, in the order of their numbers.
        segments: Number of segments kept.
        frames: Number of frames kept.
        packets: Number of packets kept, one count per track.
    """

    header: Header
    tracks: tuple[Track, ...]
    segments: int
    frames: int
    packets: tuple[int, ...]


def read_kept_sections(source: ByteSource, entries: list[IndexEntry]) -> tuple[Resumed, Segment]:
    """Read the sections that are kept.

    Args:
        source: The file.
        entries: Its sections that are kept, at least the header and one segment.

    Returns:
        The contents of these sections, and the last segment.
    """
    tracks: list[Track] = []
    counts: Counter[int] = Counter()
    for entry in entries:
        if entry.kind == TRACK:
            tracks.append(read_track(_payload(source, entry)).track)
        elif entry.kind == PACKETS:
            counts[entry.track] += len(read_packets(_payload(source, entry)).packets)
    last = read_segment(_payload(source, [entry for entry in entries if entry.segment][-1]))
    _, minor = check_preamble(source.read(0, len(PREAMBLE)))
    resumed = Resumed(
        header=read_header(_payload(source, entries[0]), minor),
        tracks=tuple(tracks),
        segments=sum(entry.segment is not None for entry in entries),
        frames=last.first_frame + last.frames,
        packets=tuple(counts[number] for number in range(len(tracks))),
    )
    return resumed, last


def intact_prefix(source: ByteSource) -> list[IndexEntry]:
    """Return the intact sections up to the last segment before any damage; empty if there is none.

    Raises:
        BitstreamError: If the file is not the beginning of a stream, or damaged before a segment.
    """
    try:
        header = _framing_of_header(source)
    except TruncatedStreamError as error:
        # The file was cut inside its header, unless a damaged length only makes it look so.
        if source.size > len(PREAMBLE) + MAX_HEADER or holds_section(source, len(PREAMBLE)):
            raise BitstreamError(f"the header is damaged, nothing was changed: {error}") from None
        return []
    intact: list[IndexEntry] = []
    kept = 0
    offset = header.offset
    result = scan(source, header)
    for entry in result.entries:
        if entry.offset != offset:
            break
        offset += entry.size
        intact.append(entry)
        if entry.kind == SEGMENT:
            kept = len(intact)
    if not kept and any(entry.segment for entry in result.entries):
        # An interruption does not look like this; emptying the file would lose whole segments.
        what = result.damage[0] if result.damage else "sections in disorder"
        raise BitstreamError(f"damaged before its first segment, nothing was changed: {what}")
    return intact[:kept]


def finished_entries(source: ByteSource) -> list[IndexEntry]:
    """Return all sections of a complete file except index and end.

    Raises:
        BitstreamError: If the file is not complete and intact.
    """
    header = _framing_of_header(source)
    result = scan(source, header)
    segments = any(entry.segment for entry in result.entries)
    if read_index_if_valid(source, header) is None or not segments or result.damage:
        what = "; ".join(str(damage) for damage in result.damage) or "it has no usable index"
        raise BitstreamError(f"only a complete file can be appended to: {what}")
    return list(result.entries)


def _framing_of_header(source: ByteSource) -> Framing:
    version = check_preamble(source.read(0, min(len(PREAMBLE), source.size)))
    if version > (MAJOR, MINOR):
        raise UnsupportedVersionError(
            f"byte 8: a file of version {version[0]}.{version[1]} cannot be continued as "
            f"{MAJOR}.{MINOR}; use the release that began it"
        )
    framing = source.framing(len(PREAMBLE))
    check_header_framing(framing)
    source.check_crc(framing, before=len(PREAMBLE))
    return framing


def _payload(source: ByteSource, entry: IndexEntry) -> Cursor:
    return source.payload(source.framing(entry.offset))
