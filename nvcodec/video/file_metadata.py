"""What a file says of itself as a whole: tags, chapters, and streams that have no place elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from av.container import InputContainer, OutputContainer
from av.stream import Disposition, Stream

from nvcodec.media import Chapter

if TYPE_CHECKING:
    from av.container.core import Chapter as ChapterEntry

# About the container itself; whoever writes another one sets its own. The time code of a file is
# that of its time code track, which is reported as lost.
_TECHNICAL = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "duration", "timecode"}
)
_SECOND = 10**9  # ticks of chapters in an output file
# Dates that writers without a clock leave.
_UNSET = ("1970-01-01", "1904-01-01")
MP4_TAGS = frozenset(
    [
        "title",
        "artist",
        "album_artist",
        "composer",
        "album",
        "date",
        "comment",
        "genre",
        "copyright",
        "grouping",
        "lyrics",
        "description",
        "synopsis",
        "show",
        "episode_id",
        "network",
        "keywords",
        "track",
        "disc",
        "performer",
        "creation_time",
        "location",
    ]
)
"""Tags that libav stores in MP4 files."""


def tags_of(container: InputContainer) -> dict[str, str]:
    """Return title, artist, comment, date and other tags of a file, keys in lower case.

    Args:
        container: The opened file.
    """
    tags = {key.lower(): value for key, value in container.metadata.items()}
    return {
        key: value
        for key, value in tags.items()
        if value and key not in _TECHNICAL and not (key == "creation_time" and value[:10] in _UNSET)
    }


def chapters_of(container: InputContainer) -> tuple[Chapter, ...]:
    """Return the chapters of a file, on the clock of its streams.

    Args:
        container: The opened file.
    """
    chapters = []
    for entry in container.chapters():
        base = Fraction(entry["time_base"] or 0)
        start = entry["start"] * base
        end = max(entry["end"] * base, start)
        chapters.append(Chapter(start, end, entry["metadata"].get("title", "")))
    return tuple(chapters)


def lost_streams(container: InputContainer) -> list[str]:
    """Return a line about each kind of stream that is neither video nor sound nor subtitles.

    Args:
        container: The opened file.
    """
    covers: list[str] = []
    attachments: list[str] = []
    data: list[str] = []
    timecode = ""
    for stream in container.streams:
        name = stream.metadata.get("filename", "")
        if stream.type == "video" and stream.disposition & Disposition.attached_pic:
            covers.append(name or f"stream {stream.index}")
        elif stream.type == "attachment":
            attachments.append(name or f"stream {stream.index}")
        elif stream.metadata.get("timecode"):
            timecode = stream.metadata["timecode"]
        elif stream.type in ("data", "unknown") and not _is_chapter_track(container, stream):
            data.append(f"stream {stream.index}" + (f" ({stream.name})" if stream.name else ""))
    lines = []
    if covers:
        lines.append(f"not kept: {_counted(len(covers), 'cover picture')}: {_listed(covers)}")
    if attachments:
        what = _counted(len(attachments), "attachment")
        lines.append(f"not kept: {what}, such as fonts: {_listed(attachments)}")
    if timecode:
        lines.append(f"not kept: the time code, which starts at {timecode}")
    if data:
        lines.append(f"not kept: {_counted(len(data), 'data track')}: {_listed(data)}")
    return lines


def _is_chapter_track(container: InputContainer, stream: Stream) -> bool:
    """Return whether a data track of MP4 holds the titles of chapters, which are read as such."""
    titles = stream.type == "data" and stream.name == "bin_data"
    return titles and container.format.name.startswith("mov") and bool(container.chapters())


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def add_metadata(
    container: OutputContainer, tags: Mapping[str, str], chapters: Sequence[Chapter]
) -> None:
    """Give an output file tags and chapters, before its header is written.

    Args:
        container: The output file.
        tags: Tags by key.
        chapters: Chapters on the clock of its streams.
    """
    container.metadata.update({k: v for k, v in tags.items() if k not in _TECHNICAL})
    listed: list[ChapterEntry] = [
        {
            "id": number,
            "start": max(round(chapter.start * _SECOND), 0),
            "end": max(round(chapter.end * _SECOND), 0),
            "time_base": Fraction(1, _SECOND),
            "metadata": {"title": chapter.title} if chapter.title else {},
        }
        for number, chapter in enumerate(chapters, 1)
    ]
    container.set_chapters(listed)
