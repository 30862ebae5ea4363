"""Which segment is fitted when, and by whom: ahead of the video's order, but handed out in it.

Segments that lean on each other form a chain, and are fitted one after the other; chains are
independent. Where a chain ends follows from cuts and counting alone, so that the next one need not
be waited for. What a segment may take is foretold (`nvcodec.encoding.rate_allocation.RateBudget`), and where that turns out
wrong its fit is repeated: the files are the same however many are fitted at a time.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nvcodec.config import EncoderConfig
from nvcodec.encoding.output_file import OutputFile, SegmentTiming
from nvcodec.encoding.progress import EncodeProgress
from nvcodec.errors import VideoError, WorkerError
from nvcodec.fitting.interface import CodedSegment, FitProgress, FitTask
from nvcodec.media import Colour, Frames
from nvcodec.workers.job import Job, JobFailure, JobResult
from nvcodec.workers.pool import JobDone, WorkerPool
from nvcodec.workers.reference_chain import ReferenceChain

logger = logging.getLogger(__name__)

_MOST_LOST = 2  # workers that a segment may lose before it is given up


@dataclass(eq=False, slots=True, kw_only=True)
class ScheduledSegment:
    """A segment on its way into the files.

    Attributes:
        number: In the video, from 0.
        before: Frames of the video before it.
        frames: Its pictures, as long as they are needed.
        timing: What else is to be known of them.
        previous: The segment that it may lean on; None if it must stand alone.
        stored: For each file what an earlier run has stored of it, if any.
        bits: What it is fitted for; None until it is.
        job_id: Of its job, while there is one.
        coded: For each file what it is to hold; None until it is known.
        states: For each file the state of `previous`, where it is known.
        tokens: Those of its frames, coded, once it is fitted; None if there are to be none.
        epochs: Passes that its fit took.
        warnings: What went wrong.
        lost: Workers that died over it.
        error: What its fit ended in.
    """

    number: int
    before: int
    frames: Frames | None
    timing: SegmentTiming
    previous: ScheduledSegment | None
    stored: tuple[CodedSegment | None, ...]
    bits: tuple[float | None, ...] | None = None
    job_id: int | None = None
    coded: tuple[CodedSegment, ...] | None = None
    states: tuple[object, ...] | None = None
    tokens: bytes | None = None
    epochs: int = 0
    warnings: tuple[str, ...] = ()
    lost: int = 0
    error: Exception | None = None


class SegmentScheduler:
    """Has the segments of an encode fitted.

    Args:
        config: Settings of the encode.
        colour: How the pictures' samples map to light.
        files: What is made.
        progress: Told of all fits, and of their progress.
        chain: Segments that may lean on each other, the one that stands alone included.
    """

    def __init__(
        self,
        config: EncoderConfig,
        colour: Colour,
        files: Sequence[OutputFile],
        progress: EncodeProgress,
        chain: int,
    ) -> None:
        self._config, self._colour, self._files = config, colour, files
        self._progress, self._chain = progress, chain
        self._segments: deque[ScheduledSegment] = deque()  # not handed out yet
        self._jobs: dict[int, ScheduledSegment] = {}
        self._submitted = 0
        # Of the segments read: how many, their frames, those of the chain, and the last.
        self._number = self._frames = self._in_chain = 0
        self._last: ScheduledSegment | None = None
        self._failure: Exception | None = None
        self._ended = False

    def run(
        self, segments: Iterator[tuple[Frames, bool]], workers: WorkerPool
    ) -> Iterator[ScheduledSegment]:
        """All segments, in their order; each is to be added to all files before the next is taken.

        Args:
            segments: As `nvcodec.encoding.segmentation.segments` yields them.
            workers: Fit them.

        Raises:
            WorkerError: If workers died over the same segment again and again.
            NvcodecError: What reading or fitting a segment raised, after all that precede it.
        """
        while True:
            if not self._segments or self._segments[0].coded is None:
                self._fill(segments, workers)
            if not self._segments:
                if self._failure:
                    raise self._failure
                return
            first = self._segments[0]
            if first.error:
                raise first.error
            if first.coded is None:
                self._take(workers.wait(self._listen))
                continue
            self._segments.popleft()
            first.frames = None  # before the next segment is read
            yield first
            self._reschedule(workers)

    def _fill(self, segments: Iterator[tuple[Frames, bool]], workers: WorkerPool) -> None:
        """Begin as many fits as there are free workers, reading on where need be."""
        most = (self._chain + 1) * workers.capacity
        while workers.free:
            segment = next(self._ready(), None)
            if segment is not None:
                self._submit(segment, workers)
            elif len(self._segments) < most and self._may_read():
                self._read(segments)
            else:
                return

    def _ready(self) -> Iterator[ScheduledSegment]:
        """Segments that could be fitted now."""
        for segment in self._segments:
            if segment.error:
                return
            idle = segment.coded is None and segment.job_id is None
            waits = segment.previous is not None and segment.previous.coded is None
            if idle and not waits and self._known(segment.number):
                yield segment

    def _known(self, number: int) -> bool:
        return all(file.budget.is_ready(number) for file in self._files)

    def _may_read(self) -> bool:
        if self._ended or any(segment.error for segment in self._segments):
            return False
        return self._known(self._number)

    def _read(self, segments: Iterator[tuple[Frames, bool]]) -> None:
        """Take the next segment of the video. A failure has to wait for those before it."""
        try:
            frames, begins = next(segments)
            self._check_seen(frames)
            timing = SegmentTiming.of(frames)
            stored = tuple(file.stored(self._number, self._frames, timing) for file in self._files)
        except StopIteration:
            self._ended = True
            return
        except Exception as error:  # noqa: BLE001
            self._ended, self._failure = True, error
            return
        if begins or self._in_chain == self._chain:
            self._in_chain, self._last = 0, None
        segment = ScheduledSegment(
            number=self._number,
            before=self._frames,
            frames=frames,
            timing=timing,
            previous=self._last,
            stored=stored,
        )
        coded = tuple(one for one in stored if one)
        if len(coded) == len(stored):
            segment.coded, segment.frames = coded, None
        self._segments.append(segment)
        self._last = segment
        self._number += 1
        self._in_chain += 1
        self._frames += len(timing)
        self._progress.add(len(timing))
        if segment.coded:
            self._progress.finish(segment.number, len(timing))

    def _check_seen(self, frames: Frames) -> None:
        """Refuse a segment of which a mask leaves nothing to fit."""
        if frames.valid_mask is None or frames.valid_mask.any():
            return
        part = self._config.frames
        first = self._frames + (part.start or 0 if part else 0)
        raise VideoError(
            f"{self._config.mask}: frames {first} to {first + len(frames) - 1} are a segment, "
            "and all of them are hidden; take longer segments, or leave these frames out"
        )

    def _submit(self, segment: ScheduledSegment, workers: WorkerPool) -> None:
        assert segment.frames is not None
        segment.bits = self._bits(segment)
        task = FitTask(
            frames=segment.frames,
            colour=self._colour,
            number=segment.number,
            # Also the sizes of files that have the segment decide what the others hold.
            bits=segment.bits,
            previous=(),
            seconds=self._progress.share(len(segment.timing)),
            seed=self._seed(segment.number),
            on_progress=None,
        )
        chains = tuple(_reference_chain(segment, place) for place in range(len(self._files)))
        self._submitted += 1
        segment.job_id = self._submitted
        self._jobs[segment.job_id] = segment
        self._progress.begin(segment.number, len(segment.timing), segment.timing.pixels)
        workers.submit(segment.job_id, Job(task=task, chains=chains))

    def _listen(self, job_id: int, progress: FitProgress) -> None:
        """Take note of the progress of a job."""
        if job_id in self._jobs:
            self._progress.report(self._jobs[job_id].number, progress)

    def _take(self, ended: JobDone | None) -> None:
        """Take what a job has come to."""
        if ended is None:
            return
        segment, result = self._jobs.pop(ended.job_id), ended.result
        segment.job_id = None
        if isinstance(result, JobResult):
            pairs = zip(segment.stored, result.coded, strict=True)
            segment.coded = tuple(stored or fitted for stored, fitted in pairs)
            segment.states, segment.tokens = result.states, result.tokens
            segment.epochs, segment.warnings = result.epochs, result.warnings
            self._progress.finish(segment.number, len(segment.timing))
            if not any(file.budget.is_global for file in self._files):
                segment.frames = None
            return
        self._progress.stop(segment.number)
        if isinstance(result, JobFailure):
            segment.error = result.raised()
            return
        segment.lost += 1
        if segment.lost <= _MOST_LOST:
            logger.warning(
                "segment %d: its worker died (%s); it is fitted anew", segment.number, result.reason
            )
        else:
            segment.error = WorkerError(
                f"segment {segment.number}: {segment.lost} workers died over it, lastly "
                f"({result.reason}); if memory was short, use fewer workers, a smaller --segment "
                "or --resize, and --resume to go on with what is finished"
            )

    def _reschedule(self, workers: WorkerPool) -> None:
        """Have segments fitted again whose share of a size has changed meanwhile."""
        for segment in self._segments:
            if segment.bits is None:
                continue
            leans = segment.previous is not None and segment.previous.coded is None
            if not leans and segment.bits == self._bits(segment):
                continue
            if segment.job_id is not None:
                workers.cancel(segment.job_id)
                del self._jobs[segment.job_id]
                self._progress.stop(segment.number)
            elif segment.coded is not None:
                self._progress.undo(len(segment.timing))
            segment.bits = segment.job_id = segment.coded = segment.states = segment.tokens = None
            segment.error = None

    def _bits(self, segment: ScheduledSegment) -> tuple[float | None, ...]:
        last = None
        if segment.previous and segment.previous.coded:
            # Where nothing moves there may be no bytes at all.
            taken = 8 * max(len(segment.previous.coded[0].body), 1)
            last = taken / segment.previous.timing.pixels
        return tuple(
            file.budget.bits(
                segment.number, segment.before, len(segment.timing), segment.timing.pixels, last
            )
            for file in self._files
        )

    def _seed(self, number: int) -> int:
        """Every segment has a seed of its own, whatever was fitted before it in the same run."""
        digest = hashlib.sha256(f"{self._config.seed} {number}".encode()).digest()
        return int.from_bytes(digest[:7], "little")


def _reference_chain(segment: ScheduledSegment, place: int) -> ReferenceChain | None:
    """What leads up to a segment in one of the files."""
    coded: list[CodedSegment] = []
    state = None
    one = segment.previous
    while one is not None and one.coded is not None:
        coded.append(one.coded[place])
        if one.states is not None:
            state = one.states[place]
            break
        one = one.previous
    return ReferenceChain(state, tuple(reversed(coded))) if coded else None
