"""What of an `.nvc` file is kept when it is taken up again: after an interruption, or to append."""

from __future__ import annotations

from nvcodec.container.byte_source import ByteSource
from nvcodec.container.checks import check_header_framing, check_preamble, read_index_if_valid
from nvcodec.container.framing import MAJOR, MINOR, PREAMBLE, Framing
from nvcodec.container.header import MAX_HEADER, SEGMENT
from nvcodec.container.index import Entry
from nvcodec.container.recovery import holds_section, scan
from nvcodec.errors import BitstreamError, TruncatedStreamError, UnsupportedVersionError


def intact_prefix(source: ByteSource) -> list[Entry]:
    """The intact sections up to the last segment before any damage; empty if there is none.

    Raises:
        BitstreamError: If the file is not the beginning of a stream, or damaged before a segment.
    """
    try:
        header = _framing_of_header(source)
    except TruncatedStreamError as error:
        # Cut inside its header, unless a damaged length only makes it look so.
        if source.size > len(PREAMBLE) + MAX_HEADER or holds_section(source, len(PREAMBLE)):
            raise BitstreamError(f"the header is damaged, nothing was changed: {error}") from None
        return []
    whole: list[Entry] = []
    groups = 0
    offset = header.offset
    found = scan(source, header)
    for entry in found.entries:
        if entry.offset != offset:
            break
        offset += entry.size
        whole.append(entry)
        if entry.kind == SEGMENT:
            groups = len(whole)
    if not groups and any(entry.segment for entry in found.entries):
        # An interruption does not look like this; emptying the file would lose whole segments.
        what = found.damage[0] if found.damage else "sections in disorder"
        raise BitstreamError(f"damaged before its first segment, nothing was changed: {what}")
    return whole[:groups]


def finished_entries(source: ByteSource) -> list[Entry]:
    """All sections of a complete file but index and end.

    Raises:
        BitstreamError: If it is not complete and intact.
    """
    header = _framing_of_header(source)
    found = scan(source, header)
    segments = any(entry.segment for entry in found.entries)
    if read_index_if_valid(source, header) is None or not segments or found.damage:
        what = "; ".join(str(damage) for damage in found.damage) or "it has no usable index"
        raise BitstreamError(f"only a complete file can be appended to: {what}")
    return list(found.entries)


def _framing_of_header(source: ByteSource) -> Framing:
    version = check_preamble(source.read(0, min(len(PREAMBLE), source.size)))
    if version > (MAJOR, MINOR):
        raise UnsupportedVersionError(
            f"byte 8: a file of version {version[0]}.{version[1]} cannot be continued as "
            f"{MAJOR}.{MINOR}; use the release that began it"
        )
    found = source.framing(len(PREAMBLE))
    check_header_framing(found)
    source.check(found, before=len(PREAMBLE))
    return found
