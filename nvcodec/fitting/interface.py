"""What the encoder asks of a family: to make the payload of a segment.

A family is fitted by the part of the tool that knows it, which is imported then. How it goes about
it, and how it meets a size or a quality, is its own affair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from nvcodec.media import Colour, Frames, UInt8Array
from nvcodec.models.base.config import ModelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class FitProgress:
    """Where a fit stands, after an epoch.

    Attributes:
        stage: Its name, for people; of networks `"float"` or `"quantised"`.
        epoch: Epochs done, over all stages.
        epochs: Epochs planned, over all stages.
        psnr: Of the epoch's outputs in the model's colour, dB, before rounding to 8 bits; not a
            number if the epoch diverged.
        bits: Estimated size of the segment; None where there is none yet, as in the float stage.
        seconds: Since the fit began.
        remaining: Expected seconds to its end.
    """

    stage: str
    epoch: int
    epochs: int
    psnr: float
    bits: float | None
    seconds: float
    remaining: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FitTask:
    """A segment to be fitted.

    Attributes:
        frames: Its pictures.
        colour: How their samples map to light.
        number: Of the segment in the video, from 0; for messages.
        bits: Wanted size of the payload of each file, one without a ladder: None where `lmbda` or
            the number of parameters is given instead, a first guess where a PSNR is.
        previous: Of each file the state of the segment before, which this one may be predicted
            from (`SegmentDecoder.state`); all None if it must stand alone.
        seconds: Time allowed for all of it, None for no limit.
        seed: Of everything random; not that of any other segment.
        on_progress: To be called after every epoch. An exception it raises ends the fit.
        fsq_indices: Tokens that the model is fed by, shape (t, h, w, 6); None if it is not.
    """

    frames: Frames
    colour: Colour
    number: int
    bits: tuple[float | None, ...]
    previous: tuple[object, ...]
    seconds: float | None
    seed: int
    on_progress: Callable[[FitProgress], None] | None
    fsq_indices: UInt8Array | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        _, height, width = self.frames.y.shape
        return height, width

    @property
    def pixels(self) -> int:
        """Pixels of the segment, over all frames."""
        return self.frames.y.size


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedSegment:
    """A fitted segment as one file will hold it.

    Attributes:
        config: The model's configuration; says whether the segment is predicted.
        body: The payload without it; see `nvcodec.reconstruction.payload`.
        fsq_indices: Tokens that the model is fed by, shape (t, h, w, 6); None if it is not.
    """

    config: ModelConfig
    body: bytes
    fsq_indices: UInt8Array | None = field(default=None, compare=False)


class SegmentFitter(Protocol):
    """Fits the segments of an encode, one after the other."""

    @property
    def device(self) -> torch.device:
        """Where it computes, which need not be where it was asked to."""
        ...

    @property
    def epochs(self) -> int:
        """Largest number of passes over the frames that any fit took so far."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """What went wrong so far, in plain words, nothing twice."""
        ...

    def fit(self, task: FitTask) -> list[CodedSegment]:
        """Fit a segment.

        What comes out must follow from the task and the encode's settings alone, of the segments
        before it only from those in the task: that is what lets an interrupted encode go on.

        Args:
            task: The segment, and what is wanted.

        Returns:
            What each file will hold, in the order of `task.bits`.

        Raises:
            ConfigError: If the settings cannot work for such pictures.
        """
        ...


class BaseFitter:
    """What fitters note of their fits: how many passes, and every warning once.

    Attributes:
        epochs: As `SegmentFitter`.
        warnings: As `SegmentFitter`.
    """

    def __init__(self) -> None:
        self.epochs = 0
        self.warnings: list[str] = []

    def _warn(self, line: str) -> None:
        if line not in self.warnings:
            self.warnings.append(line)
