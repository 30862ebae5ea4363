"""The state of one segment between the source and the output files."""

from __future__ import annotations

from dataclasses import dataclass

from nvcodec.encoding.output_file import SegmentTiming
from nvcodec.fitting.interface import CodedSegment
from nvcodec.media import Frames
from nvcodec.workers.reference_chain import ReferenceChain


@dataclass(eq=False, slots=True, kw_only=True)
class ScheduledSegment:
    """A segment that is read and not yet written to the output files.

    Attributes:
        number: Number of the segment in the video, from 0.
        first_frame: Number of its first frame in the video, from 0.
        frames: Its frames; None once they are not needed any more.
        timing: Timestamps, durations and number of pixels of the frames.
        previous: Previous segment, which this one may be predicted from; None if this segment is a
            random access point.
        stored: Coded segment that an earlier run has stored in each output file, if any.
        target_bits: Target size for each output file of the fit in progress or done; None before
            the first fit.
        job_id: Id of its job; None if no job is in progress.
        coded: Coded segment for each output file; None until the segment is fitted or stored.
        states: Reference state of `previous` for each output file; None if it is not known.
        tokens: Coded tokens of its frames; None if it is not fitted or the files hold no tokens.
        epochs: Number of passes of its fit over the frames.
        warnings: Warnings of its fit, for people.
        workers_lost: Number of workers that died while they fitted it.
        error: Exception that ended its fit.
    """

    number: int
    first_frame: int
    frames: Frames | None
    timing: SegmentTiming
    previous: ScheduledSegment | None
    stored: tuple[CodedSegment | None, ...]
    target_bits: tuple[float | None, ...] | None = None
    job_id: int | None = None
    coded: tuple[CodedSegment, ...] | None = None
    states: tuple[object, ...] | None = None
    tokens: bytes | None = None
    epochs: int = 0
    warnings: tuple[str, ...] = ()
    workers_lost: int = 0
    error: Exception | None = None

    @property
    def waits_for_previous(self) -> bool:
        """Whether the previous segment has to be fitted before this one."""
        return self.previous is not None and self.previous.coded is None

    @property
    def previous_bpp(self) -> float | None:
        """Bits per pixel of the previous segment in the first file; None if there is none."""
        if not (self.previous and self.previous.coded):
            return None
        # The body of a segment without motion can be empty.
        bits = 8 * max(len(self.previous.coded[0].body), 1)
        return bits / self.previous.timing.pixels

    def reference_chain(self, file_index: int) -> ReferenceChain | None:
        """Return the segments that have to be decoded before this one in an output file.

        Args:
            file_index: Position of the file among the output files.

        Returns:
            The segments since the last random access point or the last known reference state; None
            if this segment is a random access point.
        """
        coded: list[CodedSegment] = []
        state = None
        segment = self.previous
        while segment is not None and segment.coded is not None:
            coded.append(segment.coded[file_index])
            if segment.states is not None:
                state = segment.states[file_index]
                break
            segment = segment.previous
        return ReferenceChain(state, tuple(reversed(coded))) if coded else None

    def reset(self) -> None:
        """Forget the fit, so that the segment is fitted again."""
        self.target_bits = self.job_id = self.coded = self.states = self.tokens = None
        self.error = None
