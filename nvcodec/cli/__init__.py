"""The `nvcodec` command: arguments, commands, exit codes and progress bars."""

from nvcodec.cli.commands import main

__all__ = ["main"]
