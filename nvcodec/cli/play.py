"""The command `nvcodec play`: decodes a file into ffplay or mpv."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from io import BufferedWriter
from pathlib import Path
from typing import Any

from nvcodec.cli.help_format import HelpFormatter
from nvcodec.cli.standard_streams import binary_input
from nvcodec.cli.values import rate, resize, span
from nvcodec.errors import ConfigError, VideoError
from nvcodec.files.spooling import readable_path

_PLAYERS: dict[str, Callable[[str], list[str]]] = {
    "ffplay": lambda title: [
        "-loglevel", "error", "-autoexit", "-window_title", title, "-f", "yuv4mpegpipe", "-i", "-"
    ],
    "mpv": lambda title: ["--msg-level=all=error", f"--title={title}", "-"],
}  # fmt: skip


def add_to(commands: Any, common: Callable[..., None]) -> None:
    """Add the command to a parser.

    Args:
        commands: Result of `add_subparsers`.
        common: Function that adds the options of all commands to a parser.
    """
    command = commands.add_parser(
        "play",
        help="show a .nvc file in ffplay or mpv, pictures only",
        description="Decode a .nvc file into ffplay or mpv, whichever is installed. The pictures are "
        "shown at a constant rate and without sound; `nvcodec decode` writes a file with both.",
        formatter_class=HelpFormatter,
        example="nvcodec play clip.nvc --start 1.5",
    )
    command.add_argument("input", metavar="IN.nvc", help="file to show, or - for standard input")
    command.add_argument(
        "--start", type=span, metavar="S", help="time to begin at, such as 90s or 1.5m"
    )
    command.add_argument(
        "--size", type=resize, metavar="WxH", help="picture size (default: that of the file)"
    )
    command.add_argument(
        "--fps", type=rate, metavar="R", help="frame rate (default: that of the file)"
    )
    command.add_argument("--device", default="auto", help="device to decode on: auto, cpu or cuda")
    common(command, result=False)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command.

    Args:
        options: Parsed arguments.

    Returns:
        Exit code; 0 also if the player is closed before the end.

    Raises:
        NvcodecError: If there is no player, or the file cannot be decoded.
    """
    player = next(filter(shutil.which, _PLAYERS), None)
    if player is None:
        raise VideoError(
            "expected ffplay or mpv on PATH, found neither; install FFmpeg or mpv, or write a file "
            "for another player: nvcodec decode IN.nvc -o OUT.mp4"
        )
    import subprocess  # only this command needs it

    from nvcodec.decoding.decode_file import decode_file  # decoding needs torch
    from nvcodec.decoding.inspection import inspect

    with readable_path(binary_input(options.input)) as path:
        inspect(path)  # a file that cannot be read opens no window
        frames = _frames_from(path, options.start) if options.start else None
        command = [player, *_PLAYERS[player](f"nvcodec {options.input}")]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            assert isinstance(process.stdin, BufferedWriter)
            try:
                decode_file(
                    path,
                    process.stdin,
                    frames=frames,
                    size=options.size,
                    fps=options.fps,
                    device=options.device,
                )
            except BrokenPipeError:
                pass  # the player was closed, or failed, which its exit code tells
            except BaseException:
                process.terminate()
                raise
            finally:
                with suppress(BrokenPipeError):
                    process.stdin.close()
            if code := process.wait():
                raise VideoError(f"{player} ended with exit code {code}")
    return 0


def _frames_from(path: Path, seconds: float) -> slice:
    """Return the frames that are shown from a time on, counted from the first frame in seconds."""
    from nvcodec.decoding.decoder import Decoder

    with Decoder(path, device="cpu") as video:
        duration = video.reader.duration
        if seconds >= duration:
            raise ConfigError(
                f"--start: expected a time before {float(duration):g}, got {seconds:g}"
            )
        first = video.reader.segments[0].start * video.info.time_base
        return slice(video.frame_number(first + Fraction(seconds)), None)
