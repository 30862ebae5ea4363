"""Decoded libav pictures of a file in display order, and an account of what was damaged.

A sound stream is decoded with as many threads as the machine has, and its pictures do not depend on
how many. A damaged one is not: error concealment in libavcodec depends on how threads interleave,
and frame threads drop pictures at the end of a broken stream without a word. So at the first error
the file is decoded again on one thread, skipping what was already handed out. The number of
pictures, their times and the account of the damage are therefore a function of the file alone. The
samples of a picture whose errors were concealed are not quite: libavcodec is known to read memory
it did not set there, on one thread too.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
from av.stream import Disposition

from nvcodec.errors import VideoError

# Demuxers that make a picture out of any text or memory dump.
_NOT_VIDEO = {"tty", "bin", "xbin", "adf", "idf"}


@dataclass(slots=True)
class Damage:
    """What went wrong while decoding.

    Attributes:
        packets: Packets the decoder refused.
        pictures: Pictures handed out that the decoder marked as damaged.
        truncated: The file ends inside a packet.
        missing: Packets the container announces that are not there.
        reason: What libav said first.
    """

    packets: int = 0
    pictures: int = 0
    truncated: bool = False
    missing: int = 0
    reason: str = ""

    def warnings(self, delivered: int) -> list[str]:
        """One line saying what was lost and why, or none.

        Args:
            delivered: Pictures decoded in all.
        """
        found = []
        if self.packets:
            found.append(f"{self.packets} packets could not be decoded ({self.reason})")
        if self.pictures:
            found.append(f"the decoder concealed errors in {self.pictures} pictures")
        if self.truncated:
            found.append("the file ends inside a packet")
        if self.missing:
            found.append(f"{self.missing} packets the container announces are not there")
        if not found:
            return []
        return [f"damaged source, {delivered} pictures decoded: " + "; ".join(found)]


class VideoFile:
    """The main video stream of a file.

    Args:
        path: A file.
        threads: Decoder threads, 0 for one per core.

    Raises:
        VideoError: If the file is missing, is not a video, or has no decoder here.

    Attributes:
        stream: The chosen stream, for its properties.
        damage: Filled in by `pictures`.
        notes: Warnings about the file as a whole.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        self.path = path
        self.damage = Damage()
        self.delivered = 0
        self.notes: list[str] = []
        self._threads = threads
        self.container = open_container(path)
        self.stream = self._choose()

    def pictures(self) -> Generator[av.VideoFrame, None, None]:
        """Every picture that can be decoded, in display order."""
        for picture in self._decode(self._threads):
            if picture is None:
                break
            self.delivered += 1
            yield picture
        else:
            return
        self.container.close()
        self.container = open_container(self.path)
        self.stream = self._choose(quiet=True)
        self.damage = Damage()
        for index, picture in enumerate(self._decode(1)):
            if picture is not None and index >= self.delivered:
                self.delivered += 1
                yield picture

    def close(self) -> None:
        """Release the file; harmless when repeated."""
        self.container.close()

    def _choose(self, quiet: bool = False) -> av.VideoStream:
        streams = self.container.streams
        moving = [s for s in streams.video if not s.disposition & Disposition.attached_pic]
        if not moving:
            others = ", ".join(sorted({s.type for s in streams})) or "nothing"
            raise VideoError(f"{self.path}: expected a video stream, found only: {others}")
        best = streams.best("video")
        stream = best if best in moving else moving[0]
        assert isinstance(stream, av.VideoStream)
        if not quiet and len(moving) > 1:
            self.notes.append(
                f"only video stream {stream.index} is read; the file has {len(moving)}"
            )
        # A stream without a decoder has no codec context, whatever its annotation says.
        if getattr(stream, "codec_context", None) is None:
            raise VideoError(f"{self.path}: no decoder for its video stream in this libav build")
        return stream

    def _decode(self, threads: int) -> Iterator[av.VideoFrame | None]:
        """Pictures; with several threads None, once, at the first sign of damage."""
        context = self.stream.codec_context
        context.thread_type = "AUTO" if threads != 1 else "NONE"
        context.thread_count = threads
        careful = threads == 1
        if not careful:
            # Errors must end the pass when they are met, not pass as concealed pictures: what a
            # damaged reference spoils may be shown before it, and some decoders mark nothing.
            context.options = {"err_detect": "explode"}
        packets = shown = found = 0
        feed = self.container.demux(self.stream)
        while True:
            try:
                packet = next(feed)
            except StopIteration:
                break
            except av.FFmpegError as error:
                self._refused(error)
                packet = None
            last = packet is None or (packet.size == 0 and packet.dts is None)
            if packet is not None and not last:
                packets += 1
                shown += not packet.is_discard and not _hidden(context.name, packet)
                self.damage.truncated |= packet.is_corrupt
            try:
                pictures = context.decode(None if last else packet)
            except av.EOFError:
                pictures = []
            except av.FFmpegError as error:
                self._refused(error)
                pictures = []
            if not careful and (self.damage.packets or self.damage.truncated):
                yield None
                return
            for picture in pictures:
                self.damage.pictures += picture.is_corrupt
                if not careful and picture.is_corrupt:
                    yield None
                    return
                found += 1
                yield picture
            if packet is None:
                break
        if not careful and found < shown:
            # Frame threads swallow errors of the last packets; one thread tells.
            yield None
            return
        if self.damage.packets or self.damage.truncated:
            self.damage.missing = max(self.stream.frames - packets, 0)

    def _refused(self, error: av.FFmpegError) -> None:
        self.damage.packets += 1
        self.damage.reason = self.damage.reason or str(error.strerror or error)


def open_container(path: Path) -> av.container.InputContainer:
    """A file opened for reading, every failure told in one line.

    Args:
        path: A file.

    Raises:
        VideoError: If there is no such file or libav cannot read it.
    """
    if not path.exists():
        raise VideoError(f"{path}: no such file")
    if path.is_dir():
        raise VideoError(f"{path}: expected a video file, found a directory")
    if path.is_file() and path.stat().st_size == 0:
        raise VideoError(f"{path}: expected a video file, found an empty file")
    if not os.access(path, os.R_OK):
        raise VideoError(f"{path}: not readable; check its permissions")
    try:
        # The prefix keeps a colon in a file name from being taken for a protocol.
        container = av.open(f"file:{path}", "r", metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise VideoError(f"{path}: expected a video file, libav says: {reason}") from error
    if container.format.name in _NOT_VIDEO:
        container.close()
        raise VideoError(f"{path}: expected a video file, found text")
    return container


def _hidden(codec: str, packet: av.Packet[av.VideoStream]) -> bool:
    """Whether a packet carries a picture that is never shown (the alternate reference of VP8)."""
    if codec not in ("vp8", "libvpx"):
        return False
    data = bytes(memoryview(packet)[:1])
    return bool(data) and not (data[0] >> 4) & 1
