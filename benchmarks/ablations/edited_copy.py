"""A copy of the project in which some lines are changed, to measure what the lines are worth.

Compiled loops cannot be patched from outside, and switches that only a measurement needs do not
belong into them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.record import ROOT

_FOLDERS = ("nvcodec", "models", "entropy", "cuda", "benchmarks")


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of the source.

    Attributes:
        file: File, relative to the project.
        before: Text that occurs in it once.
        after: Text that replaces it.
    """

    file: str
    before: str
    after: str


@contextmanager
def edited_copy(edits: Sequence[Edit]) -> Iterator[Path]:
    """Make a copy of the project with changes, which is removed at the end.

    Args:
        edits: The changes.

    Yields:
        Folder of the copy.

    Raises:
        ValueError: If the text of a change does not occur exactly once.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in _FOLDERS:
            shutil.copytree(
                ROOT / name,
                root / name,
                symlinks=True,
                ignore=shutil.ignore_patterns("__pycache__", "results"),
            )
        for edit in edits:
            path = root / edit.file
            text = path.read_text()
            if text.count(edit.before) != 1:
                raise ValueError(f"{edit.file}: expected once: {edit.before!r}")
            path.write_text(text.replace(edit.before, edit.after))
        yield root
