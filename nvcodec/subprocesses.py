"""Start of Python child processes that import this package and nothing from the user's folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

_ROOT = Path(__file__).resolve().parent.parent


class Child(NamedTuple):
    """Command, environment and folder of a child process.

    Attributes:
        command: Program and arguments.
        environment: Environment variables.
        folder: Working folder. It is not the user's, whose files must not be imported.
    """

    command: list[str]
    environment: dict[str, str]
    folder: str


def child(module: str, *arguments: str) -> Child:
    """Return how to start a process that runs a module.

    Args:
        module: Name of the module, for `python -m`.
        arguments: Arguments of the process; paths must be absolute.
    """
    paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    return Child(
        command=[sys.executable, "-m", module, *arguments],
        environment={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        folder=str(_ROOT),
    )
