"""The interface between the encoder and the fitters of the model families.

A fitter turns the frames of a segment into the body of its payload. How it does that, and how it
meets a target size or quality, is up to the fitter. `nvcodec.fitting.factory` imports the fitter of
a family when it is needed.
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
    """The progress of a fit after an epoch.

    Attributes:
        stage: Display name of the stage; `"float"` or `"quantised"` for networks.
        epoch: Epochs done, over all stages.
        epochs: Epochs planned, over all stages.
        psnr: PSNR of the epoch's outputs in the model's colour mode in dB, before rounding to
            8 bits; NaN if the epoch diverged.
        bits: Estimated size of the segment in bits; None if there is no estimate yet, as in the
            float stage.
        seconds: Seconds since the fit began.
        remaining: Expected seconds to the end of the fit.
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
        frames: Frames of the segment.
        colour: Colour space of the frames.
        number: Number of the segment in the video, from 0; for messages.
        bits: Target size of the payload in bits for each output file (one file without a ladder).
            None if `lmbda` or the number of parameters is given instead; a first guess if a PSNR is
            given.
        previous: Reference state of the previous segment for each output file
            (`SegmentDecoder.reference_state`), which this segment may be predicted from; all None
            if the segment is a random access point.
        seconds: Time limit for the whole fit in seconds, None for no limit.
        seed: Seed of everything random in the fit, different for every segment.
        on_progress: Callback after every epoch. An exception that it raises ends the fit.
        fsq_indices: Tokens that condition the model, shape (t, h, w, 6); None if no tokens do.
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
        """Height and width of the frames in pixels."""
        _, height, width = self.frames.y.shape
        return height, width

    @property
    def pixels(self) -> int:
        """Number of pixels of the segment, over all frames."""
        return self.frames.y.size


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedSegment:
    """A fitted segment as one output file stores it.

    Attributes:
        config: Configuration of the model; it tells whether the segment is predicted.
        body: Payload without the configuration; see `nvcodec.reconstruction.payload`.
        fsq_indices: Tokens that condition the model, shape (t, h, w, 6); None if no tokens do.
    """

    config: ModelConfig
    body: bytes
    fsq_indices: UInt8Array | None = field(default=None, compare=False)


class SegmentFitter(Protocol):
    """A fitter of segments, which fits one after the other."""

    @property
    def device(self) -> torch.device:
        """Device that the fitter computes on; it may differ from the requested one."""
        ...

    @property
    def epochs(self) -> int:
        """Largest number of passes over the frames in any fit so far."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """Warnings of all fits so far, for people, each of them once."""
        ...

    def fit(self, task: FitTask) -> list[CodedSegment]:
        """Fit a segment.

        The result must depend on the task and the settings of the encode only, and on earlier
        segments only through the task. That makes an interrupted encode resumable.

        Args:
            task: Segment and targets.

        Returns:
            Coded segment for each output file, in the order of `task.bits`.

        Raises:
            ConfigError: If the settings cannot work for these frames.
        """
        ...


class BaseFitter:
    """Base class of the fitters; it keeps the statistics and the warnings of their fits.

    Attributes:
        epochs: Largest number of passes over the frames in any fit so far.
        warnings: Warnings of all fits so far, for people, each of them once.
    """

    def __init__(self) -> None:
        self.epochs = 0
        self.warnings: list[str] = []

    def _warn(self, line: str) -> None:
        """Add a warning, unless it is known already."""
        if line not in self.warnings:
            self.warnings.append(line)
