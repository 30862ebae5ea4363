"""The job of fitting one segment, its possible results, and the function that runs it.

Jobs and results can be pickled.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

from nvcodec.config import EncoderConfig
from nvcodec.errors import NvcodecError
from nvcodec.fitting.interface import CodedSegment, FitProgress, FitTask, SegmentFitter
from nvcodec.tokenizer.segment_tokens import tokenise_segment
from nvcodec.tokenizer.token_sections import (
    encode_token_section,
    payload_budget,
    token_section_bytes,
)
from nvcodec.workers.reference_chain import ReferenceChain


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A segment to be fitted by a worker.

    Attributes:
        task: Task without `previous` and `on_progress`, which the worker adds.
        chains: Reference chain of the segment for each output file; all None if it is a random
            access point.
    """

    task: FitTask
    chains: tuple[ReferenceChain | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """The result of a job.

    Attributes:
        coded: Coded segment for each output file.
        states: Reference state of the previous segment for each output file, decoded from the
            chains of the job; None where there is no chain.
        epochs: Largest number of passes over the frames in any fit of the worker.
        warnings: Warnings of the worker's fits, for people.
        tokens: Coded tokens of the segment; None if the files hold no tokens.
    """

    coded: tuple[CodedSegment, ...]
    states: tuple[object, ...]
    epochs: int
    warnings: tuple[str, ...]
    tokens: bytes | None


@dataclass(frozen=True, slots=True)
class JobFailure:
    """The end of a job in an exception.

    Attributes:
        error: The exception; if it cannot be pickled, a `NvcodecError` with its message.
        trace: Traceback of the exception in the worker, for people.
    """

    error: Exception
    trace: str

    @classmethod
    def of(cls, error: Exception) -> JobFailure:
        """Return the failure for an exception that is being handled."""
        trace = "".join(traceback.format_exception(error))
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # noqa: BLE001
            error = NvcodecError(f"{type(error).__name__}: {error}")
        return cls(error, trace)

    def to_exception(self) -> Exception:
        """Return the exception to raise in the encoder; its cause holds the worker's traceback."""
        self.error.__cause__ = NvcodecError(f"in a worker:\n{self.trace}")
        return self.error


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """The end of a job by the death of its worker.

    Attributes:
        reason: Cause of the death as far as it is known.
    """

    reason: str


def run_job(
    job: Job,
    fitter: SegmentFitter,
    config: EncoderConfig,
    on_progress: Callable[[FitProgress], None],
) -> JobResult:
    """Fit a segment, after computing its tokens if the files hold tokens.

    Args:
        job: Job to run.
        fitter: Fitter of this worker.
        config: Settings of the encode.
        on_progress: Callback after every epoch.

    Returns:
        Coded segments, reference states and tokens.

    Raises:
        NvcodecError: If the segment cannot be fitted.
    """
    task = job.task
    states = tuple(
        chain.decode_state(config.model, task.colour, fitter.device) if chain else None
        for chain in job.chains
    )
    task = replace(task, previous=states, on_progress=on_progress)
    tokens, warnings = None, []
    if config.latents != "private":
        fsq_indices = tokenise_segment(task.frames, task.colour, config.tokenizer)
        tokens = encode_token_section(fsq_indices)
        task = replace(task, fsq_indices=fsq_indices if config.token_conditioned else None)
        # Tokens and payload share the target size. For a PSNR it is a guess of the payload alone.
        if config.psnr is None:
            target_bits = task.bits
            task = replace(task, bits=tuple(payload_budget(bits, tokens) for bits in target_bits))
            least = min((bits for bits in target_bits if bits is not None), default=inf)
            if least <= 8 * token_section_bytes(tokens):
                warnings.append(
                    f"segment {task.number}: its tokens alone take "
                    f"{token_section_bytes(tokens)} bytes, but the target of the whole segment is "
                    f"{least / 8:.0f} bytes"
                )
    coded = fitter.fit(task)
    return JobResult(
        coded=tuple(replace(segment, fsq_indices=task.fsq_indices) for segment in coded),
        states=states,
        epochs=fitter.epochs,
        warnings=(*fitter.warnings, *warnings),
        tokens=tokens,
    )
