"""What is handed to whoever fits a segment, and what comes back; both can be pickled."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

from nvcodec.config import EncoderConfig
from nvcodec.errors import NvcodecError
from nvcodec.fitting.interface import CodedSegment, FitProgress, FitTask, SegmentFitter
from nvcodec.tokenizer.segment_tokens import tokens_of
from nvcodec.tokenizer.token_sections import code_tokens, payload_budget, token_section_bytes
from nvcodec.workers.reference_chain import ReferenceChain


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A segment to be fitted, wherever that is.

    Attributes:
        task: Without `previous` and `on_progress`, which are known only there.
        chains: What leads up to it, for each file; all None if it must stand alone.
    """

    task: FitTask
    chains: tuple[ReferenceChain | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """What came of a job.

    Attributes:
        coded: For each file.
        states: `FitTask.previous`: what the leads came to.
        epochs: As of a `SegmentFitter`.
        warnings: As of a `SegmentFitter`.
        tokens: Those of the segment, coded; None if there are to be none.
    """

    coded: tuple[CodedSegment, ...]
    states: tuple[object, ...]
    epochs: int
    warnings: tuple[str, ...]
    tokens: bytes | None


@dataclass(frozen=True, slots=True)
class JobFailure:
    """A job that ended in an exception.

    Attributes:
        error: The exception, or a `NvcodecError` with its words if it cannot be pickled.
        trace: Where it was raised, for people.
    """

    error: Exception
    trace: str

    @classmethod
    def of(cls, error: Exception) -> JobFailure:
        """An exception that is being handled."""
        trace = "".join(traceback.format_exception(error))
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # noqa: BLE001
            error = NvcodecError(f"{type(error).__name__}: {error}")
        return cls(error, trace)

    def raised(self) -> Exception:
        """The exception, to be raised here; its cause tells where it was raised first."""
        self.error.__cause__ = NvcodecError(f"in a worker:\n{self.trace}")
        return self.error


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A job whose worker died.

    Attributes:
        reason: What is known of it.
    """

    reason: str


def run_job(
    job: Job,
    fitter: SegmentFitter,
    config: EncoderConfig,
    on_progress: Callable[[FitProgress], None],
) -> JobResult:
    """Fit a segment; make its tokens before, which what is fitted has to leave room for.

    Args:
        job: The segment.
        fitter: Fits it.
        config: Settings of the encode.
        on_progress: Called after every epoch.
    """
    task = job.task
    states = tuple(
        chain.decode_state(config.model, task.colour, fitter.device) if chain else None
        for chain in job.chains
    )
    task = replace(task, previous=states, on_progress=on_progress)
    tokens, warnings = None, []
    if config.latents != "private":
        fsq_indices = tokens_of(task.frames, task.colour, config.tokenizer)
        tokens = code_tokens(fsq_indices)
        task = replace(task, fsq_indices=fsq_indices if config.token_conditioned else None)
        if config.psnr is None:  # else it is a guess of the payload alone
            wanted = task.bits
            task = replace(task, bits=tuple(payload_budget(bits, tokens) for bits in wanted))
            least = min((bits for bits in wanted if bits is not None), default=inf)
            if least <= 8 * token_section_bytes(tokens):
                warnings.append(
                    f"segment {task.number}: its tokens alone take {token_section_bytes(tokens)} bytes, "
                    f"{least / 8:.0f} are wanted for all of it"
                )
    coded = fitter.fit(task)
    return JobResult(
        coded=tuple(replace(one, fsq_indices=task.fsq_indices) for one in coded),
        states=states,
        epochs=fitter.epochs,
        warnings=(*fitter.warnings, *warnings),
        tokens=tokens,
    )
