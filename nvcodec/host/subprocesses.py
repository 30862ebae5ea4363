"""Start of Python child processes that import this package and nothing from the user's folder."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import NamedTuple

# The folder that holds the package. Within the package, its modules would hide others of the same name.
_ROOT = Path(__file__).resolve().parents[2]


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


def wait_without_spinning(environment: MutableMapping[str, str]) -> None:
    """Make threads of OpenMP sleep while they wait for each other, unless the user chose otherwise.

    By default they spin. Beside other work, a thread then spins while the core that it waits for
    is busy, and an encode takes many times as long.

    Args:
        environment: Environment variables, changed. They have an effect on what loads torch later.
    """
    if not any(name in environment for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")):
        environment["OMP_WAIT_POLICY"] = "PASSIVE"
    environment.setdefault("KMP_BLOCKTIME", "0")  # for builds with the OpenMP of LLVM or Intel


def child(module: str, *arguments: str) -> Child:
    """Return how to start a process that runs a module.

    Args:
        module: Name of the module, for `python -m`.
        arguments: Arguments of the process; paths must be absolute.
    """
    paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    wait_without_spinning(environment)
    return Child(
        command=[sys.executable, "-m", module, *arguments],
        environment=environment,
        folder=str(_ROOT),
    )
