"""Table of the sections of an `.nvc` file: positions, checked access and damage found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import numpy as np

from nvcodec.container.byte_source import ByteSource
from nvcodec.container.chapters import read_chapters
from nvcodec.container.checks import read_index_if_valid
from nvcodec.container.damage import Damage, DamageKind
from nvcodec.container.fields import Cursor
from nvcodec.container.framing import Framing
from nvcodec.container.index import END_SIZE
from nvcodec.container.recovery import scan
from nvcodec.container.section_list import OTHER, IndexEntry, SegmentList
from nvcodec.container.section_types import CHAPTERS, HEADER, INDEX, METADATA, TRACK
from nvcodec.container.token_format import TokenFormat
from nvcodec.container.track_sections import read_metadata, read_track
from nvcodec.errors import BitstreamError, ChecksumError
from nvcodec.media import Chapter, Int64Array, Track


class SectionTable:
    """Lists the sections of a file, from its index or, without a usable one, from a scan.

    Args:
        source: The file.
        header: Position of its header section, which is checked already.

    Attributes:
        entries: Sections in file order. A scan lists intact ones only; those of an index are
            checked when they are read.
        end: Time at which the last frame ends, ticks; None without a usable index.
        damage: Damage known so far.
    """

    def __init__(self, source: ByteSource, header: Framing) -> None:
        self._source = source
        # By byte offset. Of several threads that find the same damage, one inserts its own token. The
        # errors themselves would keep alive what their tracebacks refer to.
        self._reported: dict[int, object] = {}
        self.damage: list[Damage] = []
        self.end: int | None = None
        index = read_index_if_valid(source, header)
        if index:
            self.entries, self.end = index.entries, index.end
            return
        result = scan(source, header)
        self.entries = result.entries
        self.damage += result.damage
        if result.finished and not result.damage:
            self.damage.append(
                Damage(
                    kind=DamageKind.MALFORMED,
                    section=INDEX,
                    offset=source.size - END_SIZE,
                    size=0,
                    reason="the index before this byte does not describe the file",
                )
            )

    def token_places(self, tokens: TokenFormat | None, segments: SegmentList) -> Int64Array:
        """Return where the section of tokens directly before each segment stands.

        Args:
            tokens: Token format of the file; None if it holds no tokens.
            segments: Segments of the file.

        Returns:
            Position in `entries` for each segment, -1 where there is no such section; empty if the
            file holds no tokens.
        """
        if tokens is None:
            return np.empty(0, np.int64)
        records, places = self.entries.records, segments.places
        before = records[places - 1]
        # The index has no code for sections of tokens.
        found = self.entries.are_of(OTHER, tokens.section)[places - 1]
        found &= (places > 0) & (before["offset"] + before["size"] == records["offset"][places])
        return np.where(found, places - 1, -1)

    def tracks_and_metadata(self) -> tuple[dict[int, Track], dict[str, str]]:
        """Read the intact tracks, by number, and the metadata, later sections over earlier ones."""
        tracks: dict[int, Track] = {}
        metadata: dict[str, str] = {}
        for entry in self.entries.of_kind(TRACK, METADATA):
            with suppress(BitstreamError), self.recording_damage(entry):
                cursor = self.payload(entry)
                if entry.kind == METADATA:
                    metadata |= read_metadata(cursor).entries
                    continue
                section = read_track(cursor)
                if section.index in tracks:
                    raise cursor.error(f"track {section.index} is described twice")
                tracks[section.index] = section.track
        return tracks, metadata

    def chapters(self) -> tuple[Chapter, ...]:
        """Read the chapters, which stand in the last section; none if they are damaged."""
        entry = self.entries[-1]
        with suppress(BitstreamError):
            if entry.kind in (OTHER, CHAPTERS) and self._framing(entry).kind == CHAPTERS:
                entry = replace(entry, kind=CHAPTERS)  # the index lists it as `OTHER`
                with self.recording_damage(entry):
                    return read_chapters(self.payload(entry)).chapters
        return ()

    def payload(self, entry: IndexEntry) -> Cursor:
        """Check the CRC of a section in constant memory, then read its payload.

        Raises:
            ChecksumError: If the section is damaged.
        """
        framing = self._framing(entry)
        self._source.check_crc(framing)
        return self._source.payload(framing)

    def small_payload(self, entry: IndexEntry) -> Cursor:
        """Read a section that fits into memory in any case, once, and check its CRC.

        Raises:
            ChecksumError: If the section is damaged.
        """
        return self._source.checked_payload(self._framing(entry))

    def check_all(self) -> None:
        """Check the CRC of every section in constant memory and record all damage."""
        for entry in self.entries:
            if entry.kind == HEADER:
                continue
            try:
                framing = self._framing(entry)
                entry = replace(entry, kind=framing.kind)  # the index may list it as `OTHER`
                self._source.check_crc(framing)
            except BitstreamError as error:
                self._record(entry, error)

    @contextmanager
    def recording_damage(self, entry: IndexEntry) -> Iterator[None]:
        """Record an error in the block as damage of a section, and raise it on."""
        try:
            yield
        except BitstreamError as error:
            self._record(entry, error)
            raise

    def _framing(self, entry: IndexEntry) -> Framing:
        try:
            framing = self._source.framing(entry.offset)
        except BitstreamError as error:
            raise ChecksumError(f"{entry.kind} section, byte {entry.offset}: {error}") from None
        if (framing.kind != entry.kind and entry.kind != OTHER) or framing.size != entry.size:
            raise ChecksumError(
                f"{entry.kind} section, byte {entry.offset}: type or length is damaged, found "
                f"{framing.kind} of {framing.size} bytes where the index says {entry.size}"
            )
        return framing

    def _record(self, entry: IndexEntry, error: BitstreamError) -> None:
        token = object()
        if self._reported.setdefault(entry.offset, token) is not token:
            return
        lost = entry.segment
        self.damage.append(
            Damage(
                kind=DamageKind.CHECKSUM
                if isinstance(error, ChecksumError)
                else DamageKind.MALFORMED,
                section=entry.kind,
                offset=entry.offset,
                size=entry.size,
                reason=str(error),
                frames=(lost.first_frame, lost.first_frame + lost.frames) if lost else None,
            )
        )
