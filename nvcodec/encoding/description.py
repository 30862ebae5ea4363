"""Tags and chapters of a source, as an encode stores them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from nvcodec.container.chapters import MAX_CHAPTERS
from nvcodec.container.track_sections import MAX_ENTRIES, MAX_NAME, MAX_TEXT
from nvcodec.media import Chapter, cut_chapters
from nvcodec.video.sources.source import Source

_SECTION_BYTES = 16  # of framing and index, at most
_TAG_BYTES, _CHAPTER_BYTES = 4, 16  # of lengths and times, about


@dataclass(frozen=True, slots=True)
class Description:
    """Tags and chapters that an encode stores.

    Attributes:
        tags: Title, artist and so on by key.
        chapters: Chapters on the source's clock, from the first frame on.
        whole: Whether the whole video is encoded; the chapters of a part end with it.
        omitted: Number of tags and chapters that the format cannot hold.
    """

    tags: dict[str, str]
    chapters: tuple[Chapter, ...]
    whole: bool
    omitted: int

    @classmethod
    def of(cls, source: Source, *, whole: bool) -> Description:
        """Return what is stored of a source.

        Args:
            source: The source.
            whole: Whether all of its frames are encoded.
        """
        tags = {
            key: value
            for key, value in source.tags.items()
            if _size(key) <= MAX_NAME and _size(value) <= MAX_TEXT
        }
        tags = dict(list(tags.items())[:MAX_ENTRIES])
        chapters = [c for c in source.chapters if _size(c.title) <= MAX_TEXT][:MAX_CHAPTERS]
        omitted = len(source.tags) - len(tags) + len(source.chapters) - len(chapters)
        return cls(tags, tuple(chapters), whole, omitted)

    @property
    def bytes(self) -> int:
        """Size that they take in a file, about."""
        tags = sum(_size(key) + _size(value) + _TAG_BYTES for key, value in self.tags.items())
        titles = sum(_size(chapter.title) + _CHAPTER_BYTES for chapter in self.chapters)
        sections = bool(self.tags) + bool(self.chapters)
        return tags + titles + sections * _SECTION_BYTES

    def chapters_of(self, start: Fraction, end: Fraction) -> Sequence[Chapter]:
        """Return the chapters of the encoded frames.

        Args:
            start: Time of the first frame, seconds.
            end: Time at which the last one ends, seconds.
        """
        return self.chapters if self.whole else cut_chapters(self.chapters, start, end)

    def warnings(self) -> list[str]:
        """Return a line about what is not stored, or none."""
        if not self.omitted:
            return []
        return [f"{self.omitted} tags or chapters are too long or too many; they are not kept"]


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
