"""Usage errors of the command line: one line that says what is wrong, with an example."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line.

    Args:
        example: Command line that works.
        options: Options of `argparse.ArgumentParser`.
    """

    def __init__(self, *, example: str, **options: Any) -> None:
        super().__init__(**options)
        self._example = example

    def error(self, message: str) -> NoReturn:
        """Print a usage error and exit with code 2."""
        self.exit(2, f"{self.prog}: error: {message}; for example: {self._example}\n")
