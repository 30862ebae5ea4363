"""What is handed to whoever fits a segment, and what comes back; both can be pickled."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

from nvcodec.config import EncoderConfig
from nvcodec.errors import NvcodecError
from nvcodec.fitting.interface import Coded, FitProgress, Fitter, Task
from nvcodec.tokenizer.segment_tokens import tokens_of
from nvcodec.tokenizer.token_sections import beside_tokens, code_tokens, tokens_section
from nvcodec.workers.reference_chain import Lead


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A segment to be fitted, wherever that is.

    Attributes:
        task: Without `previous` and `on_progress`, which are known only there.
        leads: What leads up to it, for each file; all None if it must stand alone.
    """

    task: Task
    leads: tuple[Lead | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What came of a job.

    Attributes:
        coded: For each file.
        states: `Task.previous`: what the leads came to.
        epochs: As of a `Fitter`.
        warnings: As of a `Fitter`.
        tokens: Those of the segment, coded; None if there are to be none.
    """

    coded: tuple[Coded, ...]
    states: tuple[object, ...]
    epochs: int
    warnings: tuple[str, ...]
    tokens: bytes | None


@dataclass(frozen=True, slots=True)
class Failed:
    """A job that ended in an exception.

    Attributes:
        error: The exception, or a `NvcodecError` with its words if it cannot be pickled.
        trace: Where it was raised, for people.
    """

    error: Exception
    trace: str

    @classmethod
    def of(cls, error: Exception) -> Failed:
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
class Lost:
    """A job whose worker died.

    Attributes:
        reason: What is known of it.
    """

    reason: str


def carried_out(
    job: Job, fitter: Fitter, config: EncoderConfig, on_progress: Callable[[FitProgress], None]
) -> Fitted:
    """Fit a segment; make its tokens before, which what is fitted has to leave room for.

    Args:
        job: The segment.
        fitter: Fits it.
        config: Settings of the encode.
        on_progress: Called after every epoch.
    """
    task = job.task
    states = tuple(
        lead.opened(config.model, task.colour, fitter.device) if lead else None
        for lead in job.leads
    )
    task = replace(task, previous=states, on_progress=on_progress)
    tokens, warnings = None, []
    if config.latents != "private":
        digits = tokens_of(task.frames, task.colour, config.tokenizer)
        tokens = code_tokens(digits)
        task = replace(task, digits=digits if config.fed else None)
        if config.psnr is None:  # else it is a guess of the payload alone
            wanted = task.bits
            task = replace(task, bits=tuple(beside_tokens(bits, tokens) for bits in wanted))
            least = min((bits for bits in wanted if bits is not None), default=inf)
            if least <= 8 * tokens_section(tokens):
                warnings.append(
                    f"segment {task.number}: its tokens alone take {tokens_section(tokens)} bytes, "
                    f"{least / 8:.0f} are wanted for all of it"
                )
    coded = fitter.fit(task)
    return Fitted(
        coded=tuple(replace(one, digits=task.digits) for one in coded),
        states=states,
        epochs=fitter.epochs,
        warnings=(*fitter.warnings, *warnings),
        tokens=tokens,
    )
