"""Section types of the `.nvc` container: four-letter names, and the set that this release reads.

The case of the first letter says whether a reader may skip a section whose type it does not know:
a capital marks a critical section.
"""

from __future__ import annotations

HEADER, TRACK, METADATA, PACKETS = "HEAD", "trak", "meta", "pack"
SEGMENT, INDEX, END = "SEGM", "indx", "DONE"
TOKENS, CONDITIONING_TOKENS = "toks", "TOKS"
"""Tokens that a picture decoder can skip, and tokens that condition the model and are needed."""
CHAPTERS = "chap"
SECTION_TYPES = frozenset(
    {HEADER, TRACK, METADATA, PACKETS, SEGMENT, INDEX, END, TOKENS, CONDITIONING_TOKENS, CHAPTERS}
)
"""Every section type that this release reads."""


def is_critical(kind: str) -> bool:
    """Return whether a reader that does not know this section type must refuse the file."""
    return not ord(kind[0]) & 0x20
