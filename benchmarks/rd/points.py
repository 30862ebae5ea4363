"""One point of a rate-distortion curve: the command line that encodes it, and its key in the store.

The key is a hash of everything that decides a point: the source's samples, the settings, and the
program. So nothing is computed twice, and no stale point is taken for a new one.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.harness.record import ROOT
from benchmarks.rd.prepared_clips import PreparedClip

Row = dict[str, Any]
Settings = Mapping[str, str | int | float | None]
# Code that a network's file depends on, code of the reference, and code that an anchor's file and
# its measurement depend on.
_PROGRAM = ("nvcodec", "models", "entropy")
_REFERENCE = (
    "benchmarks/reproduction/hnerv_reference.py",
    "benchmarks/harness/fit_to_file.py",
    "benchmarks/reproduction/hnerv_quantisation.py",
)
_ANCHORS = (
    "benchmarks/harness/anchor_codecs.py",
    "nvcodec/metrics.py",
    "nvcodec/decoding/comparison.py",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """A point to encode and measure.

    Attributes:
        series: Name of the curve that the point belongs to.
        kind: `"model"`, `"reference"` or `"anchor"`.
        settings: Options of the command line that decide the file.
        rate: Index of the rate among the clip's, from 0; None if the point has no target rate.
    """

    series: str
    kind: str
    settings: Settings
    rate: int | None = None

    @property
    def suffix(self) -> str:
        """Suffix of the file; NUT is the smallest container with exact times for all anchors."""
        return ".nut" if self.kind == "anchor" else ".nvc"

    def key(self, source: PreparedClip) -> str:
        """Return a hash of the source's samples and the settings; the program is not part of it."""
        parts = {"planes": source.planes, "kind": self.kind, "settings": dict(self.settings)}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]

    def command(self, source: Path, target: Path) -> list[str]:
        """Return the command line that encodes the file.

        Args:
            source: The prepared clip.
            target: File to write.
        """
        python = [sys.executable, "-m"]
        arguments = [
            argument
            for name, value in self.settings.items()
            if value is not None and name != "threads"
            for argument in _argument(name, value)
        ]
        if self.kind == "model":
            paths = [str(source), "-o", str(target), "--no-audio", "--json", "-y"]
            return [*python, "nvcodec", "encode", *paths, *arguments]
        if self.kind == "reference":
            return [
                *python,
                "benchmarks.reproduction.hnerv_reference",
                str(source),
                str(target),
                *arguments,
            ]
        threads = ["--threads", str(self.settings["threads"])]
        return [
            *python,
            "benchmarks.harness.anchor_codecs",
            str(source),
            str(target),
            *arguments,
            *threads,
        ]

    def program(self) -> str:
        """Return the fingerprint of the code that the point depends on."""
        if self.kind == "anchor":
            return fingerprint(_ANCHORS)
        return fingerprint((*_PROGRAM, *(_REFERENCE if self.kind == "reference" else ())))


def _argument(name: str, value: str | float) -> tuple[str, ...]:
    """Return a setting as arguments of the command line; a switch has no value there."""
    switch = f"--{name.replace('_', '-')}"
    return (switch,) if value is True else (switch, str(value))


def fingerprint(paths: Sequence[str]) -> str:
    """Return a hash of the current Python code in files and folders, without comments or docstrings.

    Args:
        paths: Files and folders, relative to the repository root.
    """
    digest = hashlib.sha256()
    for name in paths:
        path = ROOT / name
        # rglob does not follow the links in nvcodec/: each file counts once.
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            status = file.stat()
            content = _content(file, status.st_mtime_ns, status.st_size)
            digest.update(f"{file.relative_to(ROOT)} {content}\n".encode())
    return digest.hexdigest()[:12]


@cache
def _content(file: Path, modified: int, size: int) -> str:
    """Return a hash of the code of a file; the cache is keyed by its time and size."""
    text = file.read_text()
    # A file that is being edited may not parse; then its text counts.
    with suppress(SyntaxError):
        text = strip_docstrings(text)
    return hashlib.sha256(text.encode()).hexdigest()


def strip_docstrings(source: str) -> str:
    """Return Python source as a syntax tree without docstrings: the part that can change a result."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    return ast.dump(tree)
