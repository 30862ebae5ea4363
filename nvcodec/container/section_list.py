"""Lists of the sections and the segments of a file, as columns of numbers.

A file may have a million sections. An entry is an object only while somebody looks at it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from nvcodec.container.section_types import SEGMENT
from nvcodec.container.segment_section import SegmentSummary
from nvcodec.media import BoolArray, Int64Array

OTHER = "other"
"""Kind of a section of a type that the index has no code for."""

Records = npt.NDArray[np.void]
RECORD = np.dtype(
    [
        ("kind", "S5"),
        ("track", np.uint8),
        ("predicted", np.bool_),
        ("offset", np.int64),
        ("size", np.int64),
        ("first_frame", np.int64),
        ("frames", np.int32),  # 0 for sections that are no segments
        ("start", np.int64),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexEntry:
    """One section as the index lists it.

    Attributes:
        kind: Section type, or `OTHER` for a type the index has no code for.
        offset: Byte offset of the section.
        size: Size of the section, bytes, type and CRC included.
        track: Number of the track that a packets section belongs to, else 0.
        segment: Frames and start of a segment section, else None.
    """

    kind: str
    offset: int
    size: int
    track: int = 0
    segment: SegmentSummary | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentEntry:
    """Position and frames of a segment, as the index lists them.

    Attributes:
        index: Position in `Reader.segments`.
        first_frame: Number of its first frame in the video.
        frames: Number of frames.
        start: Timestamp of its first frame, ticks of the video's time base.
        predicted: Whether decoding needs the decoded state of the previous segment.
        offset: Byte offset of the section.
        size: Size of the section, bytes, framing and timestamps included.
    """

    index: int
    first_frame: int
    frames: int
    start: int
    predicted: bool
    offset: int
    size: int

    @property
    def stop_frame(self) -> int:
        """Number of the frame after its last."""
        return self.first_frame + self.frames


class SectionList(Sequence[IndexEntry]):
    """The sections of a file, in order.

    Args:
        records: One record of type `RECORD` per section.

    Attributes:
        records: The same.
    """

    def __init__(self, records: Records) -> None:
        self.records = records

    @classmethod
    def of(cls, entries: Iterable[IndexEntry]) -> SectionList:
        """Return a list of sections that are objects already."""
        collected = SectionCollector()
        for entry in entries:
            collected.append(entry)
        return collected.sections()

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, place: int) -> IndexEntry: ...
    @overload
    def __getitem__(self, place: slice) -> SectionList: ...
    def __getitem__(self, place: int | slice) -> IndexEntry | SectionList:
        if isinstance(place, slice):
            return SectionList(self.records[place])
        kind, track, predicted, offset, size, first_frame, frames, start = self.records[
            place
        ].item()
        summary = None
        if frames:
            summary = SegmentSummary(
                first_frame=first_frame, frames=frames, start=start, predicted=predicted
            )
        return IndexEntry(
            kind=kind.decode("ascii"), offset=offset, size=size, track=track, segment=summary
        )

    def are_of(self, *kinds: str) -> BoolArray:
        """Return for every section whether it is of one of these kinds."""
        found = np.zeros(len(self), np.bool_)
        for kind in kinds:
            found |= self.records["kind"] == kind.encode("ascii")
        return found

    def of_kind(self, *kinds: str) -> SectionList:
        """Return the sections of these kinds."""
        return SectionList(self.records[self.are_of(*kinds)])

    @property
    def bytes(self) -> int:
        """Size of all of them, bytes, framing included."""
        return int(self.records["size"].sum())


class SectionCollector:
    """Collects sections one by one, for a `SectionList`."""

    def __init__(self) -> None:
        self._records = np.empty(64, RECORD)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, entry: IndexEntry) -> None:
        """Add a section behind the others."""
        if self._count == len(self._records):
            self._records = np.concatenate([self._records, np.empty_like(self._records)])
        segment = entry.segment
        numbers = (segment.first_frame, segment.frames, segment.start) if segment else (0, 0, 0)
        predicted = segment is not None and segment.predicted
        self._records[self._count] = (
            entry.kind.encode("ascii"), entry.track, predicted, entry.offset, entry.size, *numbers
        )  # fmt: skip
        self._count += 1

    def sections(self) -> SectionList:
        """Return the sections collected so far."""
        return SectionList(self._records[: self._count])


class SegmentList(Sequence[SegmentEntry]):
    """The segments of a file, in order.

    Args:
        sections: All sections of the file.

    Attributes:
        places: Position of every segment among the sections.
    """

    def __init__(self, sections: SectionList) -> None:
        self.places = np.flatnonzero(sections.are_of(SEGMENT))
        first, stop = (self.places[0], self.places[-1] + 1) if len(self.places) else (0, 0)
        # Without other sections in between, a copy is spared.
        consecutive = stop - first == len(self.places)
        self._records = sections.records[slice(first, stop) if consecutive else self.places]
        self._chain_begins: Int64Array | None = None

    def __len__(self) -> int:
        return len(self._records)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SegmentList):
            return NotImplemented
        return bool(np.array_equal(self._records, other._records))

    __hash__ = None  # type: ignore[assignment]

    @overload
    def __getitem__(self, place: int) -> SegmentEntry: ...
    @overload
    def __getitem__(self, place: slice) -> list[SegmentEntry]: ...
    def __getitem__(self, place: int | slice) -> SegmentEntry | list[SegmentEntry]:
        if isinstance(place, slice):
            return [self[number] for number in range(len(self))[place]]
        _, _, predicted, offset, size, first_frame, frames, start = self._records[place].item()
        return SegmentEntry(
            index=place if place >= 0 else place + len(self),
            first_frame=first_frame,
            frames=frames,
            start=start,
            predicted=predicted,
            offset=offset,
            size=size,
        )

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return one number of every segment.

        Args:
            name: Name of a field of `RECORD`.

        Returns:
            Shape (segments,).
        """
        return self._records[name]

    @property
    def chain_begins(self) -> Int64Array:
        """Number of the segment at which decoding of each segment begins, shape (segments,).

        It is the last one up to the segment that is not predicted. A predicted one stands for a loss:
        the segment before it, which it needs, is missing.
        """
        # Not a `cached_property`: until Python 3.12 it takes a lock, which a fork may find locked.
        if self._chain_begins is None:
            first_frames, frames = self.column("first_frame"), self.column("frames")
            begins = ~self.column("predicted")
            begins[:1] = True
            begins[1:] |= first_frames[1:] != first_frames[:-1] + frames[:-1]
            self._chain_begins = np.maximum.accumulate(np.where(begins, np.arange(len(self)), 0))
        return self._chain_begins

    def between(self, start: int, stop: int) -> range:
        """Return the numbers of the segments that hold frames of a range.

        Args:
            start: Number of the first frame.
            stop: Number after the last frame.
        """
        first_frames = self.column("first_frame")
        first = int(np.searchsorted(first_frames, start, "right")) - 1
        if first < 0 or self[first].stop_frame <= start:
            first += 1
        last = int(np.searchsorted(first_frames, stop, "left")) if start < stop else first
        return range(first, max(first, last))

    def shown(self, start: float, end: float, time_base: Fraction) -> range:
        """Return the numbers of the segments of which a part may be shown in a time range.

        Args:
            start: Start of the range, seconds, possibly infinite.
            end: End of the range, seconds, possibly infinite.
            time_base: Seconds per tick.
        """

        def begins(entry: SegmentEntry) -> float:
            return float(entry.start * time_base)

        # Only the last frame of a segment may still be shown when the next segment starts.
        first = max(bisect_right(self, start, key=begins) - 1, 0)
        return range(first, bisect_left(self, end, key=begins))
