"""The option `--print-completion`: a script with which a shell completes the command line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

SHELLS = ("bash", "zsh", "tcsh")
# Arguments that are files, by their names in the parsed arguments.
_FILES = ("input", "output", "source", "other", "mask")


class PrintCompletion(argparse.Action):
    """Prints the script of a shell and exits; shtab is imported only here."""

    def __init__(self, option_strings: Sequence[str], dest: str, **_: Any) -> None:
        super().__init__(
            option_strings,
            dest,
            choices=SHELLS,
            help="print a script with which a shell completes this command, and exit",
        )

    def __call__(
        self, parser: argparse.ArgumentParser, _: object, shell: object, *__: object
    ) -> NoReturn:
        """Print the script and exit."""
        import shtab

        for action in _actions(parser):
            if action.dest in _FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        print(shtab.complete(parser, shell=str(shell)))  # noqa: T201
        raise SystemExit(0)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Return the arguments of a parser and of all its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
