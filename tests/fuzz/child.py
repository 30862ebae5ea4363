"""One case in a process of its own, with limits on memory and time."""

from __future__ import annotations

import gc
import json
import os
import random
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz.bound import bound
from tests.fuzz.exercise import exercise

# Above the bound, so that a peak above the bound is measured. Address space that is never touched, as
# that of latents that are zero, is not memory, but the limit counts it.
_SLACK = 4 << 30
_CPU_SECONDS, _WALL_SECONDS = 60, 120


class ChildError(Exception):
    """A child process hung or died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of a case.

    Attributes:
        outcomes: Ways to read the file, and what each led to; see `exercise`.
        peak: Memory that the process took beyond that of its imports, bytes.
        bound: The documented bound for the file, bytes.
        findings: What must not be, one sentence each.
    """

    outcomes: list[tuple[str, str]]
    peak: int
    bound: int
    findings: list[str]


def run(data: bytes, seed: str, ways: int) -> Report:
    """Exercise a file in a fork of this process, which should have one thread only.

    Args:
        data: The file.
        seed: Seed of the choices.
        ways: Number of ways to read it.
    """
    limit = bound(data)
    try:
        outcomes, peak = in_child(
            lambda: exercise(data, random.Random(seed), ways), address_space=limit + _SLACK
        )
    except ChildError as error:
        return Report(outcomes=[], peak=0, bound=limit, findings=[str(error)])
    findings = [f"{way}: {outcome[2:]}" for way, outcome in outcomes if outcome[0] == "!"]
    if peak > limit:
        findings.append(f"a peak of {peak >> 20} MiB; the bound is {limit >> 20} MiB")
    return Report(outcomes=outcomes, peak=peak, bound=limit, findings=findings)


def in_child(
    work: Callable[[], Any], *, address_space: int, warm_up: Callable[[], Any] | None = None
) -> tuple[Any, int]:
    """Run a function in a fork of this process, with limits on memory and time.

    Args:
        work: Function; what it returns is sent back as JSON.
        address_space: Memory that it may reserve beyond what this process has, bytes.
        warm_up: Function that runs before memory is measured. A fork has none of its parent's
            pages of libraries: those that it touches count as its growth.

    Returns:
        What it returned, and by how much the resident memory grew at most, bytes.

    Raises:
        ChildError: If the child hung or died.
    """
    receiver, sender = os.pipe()
    child = os.fork()
    if not child:
        os.close(receiver)
        _run_child(work, address_space, sender, warm_up)
    os.close(sender)
    with os.fdopen(receiver, "rb") as pipe:
        message = pipe.read()
    _, status = os.waitpid(child, 0)
    if not message or status:
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        fault = "a hang" if number in (signal.SIGALRM, signal.SIGXCPU) else "a crash"
        raise ChildError(
            f"{fault}: signal {number}" if number else f"{fault}: exit status {status >> 8}"
        )
    result, peak = json.loads(message)
    return result, peak


def _run_child(
    work: Callable[[], Any], address_space: int, sender: int, warm_up: Callable[[], Any] | None
) -> None:
    """Run a function, write what it returns to a pipe and end this process."""
    code = 1
    try:
        # Garbage of the parent stays: an encoder would wait for its threads, which are not here.
        gc.freeze()
        signal.alarm(_WALL_SECONDS)
        used = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime)
        resource.setrlimit(resource.RLIMIT_CPU, (used + _CPU_SECONDS,) * 2)
        address_space += _status("VmSize")
        resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
        if warm_up is not None:
            warm_up()
            Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        before = _status("VmRSS")
        # Warnings of libav and of nvcodec would fill the terminal.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        result = work()
        peak = _status("VmHWM") - before
        os.write(sender, json.dumps([result, peak]).encode())
        code = 0
    finally:
        os._exit(code)


def _status(field: str) -> int:
    """Return a number of `/proc/self/status`, bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) << 10
    raise OSError(f"/proc/self/status has no {field}")
