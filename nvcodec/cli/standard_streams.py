"""Standard input and output as files of a command: the name `-`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import BinaryIO

from nvcodec.errors import ConfigError

PIPE = "-"
_STDOUT = (PIPE, "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
_STDERR = 2


def fill_closed_streams() -> None:
    """Put the null device in the place of standard streams that this process was started without.

    Otherwise the next file that is opened would get the number of such a stream, and with it what
    libraries and child processes write there. `sys.stdin` and `sys.stdout` stay None.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def binary_input(name: str) -> str | BinaryIO:
    """Return standard input for `-`, and any other name as it is.

    Raises:
        ConfigError: If standard input is closed.
    """
    if name != PIPE:
        return name
    if sys.stdin is None:
        raise ConfigError("-: expected data on standard input, found it closed")
    return sys.stdin.buffer


@contextmanager
def binary_output(name: str) -> Iterator[str | BinaryIO]:
    """Yield standard output for `-`, and any other name as it is.

    Meanwhile what is printed goes to stderr: nothing but the data may come to standard output.

    Args:
        name: Name of an output; `/dev/stdout` is the same as `-`.

    Raises:
        ConfigError: If standard output is closed or a terminal.
    """
    if name not in _STDOUT:
        yield name
        return
    out = sys.stdout
    if out is None:
        raise ConfigError(f"{name}: expected a pipe or file as standard output, found it closed")
    if out.isatty():
        raise ConfigError(
            f"{name}: binary data is not written to a terminal; pipe it into a program, as in "
            "`| ffplay -`, or into a file with `>`"
        )
    with redirect_stdout(sys.stderr):
        yield out.buffer
