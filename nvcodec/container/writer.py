"""Writing of `.nvc` files front to back, and continuation of unfinished or finished ones.

Owns the order of sections and the points at which bytes must be on disk. The layout of each section
is in a module of its own; the format is specified in `docs/bitstream.md`.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import BinaryIO, final

from nvcodec.closing import Closing
from nvcodec.container.byte_source import ByteSource
from nvcodec.container.chapters import write_chapters
from nvcodec.container.framing import MAGIC, MAJOR, write_section
from nvcodec.container.header import Header, write_header
from nvcodec.container.index import MAX_SECTIONS, Index, write_end, write_index
from nvcodec.container.packets import write_packets
from nvcodec.container.resume_point import (
    Resumed,
    finished_entries,
    intact_prefix,
    read_kept_sections,
)
from nvcodec.container.section_list import IndexEntry
from nvcodec.container.section_types import (
    CHAPTERS,
    HEADER,
    INDEX,
    METADATA,
    PACKETS,
    SEGMENT,
    TRACK,
)
from nvcodec.container.segment_section import Segment, SegmentSummary, write_segment
from nvcodec.container.token_format import TokenFormat
from nvcodec.container.track_sections import MAX_TRACKS, write_metadata, write_track
from nvcodec.errors import ConfigError
from nvcodec.media import Chapter, Packet, Track

_MINOR_OF_CHAPTERS = 2  # lowest minor version of a file with chapters


@final
class Writer(Closing):
    """Writes one stream, in this order: header, tracks, then packets and segments, then finish.

    The packets that play during a segment are written *before* it, so that a segment ends a group
    and `resume` keeps whole groups only. If the target is a file, `segment` and `finish` return
    once their bytes are on disk.

    Args:
        target: Path of a file, which is created or emptied; or binary file, written from its
            current position (offset 0 of the stream) without seeking, so a pipe will do. `close`
            closes only a file that was opened from a path.

    Attributes:
        resumed: Contents the file already held when it was resumed or appended to, None for a new
            one.

    Raises (all methods):
        ConfigError: If a value does not fit the format, or calls come in an impossible order.
        OSError: If writing fails; the file can then be resumed.
    """

    def __init__(self, target: str | os.PathLike[str] | BinaryIO) -> None:
        self._stack = ExitStack()
        self._file = self._open(target, "wb", self._stack)
        self._reset()

    def _reset(self) -> None:
        self.resumed: Resumed | None = None
        self._entries: list[IndexEntry] = []
        self._offset = 0
        self._tracks = 0
        self._frames = 0
        self._last: Segment | None = None
        self._tokens: TokenFormat | None = None
        self._minor = 0
        self._finished = False

    @classmethod
    def resume(cls, target: str | os.PathLike[str] | BinaryIO) -> Writer:
        """Continue an interrupted file after its last whole segment and cut what follows.

        A file that was cut before its first segment ended is emptied, `resumed` is None, and
        writing starts anew. Otherwise header and tracks stay, and the caller continues with the
        packets and segments that `resumed` does not count. The bytes then equal those of an
        uninterrupted write.

        Args:
            target: Path, or binary file open for reading and writing.

        Returns:
            A writer positioned after the last segment that is kept.

        Raises:
            BitstreamError: If the file is not the beginning of an `.nvc` stream, or is damaged
                before its first segment; the file is not changed.
        """
        return cls._continue(target, finished=False)

    @classmethod
    def append(cls, target: str | os.PathLike[str] | BinaryIO) -> Writer:
        """Continue a finished file with more segments: cut chapters, index and end, keep the rest.

        Args:
            target: Path, or binary file open for reading and writing.

        Returns:
            A writer positioned after the last section that is kept.

        Raises:
            BitstreamError: If the file is not complete and intact; the file is not changed.
        """
        return cls._continue(target, finished=True)

    @classmethod
    def _continue(cls, target: str | os.PathLike[str] | BinaryIO, *, finished: bool) -> Writer:
        with ExitStack() as stack:
            writer = cls.__new__(cls)
            writer._file = cls._open(target, "r+b", stack)
            writer._reset()
            source = ByteSource(writer._file)
            entries = finished_entries(source) if finished else intact_prefix(source)
            while entries and entries[-1].kind == CHAPTERS:
                entries.pop()  # they stand last
            if entries:
                writer._restore(source, entries)
            writer._file.seek(writer._offset)
            writer._file.truncate()
            writer._stack = stack.pop_all()
        return writer

    def _restore(self, source: ByteSource, entries: list[IndexEntry]) -> None:
        """Set the state that follows these sections."""
        self.resumed, self._last = read_kept_sections(source, entries)
        self._frames = self.resumed.frames
        self._tracks = len(self.resumed.tracks)
        self._tokens = self.resumed.header.tokens
        self._minor = source.read(len(MAGIC) + 1, 1)[0]
        self._entries = entries
        self._offset = entries[-1].offset + entries[-1].size

    def header(self, header: Header, *, chapters: bool = False) -> None:
        """Write the signature and the header; this call comes first.

        Args:
            header: The header.
            chapters: Whether chapters may follow; they raise the minor version of the file.
        """
        self._expect(not self._entries, "the header is written once, before all else")
        payload = write_header(header)
        self._minor = max(header.minor, _MINOR_OF_CHAPTERS if chapters else 0)
        preamble = MAGIC + bytes((MAJOR, self._minor))
        self._put(preamble)
        self._section(HEADER, payload, before=preamble)
        self._tokens = header.tokens

    def metadata(self, entries: Mapping[str, str]) -> None:
        """Write free text, at any time after the header.

        Args:
            entries: Key to value; keys at most 255 bytes of UTF-8, values at most 65535. A later
                value of a key replaces an earlier one.
        """
        self._expect(bool(self._entries), "the header comes before metadata")
        self._section(METADATA, write_metadata(entries))

    def track(self, track: Track) -> int:
        """Write the description of a track, after the header and before all packets and segments.

        Args:
            track: The track.

        Returns:
            The number by which `packets` refers to the track.
        """
        early = all(entry.kind not in (PACKETS, SEGMENT) for entry in self._entries)
        self._expect(bool(self._entries) and early, "tracks follow the header, before segments")
        self._expect(self._tracks < MAX_TRACKS, f"a file has at most {MAX_TRACKS} tracks")
        self._section(TRACK, write_track(self._tracks, track))
        self._tracks += 1
        return self._tracks - 1

    def packets(self, track: int, packets: Sequence[Packet]) -> None:
        """Write packets of one track, in the order of the source.

        Packets that play during a segment are written before it, and packets that remain at the end
        after the last segment.

        Args:
            track: Number that the method `track` returned.
            packets: Packets, possibly none.
        """
        self._expect(0 <= track < self._tracks, f"track {track} of {self._tracks}")
        for payload in list(write_packets(track, packets)):
            self._section(PACKETS, payload, track=track)

    def segment(self, segment: Segment, tokens: bytes | None = None) -> None:
        """Write a segment and wait until it is on disk.

        Args:
            segment: Segment that starts with the frame after the previous segment's last, at a
                later time.
            tokens: Coded tokens of its frames; given if and only if the header has a token format.
        """
        self._expect(bool(self._entries), "the header comes before segments")
        self._expect(
            segment.first_frame == self._frames,
            f"the next segment starts with frame {self._frames}, got {segment.first_frame}",
        )
        payload = write_segment(segment)
        self._expect(
            self._last is None or segment.pts[0] > self._last.pts[-1],
            "a segment must start after the last frame of the previous one",
        )
        self._expect(
            (tokens is None) == (self._tokens is None),
            "every segment of a file has tokens, or none has: the header says which",
        )
        if tokens is not None and self._tokens is not None:
            kind = self._tokens.section
            token_segment = replace(segment, payload=tokens, predicted=False)
            self._section(kind, write_segment(token_segment, kind))
        summary = SegmentSummary(
            first_frame=segment.first_frame,
            frames=segment.frames,
            start=segment.pts[0],
            predicted=segment.predicted,
        )
        self._section(SEGMENT, payload, summary=summary)
        self._frames += segment.frames
        self._last = replace(segment, payload=b"")  # only its times are needed
        self._sync()

    def chapters(self, chapters: Sequence[Chapter]) -> None:
        """Write the chapters, as the last section before `finish`.

        Args:
            chapters: Chapters in the order of the source; the header has announced them.
        """
        self._expect(self._last is not None, "chapters follow the last segment")
        self._expect(
            self._minor >= _MINOR_OF_CHAPTERS, "the header says that the file has no chapters"
        )
        self._section(CHAPTERS, write_chapters(chapters))

    def finish(self) -> None:
        """Write index and end. The file is complete once this returns, and nothing can follow."""
        if self._last is None:
            raise ConfigError("a stream needs at least one segment before it is finished")
        index = write_index(Index(entries=tuple(self._entries), end=self._last.end))
        start = self._offset
        self._section(INDEX, index)
        self._put(write_end(self._offset - start))
        self._finished = True
        self._sync()

    def close(self) -> None:
        """Close the file if it was opened from a path; the stream is not finished."""
        self._stack.close()

    def _section(
        self,
        kind: str,
        payload: bytes,
        *,
        before: bytes = b"",
        track: int = 0,
        summary: SegmentSummary | None = None,
    ) -> None:
        # The index does not count towards the limit.
        self._expect(
            kind == INDEX or len(self._entries) < MAX_SECTIONS,
            f"a file has at most {MAX_SECTIONS} sections; use longer segments",
        )
        data = write_section(kind, payload, before=before)
        offset = self._offset
        self._put(data)
        self._entries.append(
            IndexEntry(kind=kind, offset=offset, size=len(data), track=track, segment=summary)
        )

    def _put(self, data: bytes) -> None:
        self._expect(not self._finished, "the stream is finished; open it with Writer.append")
        self._offset += len(data)
        view = memoryview(data)
        while view:
            # An unbuffered file may write less than it is given.
            view = view[self._file.write(view) :]

    def _sync(self) -> None:
        self._file.flush()
        try:
            os.fsync(self._file.fileno())
        except io.UnsupportedOperation:
            pass  # a file in memory
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a pipe cannot be synced
                raise

    @staticmethod
    def _expect(condition: bool, message: str) -> None:
        if not condition:
            raise ConfigError(message)

    @staticmethod
    def _open(target: str | os.PathLike[str] | BinaryIO, mode: str, stack: ExitStack) -> BinaryIO:
        if isinstance(target, (str, os.PathLike)):
            # The mode is binary, which the type of open() does not show for a variable.
            return stack.enter_context(open(target, mode))  # type: ignore[return-value]
        return target
