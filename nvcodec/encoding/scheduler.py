"""The scheduler: decides when each segment is fitted, and yields the segments in video order.

Segments between two random access points form a chain and are fitted one after the other. Chains do
not depend on each other and are fitted at the same time. The end of a chain follows from scene cuts
and the number of segments alone, so the next chain need not wait for it. The target size of a
segment is predicted (`nvcodec.encoding.rate_allocation.RateBudget`). If the prediction turns out
wrong, the segment is fitted again, so that the files do not depend on the number of workers.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Iterator, Sequence

from nvcodec.config import EncoderConfig
from nvcodec.encoding.output_file import OutputFile, SegmentTiming
from nvcodec.encoding.progress import EncodeProgress
from nvcodec.encoding.scheduled_segment import ScheduledSegment
from nvcodec.errors import VideoError, WorkerError
from nvcodec.fitting.interface import FitProgress, FitTask
from nvcodec.media import Colour, Frames
from nvcodec.workers.job import Job, JobFailure, JobResult
from nvcodec.workers.pool import JobDone, WorkerPool

logger = logging.getLogger(__name__)

_MOST_WORKERS_LOST = 2  # workers that may die over a segment before it is given up


class SegmentScheduler:
    """Has the segments of an encode fitted by a worker pool.

    Args:
        config: Settings of the encode.
        colour: Colour space of the frames.
        files: Output files, whose budgets give the target sizes.
        progress: Progress of the encode, which the scheduler keeps up to date.
        chain_length: Largest number of segments of a chain.
    """

    def __init__(
        self,
        config: EncoderConfig,
        colour: Colour,
        files: Sequence[OutputFile],
        progress: EncodeProgress,
        chain_length: int,
    ) -> None:
        self._config, self._colour, self._files = config, colour, files
        self._progress, self._chain_length = progress, chain_length
        self._segments: deque[ScheduledSegment] = deque()  # read and not yet yielded
        self._jobs: dict[int, ScheduledSegment] = {}
        self._jobs_submitted = 0
        # The number of segments and frames read, of segments read of the last chain, and the last
        # segment read, if the next one may belong to its chain.
        self._segments_read = self._frames_read = self._chain_segments_read = 0
        self._last_read: ScheduledSegment | None = None
        self._read_error: Exception | None = None
        self._source_ended = False

    def run(
        self, segments: Iterator[tuple[Frames, bool]], workers: WorkerPool
    ) -> Iterator[ScheduledSegment]:
        """Yield all segments in video order, each with its coded segments.

        The caller has to add a segment to all output files before it takes the next one.

        Args:
            segments: Segments as `nvcodec.encoding.segmentation.segments` yields them.
            workers: Pool that fits them.

        Raises:
            WorkerError: If too many workers died over the same segment.
            NvcodecError: If reading or fitting a segment failed; raised after all segments before
                it.
        """
        while True:
            if not self._segments or self._segments[0].coded is None:
                self._submit_jobs(segments, workers)
            if not self._segments:
                if self._read_error:
                    raise self._read_error
                return
            first = self._segments[0]
            if first.error:
                raise first.error
            if first.coded is None:
                self._finish_job(workers.wait(self._report_progress))
                continue
            self._segments.popleft()
            first.frames = None  # frees memory before the next segment is read
            yield first
            self._reschedule(workers)

    def _submit_jobs(self, segments: Iterator[tuple[Frames, bool]], workers: WorkerPool) -> None:
        """Submit a job for every free worker, and read further segments if necessary."""
        most = (self._chain_length + 1) * workers.capacity
        while workers.free:
            segment = next(self._ready_segments(), None)
            if segment is not None:
                self._submit(segment, workers)
            elif len(self._segments) < most and self._can_read():
                self._read_next(segments)
            else:
                return

    def _ready_segments(self) -> Iterator[ScheduledSegment]:
        """Yield the segments whose fit can start now."""
        for segment in self._segments:
            if segment.error:
                return
            idle = segment.coded is None and segment.job_id is None
            if idle and not segment.waits_for_previous and self._budgets_ready(segment.number):
                yield segment

    def _budgets_ready(self, number: int) -> bool:
        """Return whether all files can tell the target size of a segment."""
        return all(file.budget.is_ready(number) for file in self._files)

    def _can_read(self) -> bool:
        """Return whether to read another segment."""
        if self._source_ended or any(segment.error for segment in self._segments):
            return False
        return self._budgets_ready(self._segments_read)

    def _read_next(self, segments: Iterator[tuple[Frames, bool]]) -> None:
        """Read the next segment. An error is kept until all segments before it are yielded."""
        try:
            frames, shot_begins = next(segments)
            self._check_mask(frames)
            timing = SegmentTiming.of(frames)
            stored = tuple(
                file.stored_segment(self._segments_read, self._frames_read, timing)
                for file in self._files
            )
        except StopIteration:
            self._source_ended = True
            return
        except Exception as error:  # noqa: BLE001
            self._source_ended, self._read_error = True, error
            return
        if shot_begins or self._chain_segments_read == self._chain_length:
            self._chain_segments_read, self._last_read = 0, None
        segment = ScheduledSegment(
            number=self._segments_read,
            first_frame=self._frames_read,
            frames=frames,
            timing=timing,
            previous=self._last_read,
            stored=stored,
        )
        coded = tuple(stored_segment for stored_segment in stored if stored_segment)
        if len(coded) == len(stored):
            segment.coded, segment.frames = coded, None
        self._segments.append(segment)
        self._last_read = segment
        self._segments_read += 1
        self._chain_segments_read += 1
        self._frames_read += len(timing)
        self._progress.add(len(timing))
        if segment.coded:
            self._progress.finish(segment.number, len(timing))

    def _check_mask(self, frames: Frames) -> None:
        """Check that the mask leaves something to fit in a segment.

        Raises:
            VideoError: If all pixels are masked.
        """
        if frames.valid_mask is None or frames.valid_mask.any():
            return
        part = self._config.frames
        first = self._frames_read + (part.start or 0 if part else 0)
        raise VideoError(
            f"{self._config.mask}: frames {first} to {first + len(frames) - 1} are a segment, "
            "and all of them are hidden; take longer segments, or leave these frames out"
        )

    def _submit(self, segment: ScheduledSegment, workers: WorkerPool) -> None:
        """Submit the job of a segment."""
        assert segment.frames is not None
        segment.target_bits = self._target_bits(segment)
        task = FitTask(
            frames=segment.frames,
            colour=self._colour,
            number=segment.number,
            # The sizes for files that hold the segment already matter too: the sizes of a ladder
            # are fitted together and depend on each other.
            bits=segment.target_bits,
            previous=(),
            seconds=self._progress.time_share(len(segment.timing)),
            seed=self._seed(segment.number),
            on_progress=None,
        )
        chains = tuple(segment.reference_chain(index) for index in range(len(self._files)))
        self._jobs_submitted += 1
        segment.job_id = self._jobs_submitted
        self._jobs[segment.job_id] = segment
        self._progress.begin(segment.number, len(segment.timing), segment.timing.pixels)
        workers.submit(segment.job_id, Job(task=task, chains=chains))

    def _report_progress(self, job_id: int, progress: FitProgress) -> None:
        """Report the progress of a job, unless it is cancelled."""
        if job_id in self._jobs:
            self._progress.report(self._jobs[job_id].number, progress)

    def _finish_job(self, done: JobDone | None) -> None:
        """Record the result of a job, if a job has ended."""
        if done is None:
            return
        segment, result = self._jobs.pop(done.job_id), done.result
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
            segment.error = result.to_exception()
            return
        segment.workers_lost += 1
        if segment.workers_lost <= _MOST_WORKERS_LOST:
            logger.warning(
                "segment %d: its worker died (%s); it is fitted anew", segment.number, result.reason
            )
        else:
            segment.error = WorkerError(
                f"segment {segment.number}: {segment.workers_lost} workers died over it, lastly "
                f"({result.reason}); if memory was short, use fewer workers, a smaller --segment "
                "or --resize, and --resume to go on with what is finished"
            )

    def _reschedule(self, workers: WorkerPool) -> None:
        """Reset the segments whose target size has changed, or whose previous segment was reset."""
        for segment in self._segments:
            if segment.target_bits is None:
                continue
            waits = segment.waits_for_previous
            if not waits and segment.target_bits == self._target_bits(segment):
                continue
            if segment.job_id is not None:
                workers.cancel(segment.job_id)
                del self._jobs[segment.job_id]
                self._progress.stop(segment.number)
            elif segment.coded is not None:
                self._progress.undo(len(segment.timing))
            segment.reset()

    def _target_bits(self, segment: ScheduledSegment) -> tuple[float | None, ...]:
        """Return the present target size of a segment in bits for each output file."""
        return tuple(
            file.budget.bits(
                segment.number,
                segment.first_frame,
                len(segment.timing),
                segment.timing.pixels,
                segment.previous_bpp,
            )
            for file in self._files
        )

    def _seed(self, number: int) -> int:
        """Return the seed of a segment, which depends on its number and the settings only."""
        digest = hashlib.sha256(f"{self._config.seed} {number}".encode()).digest()
        return int.from_bytes(digest[:7], "little")
