"""Python processes of our own: they find this package, and nothing that lies around elsewhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

_ROOT = Path(__file__).resolve().parent.parent


class Child(NamedTuple):
    """How a process is to be started.

    Attributes:
        command: What to run, and its arguments.
        environment: In which environment.
        folder: In which folder. Not the user's: what lies there must not be imported.
    """

    command: list[str]
    environment: dict[str, str]
    folder: str


def child(module: str, *arguments: str) -> Child:
    """A process that runs a module.

    Args:
        module: Its name.
        arguments: Of the process; paths must be absolute.
    """
    paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    return Child(
        command=[sys.executable, "-m", module, *arguments],
        environment={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        folder=str(_ROOT),
    )
