"""How damage of an `.nvc` file is described."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from nvcodec.errors import (
    BitstreamError,
    ChecksumError,
    TruncatedStreamError,
)


class DamageKind(str, Enum):
    """What is wrong with a stretch of a file."""

    TRUNCATED = "truncated"  # the file ends inside or before a section
    CHECKSUM = "checksum"  # whole section, wrong CRC
    UNREADABLE = "unreadable"  # no section can be made out; reading went on at the next intact one
    MALFORMED = "malformed"  # right CRC, contents that make no sense
    MISPLACED = "misplaced"  # a section where, or twice when, there must be none
    MISSING = "missing"  # frames that no section holds
    TRAILING = "trailing"  # bytes after the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One thing that is missing or damaged.

    Attributes:
        kind: What happened.
        section: Section type as far as it can be told, else empty.
        offset: Byte offset where it starts.
        size: Bytes affected, 0 where bytes are absent rather than wrong.
        frames: Frames lost with it, from the first up to but excluding the second, which is None
            where it cannot be known; None where no frame is known to be lost.
        reason: One sentence for people.
    """

    kind: DamageKind
    section: str
    offset: int
    size: int
    reason: str
    frames: tuple[int, int | None] | None = None

    def __str__(self) -> str:
        lost = ""
        if self.frames:
            first, stop = self.frames
            lost = f"; frames {first}.. missing" if stop is None else ""
            lost = lost or f"; frames {first}..{(stop or 0) - 1} missing"
        return f"byte {self.offset}: {self.kind.value} {self.section}: {self.reason}{lost}"

    def error(self) -> BitstreamError:
        """The error for a caller who asks for what is damaged."""
        if self.kind is DamageKind.CHECKSUM:
            return ChecksumError(str(self))
        if self.kind in (DamageKind.TRUNCATED, DamageKind.MISSING):
            return TruncatedStreamError(str(self))
        return BitstreamError(str(self))
