"""The sections of an `.nvc` file: where they lie, each checked when it is read, and what is damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from nvcodec.container.byte_source import ByteSource
from nvcodec.container.checks import read_index_if_valid
from nvcodec.container.damage import Damage, DamageKind
from nvcodec.container.framing import Cursor, Framing
from nvcodec.container.header import HEADER, INDEX
from nvcodec.container.index import END_SIZE, OTHER, Entry
from nvcodec.container.recovery import scan
from nvcodec.errors import BitstreamError, ChecksumError


class Access:
    """Access to sections, by the index of a file or, without a usable one, by a scan.

    Args:
        source: The file.
        header: Where its header lies, which is checked already.

    Attributes:
        entries: Intact sections in order; where the index says so, also those not yet checked.
        end: When the last frame ends, ticks; None if there is no index to tell.
        damage: What is known to be missing or damaged.
    """

    def __init__(self, source: ByteSource, header: Framing) -> None:
        self._source = source
        self._reported: set[int] = set()
        self.damage: list[Damage] = []
        self.end: int | None = None
        index = read_index_if_valid(source, header)
        if index:
            self.entries, self.end = index.entries, index.end
            return
        found = scan(source, header)
        self.entries = found.entries
        self.damage += found.damage
        if found.finished and not found.damage:
            self.damage.append(
                Damage(
                    kind=DamageKind.MALFORMED,
                    section=INDEX,
                    offset=source.size - END_SIZE,
                    size=0,
                    reason="the index before this byte does not describe the file",
                )
            )

    def payload(self, entry: Entry) -> Cursor:
        """What a section holds, its CRC checked before anything is read into memory.

        Raises:
            ChecksumError: If it is damaged.
        """
        found = self._framing(entry)
        self._source.check(found)
        return self._source.payload(found)

    def small_payload(self, entry: Entry) -> Cursor:
        """The same of a section that fits into memory in any case: it is read only once.

        Raises:
            ChecksumError: If it is damaged.
        """
        return self._source.checked(self._framing(entry))

    def check_all(self) -> None:
        """Check the CRC of every section, in constant memory; what is damaged is noted."""
        for entry in self.entries:
            if entry.kind == HEADER:
                continue
            try:
                found = self._framing(entry)
                entry = replace(entry, kind=found.kind)  # the index does not tell of all
                self._source.check(found)
            except BitstreamError as error:
                self._note(entry, error)

    @contextmanager
    def noting(self, entry: Entry) -> Iterator[None]:
        """Note what goes wrong with a section, and let it be raised."""
        try:
            yield
        except BitstreamError as error:
            self._note(entry, error)
            raise

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

    def _note(self, entry: Entry, error: BitstreamError) -> None:
        if entry.offset in self._reported:
            return
        self._reported.add(entry.offset)
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
