"""Which segment is fitted when, and by whom: ahead of the video's order, but handed out in it.

Segments that lean on each other form a chain, and are fitted one after the other; chains are
independent. Where a chain ends follows from cuts and counting alone, so that the next one need not
be waited for. What a segment may take is foretold (`nvcodec.encoding.rate_allocation.Budget`), and where that turns out
wrong its fit is repeated: the files are the same however many are fitted at a time.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nvcodec.config import EncoderConfig
from nvcodec.encoding.output_file import OutFile, Span
from nvcodec.encoding.progress import Course
from nvcodec.errors import VideoError, WorkerError
from nvcodec.fitting.interface import Coded, FitProgress, Task
from nvcodec.media import Colour, Frames
from nvcodec.workers.job import Failed, Fitted, Job
from nvcodec.workers.pool import Ended, Workers
from nvcodec.workers.reference_chain import Lead

logger = logging.getLogger(__name__)

_MOST_LOST = 2  # workers that a segment may lose before it is given up


@dataclass(eq=False, slots=True, kw_only=True)
class Piece:
    """A segment on its way into the files.

    Attributes:
        number: In the video, from 0.
        before: Frames of the video before it.
        frames: Its pictures, as long as they are needed.
        span: What else is to be known of them.
        previous: The segment that it may lean on; None if it must stand alone.
        stored: For each file what an earlier run has stored of it, if any.
        bits: What it is fitted for; None until it is.
        ticket: Of its job, while there is one.
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
    span: Span
    previous: Piece | None
    stored: tuple[Coded | None, ...]
    bits: tuple[float | None, ...] | None = None
    ticket: int | None = None
    coded: tuple[Coded, ...] | None = None
    states: tuple[object, ...] | None = None
    tokens: bytes | None = None
    epochs: int = 0
    warnings: tuple[str, ...] = ()
    lost: int = 0
    error: Exception | None = None


class Dispatch:
    """Has the segments of an encode fitted.

    Args:
        config: Settings of the encode.
        colour: How the pictures' samples map to light.
        files: What is made.
        course: Told of all fits, and of their progress.
        chain: Segments that may lean on each other, the one that stands alone included.
    """

    def __init__(
        self,
        config: EncoderConfig,
        colour: Colour,
        files: Sequence[OutFile],
        course: Course,
        chain: int,
    ) -> None:
        self._config, self._colour, self._files = config, colour, files
        self._course, self._chain = course, chain
        self._pieces: deque[Piece] = deque()  # not handed out yet
        self._tickets: dict[int, Piece] = {}
        self._submitted = 0
        # Of the segments read: how many, their frames, those of the chain, and the last.
        self._number = self._frames = self._in_chain = 0
        self._last: Piece | None = None
        self._failure: Exception | None = None
        self._ended = False

    def pieces(self, segments: Iterator[tuple[Frames, bool]], workers: Workers) -> Iterator[Piece]:
        """All segments, in their order; each is to be added to all files before the next is taken.

        Args:
            segments: As `nvcodec.encoding.segmentation.segments` yields them.
            workers: Fit them.

        Raises:
            WorkerError: If workers died over the same segment again and again.
            NvcodecError: What reading or fitting a segment raised, after all that precede it.
        """
        while True:
            if not self._pieces or self._pieces[0].coded is None:
                self._fill(segments, workers)
            if not self._pieces:
                if self._failure:
                    raise self._failure
                return
            first = self._pieces[0]
            if first.error:
                raise first.error
            if first.coded is None:
                self._take(workers.wait(self._listen))
                continue
            self._pieces.popleft()
            first.frames = None  # before the next segment is read
            yield first
            self._revise(workers)

    def _fill(self, segments: Iterator[tuple[Frames, bool]], workers: Workers) -> None:
        """Begin as many fits as there are free workers, reading on where need be."""
        most = (self._chain + 1) * workers.slots
        while workers.free:
            piece = next(self._ready(), None)
            if piece is not None:
                self._submit(piece, workers)
            elif len(self._pieces) < most and self._may_read():
                self._read(segments)
            else:
                return

    def _ready(self) -> Iterator[Piece]:
        """Segments that could be fitted now."""
        for piece in self._pieces:
            if piece.error:
                return
            idle = piece.coded is None and piece.ticket is None
            waits = piece.previous is not None and piece.previous.coded is None
            if idle and not waits and self._known(piece.number):
                yield piece

    def _known(self, number: int) -> bool:
        return all(file.budget.knows(number) for file in self._files)

    def _may_read(self) -> bool:
        if self._ended or any(piece.error for piece in self._pieces):
            return False
        return self._known(self._number)

    def _read(self, segments: Iterator[tuple[Frames, bool]]) -> None:
        """Take the next segment of the video. A failure has to wait for those before it."""
        try:
            frames, begins = next(segments)
            self._check_seen(frames)
            span = Span.of(frames)
            stored = tuple(file.stored(self._number, self._frames, span) for file in self._files)
        except StopIteration:
            self._ended = True
            return
        except Exception as error:  # noqa: BLE001
            self._ended, self._failure = True, error
            return
        if begins or self._in_chain == self._chain:
            self._in_chain, self._last = 0, None
        piece = Piece(
            number=self._number,
            before=self._frames,
            frames=frames,
            span=span,
            previous=self._last,
            stored=stored,
        )
        coded = tuple(one for one in stored if one)
        if len(coded) == len(stored):
            piece.coded, piece.frames = coded, None
        self._pieces.append(piece)
        self._last = piece
        self._number += 1
        self._in_chain += 1
        self._frames += len(span)
        self._course.add(len(span))
        if piece.coded:
            self._course.finish(piece.number, len(span))

    def _check_seen(self, frames: Frames) -> None:
        """Refuse a segment of which a mask leaves nothing to fit."""
        if frames.known is None or frames.known.any():
            return
        part = self._config.frames
        first = self._frames + (part.start or 0 if part else 0)
        raise VideoError(
            f"{self._config.mask}: frames {first} to {first + len(frames) - 1} are a segment, "
            "and all of them are hidden; take longer segments, or leave these frames out"
        )

    def _submit(self, piece: Piece, workers: Workers) -> None:
        assert piece.frames is not None
        piece.bits = self._bits(piece)
        task = Task(
            frames=piece.frames,
            colour=self._colour,
            number=piece.number,
            # Also the sizes of files that have the segment decide what the others hold.
            bits=piece.bits,
            previous=(),
            seconds=self._course.share(len(piece.span)),
            seed=self._seed(piece.number),
            on_progress=None,
        )
        leads = tuple(_lead(piece, place) for place in range(len(self._files)))
        self._submitted += 1
        piece.ticket = self._submitted
        self._tickets[piece.ticket] = piece
        self._course.begin(piece.number, len(piece.span), piece.span.pixels)
        workers.submit(piece.ticket, Job(task=task, leads=leads))

    def _listen(self, ticket: int, progress: FitProgress) -> None:
        """Take note of the progress of a job."""
        if ticket in self._tickets:
            self._course.report(self._tickets[ticket].number, progress)

    def _take(self, ended: Ended | None) -> None:
        """Take what a job has come to."""
        if ended is None:
            return
        piece, result = self._tickets.pop(ended.ticket), ended.result
        piece.ticket = None
        if isinstance(result, Fitted):
            pairs = zip(piece.stored, result.coded, strict=True)
            piece.coded = tuple(stored or fitted for stored, fitted in pairs)
            piece.states, piece.tokens = result.states, result.tokens
            piece.epochs, piece.warnings = result.epochs, result.warnings
            self._course.finish(piece.number, len(piece.span))
            if not any(file.budget.changes for file in self._files):
                piece.frames = None
            return
        self._course.stop(piece.number)
        if isinstance(result, Failed):
            piece.error = result.raised()
            return
        piece.lost += 1
        if piece.lost <= _MOST_LOST:
            logger.warning(
                "segment %d: its worker died (%s); it is fitted anew", piece.number, result.reason
            )
        else:
            piece.error = WorkerError(
                f"segment {piece.number}: {piece.lost} workers died over it, lastly "
                f"({result.reason}); if memory was short, use fewer workers, a smaller --segment "
                "or --resize, and --resume to go on with what is finished"
            )

    def _revise(self, workers: Workers) -> None:
        """Have segments fitted again whose share of a size has changed meanwhile."""
        for piece in self._pieces:
            if piece.bits is None:
                continue
            leans = piece.previous is not None and piece.previous.coded is None
            if not leans and piece.bits == self._bits(piece):
                continue
            if piece.ticket is not None:
                workers.withdraw(piece.ticket)
                del self._tickets[piece.ticket]
                self._course.stop(piece.number)
            elif piece.coded is not None:
                self._course.undo(len(piece.span))
            piece.bits = piece.ticket = piece.coded = piece.states = piece.tokens = None
            piece.error = None

    def _bits(self, piece: Piece) -> tuple[float | None, ...]:
        last = None
        if piece.previous and piece.previous.coded:
            # Where nothing moves there may be no bytes at all.
            taken = 8 * max(len(piece.previous.coded[0].body), 1)
            last = taken / piece.previous.span.pixels
        return tuple(
            file.budget.bits(piece.number, piece.before, len(piece.span), piece.span.pixels, last)
            for file in self._files
        )

    def _seed(self, number: int) -> int:
        """Every segment has a seed of its own, whatever was fitted before it in the same run."""
        digest = hashlib.sha256(f"{self._config.seed} {number}".encode()).digest()
        return int.from_bytes(digest[:7], "little")


def _lead(piece: Piece, place: int) -> Lead | None:
    """What leads up to a segment in one of the files."""
    coded: list[Coded] = []
    state = None
    one = piece.previous
    while one is not None and one.coded is not None:
        coded.append(one.coded[place])
        if one.states is not None:
            state = one.states[place]
            break
        one = one.previous
    return Lead(state, tuple(reversed(coded))) if coded else None
