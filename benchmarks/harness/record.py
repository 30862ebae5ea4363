"""Records of measurements: the command line, paired timing, and the JSON file of every script.

A number without its commit, command and machine cannot be compared with anything, so `write` stores
the three beside every result. Speeds are ratios of two things timed in turn in one process;
absolute seconds, which depend on the machine, come second.
"""

from __future__ import annotations

import argparse
import json
import math
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
"""Folder of encoded files; not under version control."""
_PACKAGES = ("torch", "av", "numpy", "compressai")


@dataclass(frozen=True, slots=True)
class Spread:
    """A quantity measured several times.

    Attributes:
        median: Median of all measurements.
        low: Smallest measurement.
        high: Largest measurement.
        values: All measurements, in the order in which they were taken.
    """

    median: float
    low: float
    high: float
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one value."""
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
        measures: Functions by name; each measures once and returns the number.
        rounds: Number of measurements of each function.

    Returns:
        The numbers by name, one per round.
    """
    measured: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds):
        for name, measure in measures.items():
            measured[name].append(measure())
            print(f"round {number + 1}/{rounds}: {name} {measured[name][-1]:.4g}", file=sys.stderr)
    return {name: tuple(values) for name, values in measured.items()}


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> Spread:
    """Return the spread of ratios, each of two measurements of the same round."""
    return Spread.of([a / b for a, b in zip(numerators, denominators, strict=True)])


@dataclass(frozen=True, slots=True)
class ResultTable:
    """A table of formatted cells for people; the numbers themselves are in the results.

    Attributes:
        columns: Headings.
        rows: Rows of as many cells as there are headings.
        note: Text under the table.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def text(self) -> str:
        """Return the table for a terminal, with aligned columns."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.columns))]
        formatted = [
            "  ".join(
                cell.rjust(width) if column else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        ]
        rule = "  ".join("-" * width for width in widths)
        return "\n".join([formatted[0], rule, *formatted[1:], *filter(None, [self.note])])


class BenchmarkHelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Help with defaults, except for those that say nothing; paths are relative to the repository."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text, default = action.help or "", action.default
        if default is None or default is argparse.SUPPRESS or isinstance(default, bool):
            return text
        if "%(default)" in text or default in ([], (), math.inf):
            return text
        if isinstance(default, (list, tuple)):
            default = " ".join(map(str, default))
        shown = str(default).removeprefix(f"{ROOT}/").replace("%", "%%")
        return f"{text} (default: {shown})".lstrip()


def parser(
    name: str, description: str | None, *, out_help: str = "JSON file to write"
) -> argparse.ArgumentParser:
    """Return an argument parser with the option that every script has, `--out`.

    Args:
        name: Name of the measurement; the result goes to `benchmarks/results/<name>.json` by
            default.
        description: The module's docstring; the help shows its first line.
        out_help: Help text of `--out`.
    """
    argument_parser = argparse.ArgumentParser(
        prog=" ".join(_program()),
        description=(description or "").partition("\n")[0],
        formatter_class=BenchmarkHelpFormatter,
    )
    argument_parser.add_argument(
        "--out", type=Path, default=RESULTS / f"{name}.json", help=out_help, metavar="JSON"
    )
    return argument_parser


def size_argument(text: str) -> tuple[int, int]:
    """Parse `WxH` into (width, height).

    Raises:
        argparse.ArgumentTypeError: If the text is not of that form.
    """
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected a size such as 640x360, got {text!r}")
    return int(match[1]), int(match[2])


def write(path: Path, results: Mapping[str, Any], tables: Mapping[str, ResultTable]) -> None:
    """Write a result file and print its tables.

    Args:
        path: JSON file to write.
        results: The numbers; `Spread` and `Path` are converted, all else is JSON already.
        tables: Tables by name; `benchmarks.harness.tables` puts them into documents.
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
    """Describe the machine: processor, GPU if there is one, load and versions of packages."""
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
    """Return the command that runs the current script, as it is typed in the repository."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None:
        return ["python", sys.argv[0]]
    return ["python", "-m", spec.name.removesuffix(".__main__")]


def _command() -> str:
    arguments = (argument.removeprefix(f"{ROOT}/") for argument in sys.argv[1:])
    return shlex.join([*_program(), *arguments])


def _commit() -> dict[str, Any]:
    """Return the commit and whether the tree differs from it; None where there is no repository."""
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
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _plain(value: Any) -> Any:
    """Convert a value that JSON cannot hold by itself."""
    if isinstance(value, Spread):
        return asdict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"not a number, text or list: {value!r}")
