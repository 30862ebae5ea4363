"""Description of damage in an `.nvc` file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from nvcodec.errors import BitstreamError, ChecksumError, TruncatedStreamError


class DamageKind(str, Enum):
    """Kind of damage to a range of bytes."""

    TRUNCATED = "truncated"  # the file ends inside or before a section
    CHECKSUM = "checksum"  # a whole section whose CRC does not match
    UNREADABLE = "unreadable"  # no section can be found; reading continued at the next intact one
    MALFORMED = "malformed"  # a section whose CRC matches, but whose contents are invalid
    MISPLACED = "misplaced"  # a section in the wrong place, or a second one of its kind
    MISSING = "missing"  # frames that no section holds
    TRAILING = "trailing"  # bytes after the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A range of bytes that is damaged, or a part of the video that is missing.

    Attributes:
        kind: Kind of damage.
        section: Section type, empty where it cannot be determined.
        offset: Byte offset where the damage starts.
        size: Number of bytes affected, 0 where bytes are absent rather than wrong.
        reason: One sentence for people.
        frames: Frames lost, as (first, stop) with stop excluded; stop is None where it cannot be
            determined. None if no frame is known to be lost.
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
        """Return the error to raise for a caller who asks for the damaged part."""
        if self.kind is DamageKind.CHECKSUM:
            return ChecksumError(str(self))
        if self.kind in (DamageKind.TRUNCATED, DamageKind.MISSING):
            return TruncatedStreamError(str(self))
        return BitstreamError(str(self))
