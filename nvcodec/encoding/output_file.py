"""One file of an encode: what an earlier run has stored, what may still be spent, what is written.

Most encodes make one file; a ladder makes several side by side, segment by segment, and each can
be interrupted and go on by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from nvcodec.container import Header, Reader, Segment, Writer
from nvcodec.encoding.partial_file import PartialFile
from nvcodec.encoding.rate_allocation import RateBudget
from nvcodec.errors import ConfigError
from nvcodec.fitting.interface import CodedSegment
from nvcodec.media import Frames, Packet, Track
from nvcodec.models.base.config import ModelConfig
from nvcodec.reconstruction.payload import split_payload
from nvcodec.tokenizer.token_sections import stored_tokens, token_section_bytes


@dataclass(frozen=True, slots=True)
class SegmentTiming:
    """What is to be known of a segment besides its pictures.

    Attributes:
        pts: Presentation timestamps in ticks.
        durations: In ticks.
        pixels: Pixels, over all frames.
    """

    pts: tuple[int, ...]
    durations: tuple[int, ...]
    pixels: int

    @classmethod
    def of(cls, frames: Frames) -> SegmentTiming:
        """That of a segment's frames."""
        return cls(tuple(frames.pts.tolist()), tuple(frames.durations.tolist()), frames.y.size)

    def __len__(self) -> int:
        return len(self.pts)


class OutputFile:
    """A file that grows by a segment at a time.

    Args:
        partial: The unfinished file.
        budget: Shares out its size.

    Attributes:
        partial: As given.
        budget: As given; knows of every segment counted so far.
        header: The stream's header, once there is one.
        segments: Segments counted, stored or added.
        frames: Frames in them.
        parameters: Stored values in them.
        macs_per_pixel: Multiply-accumulates of a decoded frame per pixel; of the first segment.
    """

    def __init__(self, partial: PartialFile, budget: RateBudget) -> None:
        self.partial, self.budget = partial, budget
        self.header: Header | None = None
        self.segments = self.frames = self.parameters = 0
        self.macs_per_pixel = 0.0
        self._writer: Writer | None = None
        self._stored: Reader | None = None

    def open(self, stack: ExitStack, identity: str, *, resume: bool) -> None:
        """Begin the file or go on with it; see `PartialFile.open`."""
        writer = self.partial.open(identity, resume=resume)
        if writer is None:  # finished by an interrupted encode that had others to finish
            self._stored = stack.enter_context(Reader(self.partial.target))
            self.header = self._stored.header
            return
        self._writer = stack.enter_context(writer)
        if writer.resumed:
            self._stored = stack.enter_context(Reader(self.partial.path))
            self.header = writer.resumed.header

    @property
    def holds_next(self) -> bool:
        """Whether the segment after those counted is stored already."""
        return self._stored is not None and self.segments < len(self._stored.segments)

    def packets_stored(self) -> Sequence[int] | None:
        """Packets that precede the first segment to be added, per track; None if none is."""
        if self._writer is None:
            return None
        return self._writer.resumed.packets if self._writer.resumed else ()

    def stored(self, number: int, first_frame: int, timing: SegmentTiming) -> CodedSegment | None:
        """What an earlier run has stored of a segment; None if nothing.

        Args:
            number: Of the segment.
            first_frame: Number of its first frame in the video.
            timing: Of the frames that it must hold.

        Raises:
            ConfigError: If it holds others.
        """
        if self._stored is None or self.header is None or number >= len(self._stored.segments):
            return None
        known = self._stored.segment(number)
        if (known.first_frame, tuple(known.pts)) != (first_frame, timing.pts):
            raise ConfigError(
                f"{self.partial.path} cannot be resumed: its segment {number} does not "
                "hold the frames it would now; pass -y (overwrite) to start anew"
            )
        config, body = split_payload(known, self.header)
        fsq_indices = None
        if self.header.tokens and self.header.tokens.conditioning:
            _, fsq_indices, _ = stored_tokens(self._stored, number)
        return CodedSegment(config=config, body=body, fsq_indices=fsq_indices)

    def begin(self, header: Header, tracks: Sequence[Track]) -> Header:
        """Write the header and the tracks, unless that is done; the header that is there then."""
        if self._writer is None or self.header is not None:
            return self.header or header
        self.header = header
        self._writer.header(header)
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
        """Write a segment, on disk when this returns.

        Args:
            timing: Of its frames.
            config: Its model's.
            payload: What it is coded as.
            packets: What plays meanwhile, per track.
            tokens: Those of its frames, coded; None if the file has none.
        """
        if self._writer is None:
            raise ConfigError(f"{self.partial.target} is finished; nothing can be added")
        for number, some in enumerate(packets):
            self._writer.packets(number, some)
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
        """Take account of the next segment, which an earlier run has written.

        Args:
            timing: Of its frames.
            config: Its model's.
        """
        if self._stored is None:
            raise ConfigError(f"{self.partial.path} holds no segments")
        payload = self._stored.segment(self.segments).payload
        tokens = None
        if self.header and self.header.tokens:
            tokens = self._stored.tokens(self.segments).payload
        self._count(timing, config, payload, tokens)

    def finish(self, packets: Sequence[list[Packet]]) -> None:
        """Write the packets that are left, per track, and what ends a file."""
        if self._writer is None:
            return
        for number, some in enumerate(packets):
            self._writer.packets(number, some)
        self._writer.finish()
        self._writer.close()

    def _count(
        self, timing: SegmentTiming, config: ModelConfig, payload: bytes, tokens: bytes | None
    ) -> None:
        if not self.segments:
            self.macs_per_pixel = config.macs_per_pixel
        self.parameters += config.parameters
        self.segments += 1
        self.frames += len(timing)
        beside = 0 if tokens is None else token_section_bytes(tokens)
        self.budget.spend(len(timing), timing.pixels, len(payload), beside)
