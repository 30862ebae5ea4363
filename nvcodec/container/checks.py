"""Where the sections of a finished `.nvc` file lie, and how damage is described.

Owns random access to the bytes of a file, its signature and version, and the way from its last
bytes to its index. Files without a usable index are `nvcodec.container.recovery`. The rules are
`docs/bitstream.md`.
"""

from __future__ import annotations

from nvcodec.container.byte_source import ByteSource
from nvcodec.container.framing import (
    MAGIC,
    MAJOR,
    MINOR,
    PREAMBLE,
    Framing,
    is_critical,
)
from nvcodec.container.header import END, HEADER, INDEX, KNOWN, MAX_HEADER
from nvcodec.container.index import (
    END_SIZE,
    OTHER,
    Entry,
    Index,
    read_end,
    read_index,
)
from nvcodec.errors import (
    BitstreamError,
    TruncatedStreamError,
    UnsupportedVersionError,
)


def check_preamble(data: bytes) -> tuple[int, int]:
    """Version of a stream that starts with these bytes.

    Args:
        data: The first ten bytes, fewer where the stream is shorter.

    Raises:
        BitstreamError: If this is no `.nvc` file, or was mangled as text.
        TruncatedStreamError: If the stream ends inside.
        UnsupportedVersionError: If the major version is not ours.
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
            f"version {MAJOR}.x (it writes {MAJOR}.{MINOR}); use a release that knows {major}.x"
        )
    return major, minor


def check_header_framing(found: Framing) -> None:
    """Refuse a first section that is no header, or one absurdly long.

    Raises:
        BitstreamError: If so.
    """
    if found.kind != HEADER or found.payload_size > MAX_HEADER:
        raise BitstreamError(
            f"byte {found.offset}: expected a {HEADER} section of at most {MAX_HEADER} bytes, "
            f"got {found.kind} of {found.payload_size}"
        )


def refuse_unknown(kind: str, offset: int) -> None:
    """Refuse a section that is not known and must not be skipped.

    Raises:
        UnsupportedVersionError: If the type is unknown and critical.
    """
    if kind not in KNOWN and is_critical(kind):
        raise UnsupportedVersionError(
            f"{kind} section, byte {offset}: unknown critical section; "
            f"this release reads version {MAJOR}.{MINOR}, a newer one may read this file"
        )


def read_index_if_valid(source: ByteSource, header: Framing) -> Index | None:
    """The index of a finished file, found from its end; None unless it is intact and fits.

    Raises:
        UnsupportedVersionError: If the file holds an unknown critical section.
    """
    try:
        end = source.framing(source.size - END_SIZE)
        if end.kind != END or end.end != source.size:
            return None
        source.check(end)
        size = read_end(source.payload(end))
        found = source.framing(end.offset - size)
        if found.kind != INDEX or found.end != end.offset or found.offset < header.end:
            return None
        source.check(found)
        index = read_index(source.payload(found))
    except BitstreamError:
        return None
    entries = index.entries
    if not entries or entries[0].kind != HEADER or entries[0].size != header.size:
        return None
    if entries[-1].offset + entries[-1].size != found.offset:
        return None  # bytes were inserted or lost in between
    for entry in entries:
        if entry.kind == OTHER:
            _refuse_intact_unknown(source, entry)
    return index


def _refuse_intact_unknown(source: ByteSource, entry: Entry) -> None:
    try:
        found = source.framing(entry.offset)
        if is_critical(found.kind):
            source.check(found)
    except BitstreamError:
        return  # damaged, hence not a reason to refuse the rest
    refuse_unknown(found.kind, entry.offset)
