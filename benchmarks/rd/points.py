"""One point of a rate-distortion curve: what is to be encoded, and the names of its outcome.

What decides a point (the source's samples, the settings, and the program) is hashed into the name
under which `rd_store` keeps it, so that nothing is computed twice and nothing stale taken for new.
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
from benchmarks.rd.suites import Prepared

Row = dict[str, Any]
Settings = Mapping[str, str | int | float | None]
# What a network's file depends on, and what an anchor's and its measurement do.
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
class Point:
    """What is to be made.

    Attributes:
        series: The curve it belongs to.
        kind: `"model"`, `"reference"` or `"anchor"`.
        settings: Everything the command line is told that decides the file.
        rate: Which of the clip's rates it aims at, from 0; None where it aims at none.
    """

    series: str
    kind: str
    settings: Settings
    rate: int | None = None

    @property
    def suffix(self) -> str:
        """Of its file. NUT is the smallest container that keeps the times of all three anchors."""
        return ".nut" if self.kind == "anchor" else ".nvc"

    def key(self, source: Prepared) -> str:
        """Names the point by what it is made of and how; the program is not part of it."""
        parts = {"planes": source.planes, "kind": self.kind, "settings": dict(self.settings)}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]

    def command(self, source: Path, target: Path) -> list[str]:
        """The command line that makes its file."""
        python = [sys.executable, "-m"]
        given = [
            argument
            for name, value in self.settings.items()
            if value is not None and name != "threads"
            for argument in _argument(name, value)
        ]
        if self.kind == "model":
            ends = [str(source), "-o", str(target), "--no-audio", "--json", "-y"]
            return [*python, "nvcodec", "encode", *ends, *given]
        if self.kind == "reference":
            return [
                *python,
                "benchmarks.reproduction.hnerv_reference",
                str(source),
                str(target),
                *given,
            ]
        threads = ["--threads", str(self.settings["threads"])]
        return [
            *python,
            "benchmarks.harness.anchor_codecs",
            str(source),
            str(target),
            *given,
            *threads,
        ]

    def program(self) -> str:
        """Fingerprint of the code it depends on."""
        if self.kind == "anchor":
            return fingerprint(_ANCHORS)
        return fingerprint((*_PROGRAM, *(_REFERENCE if self.kind == "reference" else ())))


def _argument(name: str, value: str | float) -> tuple[str, ...]:
    """A setting on the command line; what is merely switched on has no value there."""
    switch = f"--{name.replace('_', '-')}"
    return (switch,) if value is True else (switch, str(value))


def fingerprint(paths: Sequence[str]) -> str:
    """Hash of the Python in files and folders as it is now; comments and docstrings do not count.

    Args:
        paths: Relative to the repository's root.
    """
    digest = hashlib.sha256()
    for name in paths:
        path = ROOT / name
        # rglob does not follow the links in nvcodec/: each file counts once.
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            known = file.stat()
            content = _content(file, known.st_mtime_ns, known.st_size)
            digest.update(f"{file.relative_to(ROOT)} {content}\n".encode())
    return digest.hexdigest()[:12]


@cache
def _content(file: Path, modified: int, size: int) -> str:
    """Hash of what a file says; parsed again only once it was written again."""
    text = file.read_text()
    # Where someone is editing it, it counts as it stands.
    with suppress(SyntaxError):
        text = bare(text)
    return hashlib.sha256(text.encode()).hexdigest()


def bare(source: str) -> str:
    """Python source as a syntax tree without docstrings: what of it can change a result."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    return ast.dump(tree)
