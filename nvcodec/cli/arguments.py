"""Arguments of the command line: definitions, help texts and parsers of their values."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import nvcodec
from nvcodec.cli.completion import PrintCompletion
from nvcodec.cli.help_format import HelpFormatter
from nvcodec.cli.play import add_to as add_play
from nvcodec.cli.tokens import add_to as add_tokens
from nvcodec.cli.usage import Parser
from nvcodec.cli.values import frames, rate, resize, size, sizes, span, workers
from nvcodec.config import DEFAULT_TOKENIZER, LATENTS
from nvcodec.models import DEFAULT_MODEL, MODELS

Run = Callable[[argparse.Namespace], int]
"""Function that runs a command and returns its exit code."""


def parser(run: Mapping[str, Run]) -> argparse.ArgumentParser:
    """Build the parser of all commands.

    Args:
        run: Functions that run `encode`, `decode`, `info`, `compare` and `models`, by name. The
            parsed arguments hold the function of the given command as `run`. Those of `play` and
            `tokens` are in their modules.
    """
    arguments = Parser(
        prog="nvcodec",
        description="Neural video codec: encode a video as a small neural network in one file, "
        "and decode it.",
        example="nvcodec encode clip.mp4 -o clip.nvc",
    )
    arguments.add_argument("--version", action=_Version)
    arguments.add_argument("--print-completion", action=PrintCompletion)
    commands = arguments.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_encode(commands, run["encode"])
    _add_decode(commands, run["decode"])
    _add_info(commands, run["info"])
    _add_compare(commands, run["compare"])
    add_play(commands, _add_common)
    add_tokens(commands, _add_common)
    models = commands.add_parser("models", help="list the model families", example="nvcodec models")
    models.set_defaults(run=run["models"])
    return arguments


def _add_encode(commands: Any, run: Run) -> None:
    command = commands.add_parser(
        "encode",
        help="fit a model to a video and write it to a file",
        formatter_class=HelpFormatter,
        example="nvcodec encode clip.mp4 -o clip.nvc",
    )
    command.add_argument(
        "input",
        metavar="INPUT",
        help="video file, folder of images, or - for a video on standard input, which is first "
        "copied to a temporary file (in the folder TMPDIR)",
    )
    command.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT.nvc",
        help="file to write, or - for standard output; the result is then printed on stderr",
    )
    network = command.add_argument_group("model and size")
    network.add_argument(
        "--model", choices=list(MODELS), default=DEFAULT_MODEL, help="model family"
    )
    network.add_argument(
        "--boost",
        action="store_true",
        help="condition every block of the network on time, for better quality at several times "
        "the work (nerv, hnerv and nervpp only)",
    )
    network.add_argument(
        "--latents",
        choices=LATENTS,
        default="private",
        help="latents to store: private (fitted to this video), both (private latents and tokens "
        "of the shared tokenizer), or shared (tokens instead of private latents, only for models "
        "that support it; implies --boost)",
    )
    network.add_argument(
        "--tokenizer",
        default=DEFAULT_TOKENIZER,
        help="tokenizer that makes the tokens: a folder, or bundled:NAME",
    )
    target = network.add_mutually_exclusive_group()
    target.add_argument(
        "--size", type=size, help="target size without audio, such as 250kB or 1.5MB"
    )
    target.add_argument(
        "--bpp", type=float, help="target bits per pixel without audio (default: 0.1)"
    )
    target.add_argument(
        "--psnr", type=float, help="target luma PSNR of every segment in dB, by up to four fits"
    )
    target.add_argument(
        "--lmbda",
        type=float,
        help="Lagrange multiplier of the rate: every segment minimises ln(distortion) + LMBDA * "
        "bpp, so that 6 results in about 0.1 bpp and 60 in about 0.01 bpp",
    )
    target.add_argument(
        "--ladder",
        type=sizes,
        metavar="50kB,100kB,...",
        help="target sizes of several files from one fit, named OUT-50kB.nvc, OUT-100kB.nvc and so "
        'on; --json then prints {"files": [...]}',
    )
    effort = command.add_argument_group("effort")
    effort.add_argument(
        "--preset",
        choices=["ultrafast", "fast", "medium", "slow", "placebo"],
        default="medium",
        help="encoding effort: slower presets make more passes over the frames",
    )
    effort.add_argument(
        "--epochs", type=int, help="passes over the frames (default: set by the preset)"
    )
    effort.add_argument(
        "--time-limit",
        type=span,
        metavar="10m",
        help="time limit of the whole encode, such as 90s, 10m or 2h; fits are shortened to meet it",
    )
    effort.add_argument("--device", default="auto", help="device to fit on: auto, cpu or cuda")
    effort.add_argument(
        "--workers",
        type=workers,
        default=1,
        metavar="N|ray",
        help="number of processes that fit independent segments at the same time, or ray for a Ray "
        "cluster (pip install 'nvcodec-suite[ray]'); the file does not depend on it",
    )
    effort.add_argument("--seed", type=int, default=0, help="seed of all random numbers")
    video = command.add_argument_group("video")
    video.add_argument("--resize", type=resize, metavar="WxH", help="picture size to scale to")
    video.add_argument(
        "--frames", type=frames, metavar="A:B", help="encode only frames A to B-1, counted from 0"
    )
    video.add_argument(
        "--mask",
        type=Path,
        help="inpaint the dark pixels of a mask, which is a picture, or a video or folder with a "
        "picture per frame, of the size of INPUT; pixels lighter than middle grey are kept, and the "
        "reported quality still compares whole pictures with INPUT",
    )
    video.add_argument(
        "--segment",
        type=int,
        metavar="N",
        help="most frames of a segment, or a quarter more if the shot ends soon after (default: "
        "chosen by model and picture size)",
    )
    video.add_argument(
        "--refresh",
        type=int,
        metavar="N",
        help="random access point at least every N segments; the others may be predicted from the "
        "segment before them (default: 16 for nirvana, else 4)",
    )
    video.add_argument("--no-audio", action="store_true", help="drop audio and subtitle tracks")
    command.add_argument("--resume", action="store_true", help="continue an interrupted encode")
    _add_common(command, output=True)
    command.set_defaults(run=run)


def _add_decode(commands: Any, run: Run) -> None:
    command = commands.add_parser(
        "decode",
        help="decode a .nvc file to a video file or PNG images",
        formatter_class=HelpFormatter,
        example="nvcodec decode clip.nvc -o clip.mp4",
    )
    command.add_argument("input", metavar="IN.nvc", help="file to decode, or - for standard input")
    command.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help="video to write: .mp4, .mkv, .y4m, a folder of PNG images, or - for pictures as y4m on "
        "standard output; the result is then printed on stderr",
    )
    command.add_argument(
        "--frames", type=frames, metavar="A:B", help="decode only frames A to B-1, counted from 0"
    )
    command.add_argument(
        "--size", type=resize, metavar="WxH", help="picture size (default: that of the file)"
    )
    command.add_argument(
        "--fps",
        type=rate,
        metavar="R",
        help="constant frame rate in frames per second, such as 60, 59.94 or 60000/1001; pictures "
        "between frames are interpolated (default: the frame times of the file)",
    )
    command.add_argument("--device", default="auto", help="device to decode on: auto, cpu or cuda")
    command.add_argument(
        "--encoder",
        help="encoder of .mp4 and .mkv files, such as libx264, libx265, libvpx-vp9 or ffv1",
    )
    command.add_argument(
        "--quality", type=int, help="CRF of the encoder (default: near-transparent quality)"
    )
    command.add_argument(
        "--no-audio", action="store_true", help="leave out audio tracks; subtitles stay"
    )
    _add_common(command, output=True)
    command.set_defaults(run=run)


def _add_info(commands: Any, run: Run) -> None:
    command = commands.add_parser(
        "info",
        help="show what a .nvc file holds, without decoding it",
        example="nvcodec info clip.nvc",
    )
    command.add_argument(
        "input", metavar="IN.nvc", nargs="?", help="file to inspect, or - for standard input"
    )
    command.add_argument(
        "--backends",
        action="store_true",
        help="list the available backends for perceptrons and hash grids instead",
    )
    _add_common(command, output=False)
    command.set_defaults(run=run, misused=command.error)


def _add_compare(commands: Any, run: Run) -> None:
    command = commands.add_parser(
        "compare",
        help="measure the quality of a .nvc file or any video",
        example="nvcodec compare clip.mp4 clip.nvc",
    )
    command.add_argument("source", metavar="SOURCE", help="original video")
    command.add_argument(
        "other",
        metavar="OTHER",
        help=".nvc file or any video to measure; - for SOURCE or OTHER is standard input",
    )
    command.add_argument(
        "--frames", type=frames, metavar="A:B", help="use only frames A to B-1 of SOURCE"
    )
    command.add_argument(
        "--device", default="auto", help="device to decode on: auto, cpu or cuda (default: auto)"
    )
    _add_common(command, output=False)
    command.set_defaults(run=run, misused=command.error)


def _add_common(
    command: argparse.ArgumentParser, *, output: bool = False, result: bool = True
) -> None:
    if result:
        command.add_argument(
            "--json", action="store_true", help="print the result as one JSON object"
        )
    if output:
        command.add_argument(
            "-y", "--overwrite", action="store_true", help="replace existing output files"
        )
    volume = command.add_mutually_exclusive_group()
    volume.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    volume.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="print more messages; give it twice for tracebacks",
    )


class _Version(argparse.Action):
    """Prints the versions that a bug report needs; torch is imported only here."""

    def __init__(self, option_strings: Sequence[str], dest: str, **_: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print versions and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> NoReturn:
        import av
        import torch

        from nvcodec.container.framing import MAJOR, MINOR

        cuda = torch.version.cuda or "none"
        print(  # noqa: T201
            f"nvcodec {nvcodec.__version__}, bitstream {MAJOR}.{MINOR}, torch {torch.__version__}, "
            f"CUDA {cuda}, PyAV {av.__version__}"
        )
        raise SystemExit(0)
