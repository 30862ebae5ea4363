"""One output file of an encode: the segments stored so far, the budget left, and the writer.

Most encodes have one output file. A ladder has several, which are written together, segment by
segment, and each of which is resumed from its own state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from nvcodec.container import Header, Reader, Segment, Writer
from nvcodec.encoding.description import Description
from nvcodec.encoding.partial_file import PartialFile
from nvcodec.encoding.rate_allocation import RateBudget
from nvcodec.errors import ConfigError
from nvcodec.fitting.interface import CodedSegment
from nvcodec.media import Chapter, Frames, Packet, Track
from nvcodec.models.base.config import ModelConfig
from nvcodec.reconstruction.payload import split_payload
from nvcodec.tokenizer.token_sections import read_token_section, token_section_bytes


@dataclass(frozen=True, slots=True)
class SegmentTiming:
    """Timestamps, durations, number of pixels and a hash of the pictures of a segment.

    Attributes:
        pts: Presentation timestamp of each frame in ticks of the time base.
        durations: Duration of each frame in ticks of the time base.
        pixels: Number of pixels, over all frames.
        pictures: SHA-256 of all samples that are fitted.
    """

    pts: tuple[int, ...]
    durations: tuple[int, ...]
    pixels: int
    pictures: str

    @classmethod
    def of(cls, frames: Frames) -> SegmentTiming:
        """Return the timing of the frames of a segment."""
        digest = hashlib.sha256()
        for plane in (frames.y, frames.u, frames.v, frames.valid_mask):
            if plane is not None:
                digest.update(np.ascontiguousarray(plane).data)
        return cls(
            pts=tuple(frames.pts.tolist()),
            durations=tuple(frames.durations.tolist()),
            pixels=frames.y.size,
            pictures=digest.hexdigest(),
        )

    def __len__(self) -> int:
        return len(self.pts)


class OutputFile:
    """An output file, which grows by one segment at a time.

    Args:
        partial: Partial file to write.
        budget: Budget that allocates the size of the file.

    Attributes:
        partial: The partial file.
        budget: The budget, which has accounted for every segment counted so far.
        header: Header of the stream; None until it is written.
        segments: Number of segments counted so far, stored by an earlier run or added by this one.
        frames: Number of frames of these segments.
        parameters: Number of stored values of these segments.
        macs_per_pixel: Multiply-accumulate operations per pixel of a decoded frame, in the first
            segment.
    """

    def __init__(self, partial: PartialFile, budget: RateBudget) -> None:
        self.partial, self.budget = partial, budget
        self.header: Header | None = None
        self.segments = self.frames = self.parameters = 0
        self.macs_per_pixel = 0.0
        self._writer: Writer | None = None
        self._stored: Reader | None = None

    def open(self, stack: ExitStack, identity: dict[str, Any], *, resume: bool) -> None:
        """Create the partial file, or open the one of an interrupted encode.

        Args:
            stack: Closes the file at the end of the encode.
            identity: Identity of the encode; see `PartialFile.open`.
            resume: Whether to resume an interrupted encode.

        Raises:
            ConfigError: If the partial file belongs to another encode or is damaged beyond repair.
            VideoError: If the file cannot be written.
        """
        writer = self.partial.open(identity, resume=resume)
        if writer is None:  # the interrupted encode had renamed it, but not yet all other files
            self._stored = stack.enter_context(Reader(self.partial.target))
            self.header = self._stored.header
            return
        self._writer = stack.enter_context(writer)
        if writer.resumed:
            self._stored = stack.enter_context(Reader(self.partial.path))
            self.header = writer.resumed.header

    @property
    def next_is_stored(self) -> bool:
        """Whether an earlier run has stored the segment after those counted."""
        return self._stored is not None and self.segments < len(self._stored.segments)

    def stored_packet_counts(self) -> Sequence[int] | None:
        """Return the number of packets per track that precede the first segment to be added.

        Returns:
            The numbers, empty for a new file; None for a finished file.
        """
        if self._writer is None:
            return None
        return self._writer.resumed.packets if self._writer.resumed else ()

    def stored_segment(
        self, number: int, first_frame: int, timing: SegmentTiming
    ) -> CodedSegment | None:
        """Return the coded segment that an earlier run has stored; None if there is none.

        Args:
            number: Number of the segment, from 0.
            first_frame: Number of its first frame in the video, from 0.
            timing: Timing of the frames that the stored segment must have.

        Raises:
            ConfigError: If the stored segment holds other frames.
        """
        if self._stored is None or self.header is None or number >= len(self._stored.segments):
            return None
        segment = self._stored.segment(number)
        same = (segment.first_frame, tuple(segment.pts)) == (first_frame, timing.pts)
        if not (same and self.partial.holds_pictures(number, timing.pictures)):
            raise ConfigError(
                f"{self.partial.path} cannot be resumed: its segment {number} does not "
                "hold the frames it would now; pass -y (overwrite) to start anew"
            )
        config, body = split_payload(segment, self.header)
        fsq_indices = None
        if self.header.tokens and self.header.tokens.conditioning:
            _, fsq_indices, _ = read_token_section(self._stored, number)
        return CodedSegment(config=config, body=body, fsq_indices=fsq_indices)

    def begin(self, header: Header, tracks: Sequence[Track], description: Description) -> Header:
        """Write the header, tags and the tracks, unless the file has them already.

        Args:
            header: Header of the stream.
            tracks: Audio and subtitle tracks.
            description: Tags, and the chapters that may follow.

        Returns:
            Header that the file has.
        """
        if self._writer is None or self.header is not None:
            return self.header or header
        self.header = header
        self._writer.header(header, chapters=bool(description.chapters))
        if description.tags:
            self._writer.metadata(description.tags)
        for track in tracks:
            self._writer.track(track)
        return header

    def add(
        self,
        timing: SegmentTiming,
        config: ModelConfig,
        payload: bytes,
        packets: Sequence[list[Packet]],
        tokens: bytes | None,
    ) -> None:
        """Write a segment. It is on disk when this returns.

        Args:
            timing: Timing of its frames.
            config: Configuration of its model.
            payload: Payload of its section.
            packets: Packets that play during the segment, per track.
            tokens: Coded tokens of its frames; None if the file has no tokens.

        Raises:
            ConfigError: If the file is finished.
        """
        if self._writer is None:
            raise ConfigError(f"{self.partial.target} is finished; nothing can be added")
        self.partial.note_pictures(self.segments, timing.pictures)
        for number, track_packets in enumerate(packets):
            self._writer.packets(number, track_packets)
        segment = Segment(
            first_frame=self.frames,
            pts=timing.pts,
            durations=timing.durations,
            payload=payload,
            predicted=config.predicted,
        )
        self._writer.segment(segment, tokens)
        self._count(timing, config, payload, tokens)

    def count_stored(self, timing: SegmentTiming, config: ModelConfig) -> None:
        """Count the next segment, which an earlier run has stored.

        Args:
            timing: Timing of its frames.
            config: Configuration of its model.

        Raises:
            ConfigError: If the file has no stored segments.
        """
        if self._stored is None:
            raise ConfigError(f"{self.partial.path} holds no segments")
        payload = self._stored.segment(self.segments).payload
        tokens = None
        if self.header and self.header.tokens:
            tokens = self._stored.tokens(self.segments).payload
        self._count(timing, config, payload, tokens)

    def finish(self, packets: Sequence[list[Packet]], chapters: Sequence[Chapter]) -> None:
        """Write the remaining packets, per track, chapters and the index, and close the file."""
        if self._writer is None:
            return
        for number, track_packets in enumerate(packets):
            self._writer.packets(number, track_packets)
        if chapters:
            self._writer.chapters(chapters)
        self._writer.finish()
        self._writer.close()

    def _count(
        self, timing: SegmentTiming, config: ModelConfig, payload: bytes, tokens: bytes | None
    ) -> None:
        """Count a segment, and charge it to the budget."""
        if not self.segments:
            self.macs_per_pixel = config.macs_per_pixel
        self.parameters += config.parameters
        self.segments += 1
        self.frames += len(timing)
        token_bytes = 0 if tokens is None else token_section_bytes(tokens)
        self.budget.spend(len(timing), timing.pixels, len(payload), token_bytes)
