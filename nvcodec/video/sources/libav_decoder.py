"""Decoding of a video file with libav, in display order, with a record of the damage.

An intact stream is decoded with as many threads as the machine has, and its pictures do not depend
on their number. A damaged stream is different: error concealment in libavcodec depends on how
threads interleave, and frame threads silently drop pictures at the end of a damaged stream. So at
the first error the file is decoded again on one thread, and pictures that were already yielded are
skipped. The number of pictures, their timestamps and the record of the damage therefore depend on
the file alone. The samples of a picture with concealed errors may still differ: libavcodec reads
uninitialised memory there, even on one thread.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.stream import Disposition

from nvcodec.errors import VideoError
from nvcodec.files.spooling import is_pipe
from nvcodec.files.urls import refuse_url
from nvcodec.video.file_metadata import chapters_of, lost_streams, tags_of
from nvcodec.video.sources import exif
from nvcodec.video.sources.clock_jumps import ClockJumps, can_jump
from nvcodec.video.sources.cropping import Crop, crop_of
from nvcodec.video.sources.tile_grid import compose, read_grid

# Demuxers that turn any text or memory dump into a picture.
_NOT_VIDEO = {"tty", "bin", "xbin", "adf", "idf"}


@dataclass(slots=True)
class DecodingDamage:
    """Damage that was met while decoding.

    Attributes:
        packets: Number of packets the decoder rejected.
        pictures: Number of yielded pictures that the decoder marked as damaged.
        truncated: Whether the file ends inside a packet.
        missing: Number of packets that the container announces and does not hold.
        reason: First error message of libav.
    """

    packets: int = 0
    pictures: int = 0
    truncated: bool = False
    missing: int = 0
    reason: str = ""

    def warnings(self, delivered: int) -> list[str]:
        """Return one line that says what was lost and why, or none.

        Args:
            delivered: Number of pictures decoded in all.
        """
        losses = []
        if self.packets:
            losses.append(f"{self.packets} packets could not be decoded ({self.reason})")
        if self.pictures:
            losses.append(f"the decoder concealed errors in {self.pictures} pictures")
        if self.truncated:
            losses.append("the file ends inside a packet")
        if self.missing:
            losses.append(f"{self.missing} packets the container announces are not there")
        if not losses:
            return []
        return [f"damaged source, {delivered} pictures decoded: " + "; ".join(losses)]


class VideoFile:
    """The main video stream of a file, opened for decoding.

    Args:
        path: Path of the file.
        threads: Decoder threads, 0 for one per core.

    Raises:
        VideoError: If the file is missing, is not a video, or libav has no decoder for it.

    Attributes:
        container: The opened container.
        stream: The main video stream, for its properties.
        damage: Damage met so far; `pictures` records it.
        delivered: Number of pictures yielded so far.
        notes: Warnings about the file as a whole.
        tags: Title, artist and so on by key.
        chapters: Chapters on the clock of the pictures.
        crop: What the container asks to cut off each picture.
        jumps: Jumps of its clock, over which the times of the pictures are shifted.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        self.path = path
        self.damage = DecodingDamage()
        self.delivered = 0
        self.notes: list[str] = []
        self._threads = threads
        self._aspects: list[Fraction] = []  # different ones, in the order of their pictures
        self.container = open_container(path)
        self._grid = read_grid(path, self.container)
        self.stream = self._choose()
        self.crop = self._crop()
        self.tags, self.chapters = tags_of(self.container), chapters_of(self.container)
        self.notes += lost_streams(self.container)
        self.jumps = read_clock_jumps(path, self.container)
        self.notes += self.jumps.warnings()

    def pictures(self) -> Generator[av.VideoFrame, None, None]:
        """Decode every picture that can be decoded, in display order.

        Raises:
            VideoError: If it is an animated WebP and this libav build cannot decode one.
        """
        yield from self._pictures()
        if not self.delivered and _is_animated_webp(self.path):
            raise VideoError(
                f"{self.path}: expected a video, found an animated WebP, which this libav build "
                "cannot decode; convert it first, for example to a folder of PNG images: "
                "magick IN.webp -coalesce FOLDER/%04d.png"
            )

    def _pictures(self) -> Iterator[av.VideoFrame]:
        if self._grid is not None:
            composed = compose(self.path, self.container, self._grid)
            self.delivered += 1
            yield composed
            return
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
        self.damage = DecodingDamage()
        for index, picture in enumerate(self._decode(1)):
            if picture is not None and index >= self.delivered:
                self.delivered += 1
                yield picture

    def damage_warnings(self) -> list[str]:
        """Return lines about damage met so far and about a change of the sample aspect ratio."""
        lines = self.damage.warnings(self.delivered)
        if len(self._aspects) > 1:
            first, other = (f"{a.numerator}:{a.denominator}" for a in self._aspects[:2])
            lines.append(
                f"the sample aspect ratio changes mid-stream, from {first} to {other}; all frames "
                "have the first one"
            )
        return lines

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self.container.close()
        # The threads of the decoder end with the last reference to its stream. If that were left to
        # the garbage collector, it might run in a forked process, which would wait for them forever.
        vars(self).pop("stream", None)

    def _choose(self, quiet: bool = False) -> av.VideoStream:
        """Return the main video stream; cover pictures do not count."""
        streams = self.container.streams
        moving = [s for s in streams.video if not s.disposition & Disposition.attached_pic]
        if not moving:
            others = ", ".join(sorted({s.type for s in streams})) or "nothing"
            raise VideoError(f"{self.path}: expected a video stream, found only: {others}")
        best = streams.best("video")
        if self._grid is not None:
            moving = [next(s for s in moving if s.id == self._grid.tiles[0])]
        stream = best if best in moving else moving[0]
        assert isinstance(stream, av.VideoStream)
        if not quiet and len(moving) > 1:
            self.notes.append(
                f"only video stream {stream.index} is read; the file has {len(moving)}"
            )
        # A stream without a decoder has no codec context, although its type says it has.
        if getattr(stream, "codec_context", None) is None:
            raise VideoError(f"{self.path}: no decoder for its video stream in this libav build")
        return stream

    def _crop(self) -> Crop:
        own = [
            s for s in self.container.streams.video if not s.disposition & Disposition.attached_pic
        ]
        return crop_of(self.path, self.container.format.name, own.index(self.stream))

    def _decode(self, threads: int) -> Iterator[av.VideoFrame | None]:
        """Decode the stream; on several threads yield None at the first sign of damage and stop."""
        context = self.stream.codec_context
        context.thread_type = "AUTO" if threads != 1 else "NONE"
        context.thread_count = threads
        single = threads == 1
        if not single:
            # An error must end the pass instead of being concealed: pictures that a damaged
            # reference spoils may be shown before it, and some decoders mark no damage.
            context.options = {"err_detect": "explode"}
        packets = shown = decoded = end = 0
        still = self._holds_images(context.name)
        # A picture then has the `opaque` of its packet.
        context.copy_opaque = still
        jumps = self.jumps.for_another_pass()
        demuxed = self.container.demux(self.stream)
        while True:
            try:
                packet = next(demuxed)
            except StopIteration:
                break
            except av.FFmpegError as error:
                self._record(error)
                packet = None
            last = packet is None or (packet.size == 0 and packet.dts is None)
            if packet is not None and not last:
                packets += 1
                before_jump = jumps.shift(packet)
                shown += not packet.is_discard and not _never_shown(context.name, packet)
                self.damage.truncated |= packet.is_corrupt and not before_jump
                end = (packet.pos or 0) + packet.size
                if still:
                    packet.opaque = exif.orientation_of(bytes(packet))
            elif self.container.format.name == "yuv4mpegpipe" and 0 < end < self.container.size:
                # libav drops a frame that the file ends in without a word.
                self.damage.truncated = True
            try:
                pictures = context.decode(None if last else packet)
            except av.EOFError:
                pictures = []
            except av.FFmpegError as error:
                self._record(error)
                pictures = []
            if not single and (self.damage.packets or self.damage.truncated):
                yield None
                return
            for picture in pictures:
                self.damage.pictures += picture.is_corrupt
                if not single and picture.is_corrupt:
                    yield None
                    return
                decoded += 1
                if picture.key_frame:
                    self._note_aspect(context.sample_aspect_ratio)
                yield picture
            if packet is None:
                break
        if not single and decoded < shown:
            # Frame threads swallow errors of the last packets; a single thread reports them.
            yield None
            return
        if self.damage.packets or self.damage.truncated:
            self.damage.missing = max(self.stream.frames - packets, 0)

    def _note_aspect(self, aspect: Fraction | None) -> None:
        if aspect and len(self._aspects) < 2 and aspect not in self._aspects:
            self._aspects.append(aspect)

    def _holds_images(self, codec: str) -> bool:
        """Return whether the file is a still image, or several, with EXIF tags of their own."""
        name = self.container.format.name
        return codec in exif.CODECS and (name == "image2" or name.endswith("_pipe"))

    def _record(self, error: av.FFmpegError) -> None:
        self.damage.packets += 1
        self.damage.reason = self.damage.reason or str(error.strerror or error)


def open_container(path: Path) -> av.container.InputContainer:
    """Open a file for demuxing; every failure is an error of one line.

    Args:
        path: Path of the file.

    Raises:
        VideoError: If there is no such file or libav cannot read it.
    """
    refuse_url(path)
    if not path.exists():
        raise VideoError(f"{path}: no such file")
    if is_pipe(path):
        # It is opened more than once: a second time it would be empty, or wait for ever.
        raise VideoError(f"{path}: expected a video file, found a pipe; save it to a file first")
    if path.is_dir():
        raise VideoError(f"{path}: expected a video file, found a directory")
    if path.is_file() and path.stat().st_size == 0:
        raise VideoError(f"{path}: expected a video file, found an empty file")
    if not os.access(path, os.R_OK):
        raise VideoError(f"{path}: not readable; check its permissions")
    try:
        # Without the prefix a colon in a file name would be read as a protocol.
        container = av.open(f"file:{path}", "r", metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise VideoError(f"{path}: expected a video file, libav says: {reason}") from error
    if container.format.name in _NOT_VIDEO:
        container.close()
        raise VideoError(f"{path}: expected a video file, found text")
    return container


def read_clock_jumps(path: Path, container: av.container.InputContainer) -> ClockJumps:
    """Find where the clock of a file jumps; a file whose format allows it is read once more.

    Args:
        path: Path of the file.
        container: The opened file.

    Raises:
        VideoError: If the file cannot be opened again.
    """
    if not can_jump(container):
        return ClockJumps()
    with open_container(path) as again:
        return ClockJumps.scan(again)


def _is_animated_webp(path: Path) -> bool:
    """Return whether a file is WebP and its extended header announces an animation."""
    with path.open("rb") as file:
        head = file.read(21)
    return len(head) == 21 and head[8:16] == b"WEBPVP8X" and bool(head[20] & 2)


def _never_shown(codec: str, packet: av.Packet[av.VideoStream]) -> bool:
    """Return whether a packet holds a picture that is never shown (a VP8 alternate reference)."""
    if codec not in ("vp8", "libvpx"):
        return False
    data = bytes(memoryview(packet)[:1])
    return bool(data) and not (data[0] >> 4) & 1
