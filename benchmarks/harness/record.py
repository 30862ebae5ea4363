"""What every measurement has in common: where it ran, paired timing, JSON out.

A number without its commit, command and machine cannot be compared with anything, so `Record`
stores the three beside every result. Speeds are ratios of two things timed in turn in one process;
absolute seconds, which depend on the machine, come second.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
FILES = ROOT / "out" / "benchmarks"
"""Where encoded files go; not under version control."""
_PACKAGES = ("torch", "av", "numpy", "compressai")


@dataclass(frozen=True, slots=True)
class Spread:
    """A quantity measured several times.

    Attributes:
        median: Of all measurements.
        low: Smallest.
        high: Largest.
        values: All of them, in the order taken.
    """

    median: float
    low: float
    high: float
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values), tuple(values))

    def __format__(self, spec: str) -> str:
        if len(self.values) == 1:
            return format(self.median, spec)
        return f"{self.median:{spec}} ({self.low:{spec}}-{self.high:{spec}})"


def alternate(
    measures: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, tuple[float, ...]]:
    """Measure several things in turn, A B A B ..., so that all of them see the same machine.

    Args:
        measures: What to measure; each returns its number.
        rounds: How often each is measured.

    Returns:
        The numbers of each, one per round.
    """
    taken: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds):
        for name, measure in measures.items():
            taken[name].append(measure())
            print(f"round {number + 1}/{rounds}: {name} {taken[name][-1]:.4g}", file=sys.stderr)
    return {name: tuple(values) for name, values in taken.items()}


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """Ratios of measurements of the same round."""
    return Spread.of([a / b for a, b in zip(above, below, strict=True)])


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as they are shown to people; numbers proper are in the results.

    Attributes:
        columns: Headings.
        rows: As many cells each.
        note: A line under the table.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def text(self) -> str:
        """For a terminal: columns aligned."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[place]) for line in lines) for place in range(len(self.columns))]
        shown = [
            "  ".join(
                cell.rjust(width) if place else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        ]
        rule = "  ".join("-" * width for width in widths)
        return "\n".join([shown[0], rule, *shown[1:], *filter(None, [self.note])])


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """An argument parser with what every script takes.

    Args:
        name: Of the script; the result goes to `benchmarks/results/<name>.json` by default.
        description: The module's docstring; its first line is shown.
    """
    made = argparse.ArgumentParser(
        prog=" ".join(_program()),
        description=(description or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    made.add_argument("--out", type=Path, default=RESULTS / f"{name}.json", help="JSON to write")
    return made


def size_argument(text: str) -> tuple[int, int]:
    """`WxH` as (width, height)."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected a size such as 640x360, got {text!r}")
    return int(match[1]), int(match[2])


def write(path: Path, results: Mapping[str, Any], tables: Mapping[str, Table]) -> None:
    """Write a result file, and print its tables.

    Args:
        path: JSON file to write.
        results: The numbers; spreads and other dataclasses are stored by their fields.
        tables: What people are shown of them, by name; `tables.py` puts them into documents.
    """
    record = {
        "command": _command(),
        **_commit(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "results": results,
        "tables": {name: asdict(table) for name, table in tables.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1, default=_plain) + "\n")
    for table in tables.values():
        print(table.text(), end="\n\n")
    print(f"written: {path}")


def machine() -> dict[str, Any]:
    """The processor, its accelerator if any, and the versions of what computes."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "bf16": bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()),
        "gpu": gpu,
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _program() -> list[str]:
    """The running script as it would be typed in the repository."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None:
        return ["python", sys.argv[0]]
    return ["python", "-m", spec.name.removesuffix(".__main__")]


def _command() -> str:
    return shlex.join([*_program(), *(one.removeprefix(f"{ROOT}/") for one in sys.argv[1:])])


def _commit() -> dict[str, Any]:
    """The commit and whether the tree differs from it; None where there is no repository."""
    described = _git("describe", "--always", "--tags")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":!benchmarks/results")
    return {"commit": described or None, "dirty": None if changed is None else bool(changed)}


def _git(*arguments: str) -> str | None:
    try:
        run = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return run.stdout.strip() if run.returncode == 0 else None


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _plain(value: Any) -> Any:
    """What JSON cannot hold by itself."""
    if isinstance(value, Spread):
        return asdict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"not a number, text or list: {value!r}")
