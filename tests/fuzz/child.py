"""One case in a process of its own, with limits on memory and time."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.bound import bound
from tests.fuzz.exercise import exercise

# Above the bound, so that a peak above the bound is measured. Address space that is never touched, as
# that of latents that are zero, is not memory, but the limit counts it.
_SLACK = 4 << 30
_CPU_SECONDS, _WALL_SECONDS = 60, 600


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
    receiver, sender = os.pipe()
    child = os.fork()
    if not child:
        os.close(receiver)
        _run_child(data, seed, ways, limit, sender)
    os.close(sender)
    with os.fdopen(receiver, "rb") as pipe:
        message = pipe.read()
    _, status = os.waitpid(child, 0)
    if not message or status:
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        fault = "a hang" if number in (signal.SIGALRM, signal.SIGXCPU) else "a crash"
        fault += f": signal {number}" if number else f": exit status {status >> 8}"
        return Report(outcomes=[], peak=0, bound=limit, findings=[fault])
    report = json.loads(message)
    findings = [f"{way}: {outcome[2:]}" for way, outcome in report["outcomes"] if outcome[0] == "!"]
    if report["peak"] > limit:
        findings.append(f"a peak of {report['peak'] >> 20} MiB; the bound is {limit >> 20} MiB")
    return Report(
        outcomes=[(way, outcome) for way, outcome in report["outcomes"]],
        peak=report["peak"],
        bound=limit,
        findings=findings,
    )


def _run_child(data: bytes, seed: str, ways: int, limit: int, sender: int) -> None:
    """Exercise a file, write the report to a pipe and end this process."""
    code = 1
    try:
        signal.alarm(_WALL_SECONDS)
        used = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime)
        resource.setrlimit(resource.RLIMIT_CPU, (used + _CPU_SECONDS,) * 2)
        address_space = _status("VmSize") + limit + _SLACK
        resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
        before = _status("VmRSS")
        # Warnings of libav and of nvcodec would fill the terminal.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        outcomes = exercise(data, random.Random(seed), ways)
        peak = _status("VmHWM") - before
        os.write(sender, json.dumps({"outcomes": outcomes, "peak": peak}).encode())
        code = 0
    finally:
        os._exit(code)


def _status(field: str) -> int:
    """Return a number of `/proc/self/status`, bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) << 10
    raise OSError(f"/proc/self/status has no {field}")
