"""Checks of an `.nvc` file's signature, version, header and index.

Owns the way from the last bytes of a finished file to its index. Files without a usable index are
`nvcodec.container.recovery`. The rules are specified in `docs/bitstream.md`.
"""

from __future__ import annotations

from nvcodec.container.byte_source import ByteSource
from nvcodec.container.framing import MAGIC, MAJOR, MINOR, PREAMBLE, Framing
from nvcodec.container.header import MAX_HEADER
from nvcodec.container.index import END_SIZE, StoredIndex, read_end, read_index
from nvcodec.container.section_list import OTHER, IndexEntry
from nvcodec.container.section_types import END, HEADER, INDEX, SECTION_TYPES, is_critical
from nvcodec.errors import BitstreamError, TruncatedStreamError, UnsupportedVersionError


def check_preamble(data: bytes) -> tuple[int, int]:
    """Check signature and version of a stream and return its major and minor version.

    Args:
        data: The first ten bytes, fewer where the stream is shorter.

    Raises:
        BitstreamError: If this is not an `.nvc` file, or was mangled by a transfer as text.
        TruncatedStreamError: If the stream ends inside the preamble.
        UnsupportedVersionError: If this release does not read the major version.
    """
    magic = data[: len(MAGIC)]
    if not MAGIC.startswith(magic):
        if magic[1:4] == MAGIC[1:4]:
            raise BitstreamError(
                f"byte 0: damaged signature {magic!r}, expected {MAGIC!r}; "
                "was the file transferred as text?"
            )
        raise BitstreamError(f"byte 0: not an .nvc file: starts with {magic!r}, not {MAGIC!r}")
    if len(data) < len(PREAMBLE):
        raise TruncatedStreamError(
            f"byte {len(data)}: the file ends inside its {len(PREAMBLE)}-byte preamble"
        )
    major, minor = data[len(MAGIC) : len(PREAMBLE)]
    if major != MAJOR:
        raise UnsupportedVersionError(
            f"byte {len(MAGIC)}: bitstream version {major}.{minor} found, this release reads "
            f"version {MAJOR}.x (it writes {MAJOR}.{MINOR}); use a release that reads {major}.x"
        )
    return major, minor


def check_header_framing(framing: Framing) -> None:
    """Check that the first section is a header of a plausible length.

    Raises:
        BitstreamError: If it is not.
    """
    if framing.kind != HEADER or framing.payload_size > MAX_HEADER:
        raise BitstreamError(
            f"byte {framing.offset}: expected a {HEADER} section of at most {MAX_HEADER} bytes, "
            f"got {framing.kind} of {framing.payload_size}"
        )


def refuse_unknown(kind: str, offset: int) -> None:
    """Refuse a section of an unknown type that must not be skipped.

    Args:
        kind: Section type.
        offset: Byte offset of the section, used in the error.

    Raises:
        UnsupportedVersionError: If the type is unknown and critical.
    """
    if kind not in SECTION_TYPES and is_critical(kind):
        raise UnsupportedVersionError(
            f"{kind} section, byte {offset}: unknown critical section; "
            f"this release reads version {MAJOR}.{MINOR}, a newer one may read this file"
        )


def read_index_if_valid(source: ByteSource, header: Framing) -> StoredIndex | None:
    """Read the index of a finished file, found from its end; None unless it is intact and fits.

    Args:
        source: The file.
        header: Position of its header section.

    Raises:
        UnsupportedVersionError: If the file holds an unknown critical section.
    """
    try:
        end = source.framing(source.size - END_SIZE)
        if end.kind != END or end.end != source.size:
            return None
        source.check_crc(end)
        size = read_end(source.payload(end))
        framing = source.framing(end.offset - size)
        if framing.kind != INDEX or framing.end != end.offset or framing.offset < header.end:
            return None
        source.check_crc(framing)
        index = read_index(source.payload(framing))
    except BitstreamError:
        return None
    entries = index.entries
    if not entries or entries[0].kind != HEADER or entries[0].size != header.size:
        return None
    if entries[-1].offset + entries[-1].size != framing.offset:
        return None  # bytes were inserted or lost in between
    for entry in entries.of_kind(OTHER):
        _refuse_intact_unknown(source, entry)
    return index


def _refuse_intact_unknown(source: ByteSource, entry: IndexEntry) -> None:
    try:
        framing = source.framing(entry.offset)
        if is_critical(framing.kind):
            source.check_crc(framing)
    except BitstreamError:
        return  # a damaged section is no reason to refuse the rest of the file
    refuse_unknown(framing.kind, entry.offset)
