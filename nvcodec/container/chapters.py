"""Chapter section of an `.nvc` file, as bytes and back.

The layout is specified in `docs/bitstream.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from nvcodec.container.fields import Cursor, Payload
from nvcodec.container.framing import MAX_TICKS
from nvcodec.container.section_types import CHAPTERS
from nvcodec.container.track_sections import MAX_TEXT
from nvcodec.media import Chapter

MAX_CHAPTERS = 2**14
"""Most chapters of a file."""
_SECOND = 10**9  # ticks
_LEAST_BYTES = 3  # of a chapter: start, duration and length of the title


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaptersSection:
    """The chapters of a file.

    Attributes:
        chapters: Chapters in the order of the source.
    """

    chapters: tuple[Chapter, ...]


def write_chapters(chapters: Sequence[Chapter]) -> bytes:
    """Return the payload of a chap section.

    Args:
        chapters: At most 16384 chapters; times are rounded to nanoseconds.

    Raises:
        ConfigError: If there are too many, a title is too long, or one ends before it starts.
    """
    out, before = Payload(CHAPTERS), 0
    out.varint("chapters", len(chapters), 0, MAX_CHAPTERS)
    for chapter in chapters:
        start, end = round(chapter.start * _SECOND), round(chapter.end * _SECOND)
        out.check("start of a chapter", start, -MAX_TICKS, MAX_TICKS)
        out.signed("start of a chapter", start - before)
        out.varint("duration of a chapter", end - start, 0, MAX_TICKS)
        out.text("title of a chapter", chapter.title, MAX_TEXT)
        before = start
    return bytes(out)


def read_chapters(cursor: Cursor) -> ChaptersSection:
    """Read the payload of a chap section; bytes after the last chapter are ignored.

    Raises:
        BitstreamError: If a field is missing or out of range.
    """
    most = min(MAX_CHAPTERS, cursor.remaining // _LEAST_BYTES)
    chapters: list[Chapter] = []
    start = 0
    for _ in range(cursor.varint("chapters", 0, most)):
        where = cursor.offset
        start += cursor.signed("start of a chapter")
        if abs(start) > MAX_TICKS:
            raise cursor.error(f"a chapter starts at {start}, beyond {MAX_TICKS}", where)
        end = start + cursor.varint("duration of a chapter", 0, MAX_TICKS)
        title = cursor.text("title of a chapter", MAX_TEXT)
        chapters.append(Chapter(Fraction(start, _SECOND), Fraction(end, _SECOND), title))
    return ChaptersSection(chapters=tuple(chapters))
