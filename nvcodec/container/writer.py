"""Writes `.nvc` files front to back, and takes up unfinished or finished ones.

Owns the order of sections and when bytes must be on disk. The layout of each section is
`nvcodec.container.header` and `nvcodec.container.index`; the format is `docs/bitstream.md`.
"""

from __future__ import annotations

import errno
import io
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import BinaryIO, final

from nvcodec.closing import Closing
from nvcodec.container.byte_source import ByteSource
from nvcodec.container.checks import check_preamble
from nvcodec.container.framing import MAGIC, MAJOR, PREAMBLE, Cursor, section
from nvcodec.container.header import (
    HEADER,
    INDEX,
    MAX_TRACKS,
    METADATA,
    PACKETS,
    SEGMENT,
    TRACK,
    Header,
    TokenFormat,
    read_header,
    read_track,
    write_header,
    write_metadata,
    write_track,
)
from nvcodec.container.index import MAX_SECTIONS, Entry, Index, write_end, write_index
from nvcodec.container.packets import read_packets, write_packets
from nvcodec.container.resume_point import finished_entries, intact_prefix
from nvcodec.container.segment_section import Segment, Summary, read_segment, write_segment
from nvcodec.errors import ConfigError
from nvcodec.media import Packet, Track


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """What a file taken up by `Writer.resume` or `Writer.append` already holds.

    Attributes:
        header: Its header.
        tracks: Its tracks, by number.
        segments: Number of segments kept.
        frames: Number of frames kept.
        packets: Number of packets kept, one count per track.
    """

    header: Header
    tracks: tuple[Track, ...]
    segments: int
    frames: int
    packets: tuple[int, ...]


@final
class Writer(Closing):
    """Writes one stream, in this order: header, tracks, then packets and segments, then finish.

    The packets that play during a segment are written *before* it, so that a segment ends a group:
    what `resume` keeps is always whole groups. `segment` and `finish` return once their bytes are on
    disk, where the target is a file.

    Args:
        target: Path, created or emptied; or binary file, written from where it stands (which is
            offset 0 of the stream) and never sought in, so a pipe will do. Closed only if a path.

    Attributes:
        resumed: What the file already held, None for a new one.

    Raises (all methods):
        ConfigError: If a value does not fit the format, or calls come in an impossible order.
        OSError: If writing fails; the file can then be resumed.
    """

    def __init__(self, target: str | os.PathLike[str] | BinaryIO) -> None:
        self._stack = ExitStack()
        self._file = self._opened(target, "wb", self._stack)
        self._reset()

    def _reset(self) -> None:
        self.resumed: Resumed | None = None
        self._entries: list[Entry] = []
        self._offset = 0
        self._tracks = 0
        self._frames = 0
        self._last: Segment | None = None
        self._tokens: TokenFormat | None = None
        self._finished = False

    @classmethod
    def resume(cls, target: str | os.PathLike[str] | BinaryIO) -> Writer:
        """Take up an interrupted file after its last whole segment and cut what follows.

        A file that was cut before its first segment ended is emptied, `resumed` is None, and
        writing starts anew.
        Otherwise header and tracks stay, and the caller goes on with the packets and segments that
        `resumed` does not count; the bytes then equal those of an uninterrupted write.

        Args:
            target: Path, or binary file open for reading and writing.

        Raises:
            BitstreamError: If the file is not the beginning of an `.nvc` stream, or is damaged
                before its first segment; it is left as it was.
        """
        return cls._take_up(target, finished=False)

    @classmethod
    def append(cls, target: str | os.PathLike[str] | BinaryIO) -> Writer:
        """Take up a finished file: cut index and end, keep all else, go on with more segments.

        Args:
            target: Path, or binary file open for reading and writing.

        Raises:
            BitstreamError: If the file is not complete and intact; it is left as it was.
        """
        return cls._take_up(target, finished=True)

    @classmethod
    def _take_up(cls, target: str | os.PathLike[str] | BinaryIO, *, finished: bool) -> Writer:
        with ExitStack() as stack:
            writer = cls.__new__(cls)
            writer._file = cls._opened(target, "r+b", stack)
            writer._reset()
            source = ByteSource(writer._file)
            entries = finished_entries(source) if finished else intact_prefix(source)
            if entries:
                writer._adopt(source, entries)
            writer._file.seek(writer._offset)
            writer._file.truncate()
            writer._stack = stack.pop_all()
        return writer

    def _adopt(self, source: ByteSource, entries: list[Entry]) -> None:
        """Continue after these sections."""
        tracks: list[Track] = []
        counts: Counter[int] = Counter()
        for entry in entries:
            if entry.kind == TRACK:
                tracks.append(read_track(_payload(source, entry)).track)
            elif entry.kind == PACKETS:
                counts[entry.track] += len(read_packets(_payload(source, entry)).packets)
        last = [entry for entry in entries if entry.segment][-1]
        self._last = read_segment(_payload(source, last))
        self._frames = self._last.first_frame + self._last.frames
        self._tracks = len(tracks)
        self._entries = entries
        self._offset = entries[-1].offset + entries[-1].size
        _, minor = check_preamble(source.read(0, len(PREAMBLE)))
        header = read_header(_payload(source, entries[0]), minor)
        self._tokens = header.tokens
        self.resumed = Resumed(
            header=header,
            tracks=tuple(tracks),
            segments=sum(entry.segment is not None for entry in entries),
            frames=self._frames,
            packets=tuple(counts[number] for number in range(len(tracks))),
        )

    def header(self, header: Header) -> None:
        """Write the signature and the header; first of all calls."""
        self._expect(not self._entries, "the header is written once, before all else")
        payload = write_header(header)
        preamble = MAGIC + bytes((MAJOR, header.minor))
        self._put(preamble)
        self._section(HEADER, payload, before=preamble)
        self._tokens = header.tokens

    def metadata(self, entries: Mapping[str, str]) -> None:
        """Write free text; any time after the header. Later values of a key replace earlier ones.

        Args:
            entries: Keys at most 255 bytes of UTF-8, values at most 65535.
        """
        self._expect(bool(self._entries), "the header comes before metadata")
        self._section(METADATA, write_metadata(entries))

    def track(self, track: Track) -> int:
        """Describe a track; after the header, before all packets and segments.

        Returns:
            The number by which `packets` refers to it.
        """
        early = all(entry.kind not in (PACKETS, SEGMENT) for entry in self._entries)
        self._expect(bool(self._entries) and early, "tracks follow the header, before segments")
        self._expect(self._tracks < MAX_TRACKS, f"a file has at most {MAX_TRACKS} tracks")
        self._section(TRACK, write_track(self._tracks, track))
        self._tracks += 1
        return self._tracks - 1

    def packets(self, track: int, packets: Sequence[Packet]) -> None:
        """Write packets of one track, in the order of the source.

        Those that play during a segment belong before it; those left at the end after the last.

        Args:
            track: Number that `track` returned.
            packets: Any number, none included.
        """
        self._expect(0 <= track < self._tracks, f"track {track} of {self._tracks}")
        for payload in list(write_packets(track, packets)):
            self._section(PACKETS, payload, track=track)

    def segment(self, segment: Segment, tokens: bytes | None = None) -> None:
        """Write a segment and wait until it is on disk.

        Args:
            segment: Starts with the frame after the previous segment's last, and later than it.
            tokens: Those of its frames, coded, if the header says that there are tokens.
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
            beside = replace(segment, payload=tokens, predicted=False)
            self._section(kind, write_segment(beside, kind))
        summary = Summary(
            first_frame=segment.first_frame,
            frames=segment.frames,
            start=segment.pts[0],
            predicted=segment.predicted,
        )
        self._section(SEGMENT, payload, summary=summary)
        self._frames += segment.frames
        self._last = replace(segment, payload=b"")  # its times are needed, its bytes are not
        self._sync()

    def finish(self) -> None:
        """Write index and end; nothing can follow. The file is complete once this returns."""
        if self._last is None:
            raise ConfigError("a stream needs at least one segment before it is finished")
        index = write_index(Index(entries=tuple(self._entries), end=self._last.end))
        start = self._offset
        self._section(INDEX, index)
        self._put(write_end(self._offset - start))
        self._finished = True
        self._sync()

    def close(self) -> None:
        """Close the file if it was opened here; does not finish the stream."""
        self._stack.close()

    def _section(
        self,
        kind: str,
        payload: bytes,
        *,
        before: bytes = b"",
        track: int = 0,
        summary: Summary | None = None,
    ) -> None:
        # The index counts toward neither limit nor entries.
        self._expect(
            kind == INDEX or len(self._entries) < MAX_SECTIONS,
            f"a file has at most {MAX_SECTIONS} sections; use longer segments",
        )
        data = section(kind, payload, before=before)
        offset = self._offset
        self._put(data)
        self._entries.append(
            Entry(kind=kind, offset=offset, size=len(data), track=track, segment=summary)
        )

    def _put(self, data: bytes) -> None:
        self._expect(not self._finished, "the stream is finished; open it with Writer.append")
        self._offset += len(data)
        view = memoryview(data)
        while view:
            # Unbuffered files may take less than they are given.
            view = view[self._file.write(view) :]

    def _sync(self) -> None:
        self._file.flush()
        try:
            os.fsync(self._file.fileno())
        except io.UnsupportedOperation:
            pass  # in memory
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # pipes have no disk
                raise

    @staticmethod
    def _expect(condition: bool, message: str) -> None:
        if not condition:
            raise ConfigError(message)

    @staticmethod
    def _opened(target: str | os.PathLike[str] | BinaryIO, mode: str, stack: ExitStack) -> BinaryIO:
        if isinstance(target, (str, os.PathLike)):
            # The mode is always binary, which open() cannot tell from a variable.
            return stack.enter_context(open(target, mode))  # type: ignore[return-value]
        return target


def _payload(source: ByteSource, entry: Entry) -> Cursor:
    return source.payload(source.framing(entry.offset))
