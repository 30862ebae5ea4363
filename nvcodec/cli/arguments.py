"""The arguments of the command line: what there is, and what the words of each mean."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

import nvcodec
from nvcodec.cli.tokens import add_to as add_tokens
from nvcodec.config import DEFAULT_TOKENIZER, LATENTS
from nvcodec.models import DEFAULT_MODEL, MODELS

_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "kib": 1 << 10, "mib": 1 << 20}
_SPANS = {"": 1, "s": 1, "m": 60, "h": 3600}

Run = Callable[[argparse.Namespace], int]
"""Carries a command out; returns its exit code."""


def parser(run: Mapping[str, Run]) -> argparse.ArgumentParser:
    """All arguments of all commands.

    Args:
        run: What carries out `encode`, `decode`, `info`, `compare` and `models`; it is found in
            `run` of what is parsed. `tokens` brings its own.
    """
    arguments = argparse.ArgumentParser(
        prog="nvcodec",
        description="Neural video codec: a video becomes a small network in a real file, and back.",
    )
    arguments.add_argument("--version", action=_Version)
    commands = arguments.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_encode(commands, run["encode"])
    _add_decode(commands, run["decode"])
    _add_info(commands, run["info"])
    _add_compare(commands, run["compare"])
    add_tokens(commands, _add_common)
    models = commands.add_parser("models", help="list the model families")
    models.set_defaults(run=run["models"])
    return arguments


def _add_encode(commands: Any, run: Run) -> None:
    command = commands.add_parser(
        "encode",
        help="fit a model to a video and write it to a file",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.add_argument("input", metavar="INPUT", help="a video file, or a folder of images")
    command.add_argument("-o", "--output", required=True, metavar="OUT.nvc", help="file to write")
    network = command.add_argument_group("model and size")
    network.add_argument("--model", choices=list(MODELS), default=DEFAULT_MODEL, help="family")
    network.add_argument(
        "--boost",
        action="store_true",
        help="condition every block of the network on time: better, and several times slower; for "
        "nerv, hnerv and nervpp",
    )
    network.add_argument(
        "--latents",
        choices=LATENTS,
        default="private",
        help="both: also store tokens that all videos have in common; shared: make the pictures "
        "from tokens instead of latents of their own, where the model can, and boosted",
    )
    network.add_argument(
        "--tokenizer", default=DEFAULT_TOKENIZER, help="of the tokens: a folder, or bundled:NAME"
    )
    target = network.add_mutually_exclusive_group()
    target.add_argument("--size", type=size, help="bytes of the file without audio, e.g. 250kB")
    target.add_argument("--bpp", type=float, help="bits per pixel without audio (default: 0.1)")
    target.add_argument("--psnr", type=float, help="luma PSNR in dB")
    target.add_argument(
        "--lmbda",
        type=float,
        help="what a bit per pixel is worth, in nepers (4.3 dB) of the distortion; every segment "
        "minimises ln(distortion) + lmbda * bpp: 6 comes to about 0.1 bpp, 60 to 0.01",
    )
    target.add_argument(
        "--ladder",
        type=sizes,
        metavar="50kB,100kB,...",
        help="files of several sizes from one fit: OUT.nvc becomes OUT-50kB.nvc, OUT-100kB.nvc, "
        'and so on; --json then prints {"files": [...]}',
    )
    effort = command.add_argument_group("effort")
    effort.add_argument(
        "--preset",
        choices=["ultrafast", "fast", "medium", "slow", "placebo"],
        default="medium",
        help="how much work to put in",
    )
    effort.add_argument(
        "--epochs", type=int, help="passes over the frames, instead of the preset's"
    )
    effort.add_argument("--time-limit", type=span, metavar="10m", help="for the whole encode")
    effort.add_argument("--device", default="auto", help="auto, cpu or cuda")
    effort.add_argument(
        "--workers",
        type=workers,
        default=1,
        metavar="N|ray",
        help="fit independent segments at the same time, in N processes or on a Ray cluster (pip "
        "install 'nvcodec-suite[ray]'); the file is the same",
    )
    effort.add_argument("--seed", type=int, default=0, help="of everything random")
    video = command.add_argument_group("video")
    video.add_argument("--resize", type=resize, metavar="WxH", help="scale the pictures")
    video.add_argument("--frames", type=frames, metavar="A:B", help="take frames A to B-1")
    video.add_argument(
        "--mask",
        type=Path,
        help="fill in what a mask hides: a picture, or a video or folder with one for each frame, of "
        "INPUT's size; white is known (lighter than middle grey), black is to be filled in. The "
        "reported quality still compares whole pictures with INPUT as it is",
    )
    video.add_argument(
        "--segment",
        type=int,
        metavar="N",
        help="frames per network at most, a quarter more where a shot ends soon after",
    )
    video.add_argument(
        "--refresh",
        type=int,
        metavar="N",
        help="every N segments at least, one does not need the segment before it (default: 16 for "
        "nirvana, else 4)",
    )
    video.add_argument("--no-audio", action="store_true", help="leave out audio and subtitles")
    command.add_argument("--resume", action="store_true", help="go on with an interrupted encode")
    _add_common(command, output=True)
    command.set_defaults(run=run)


def _add_decode(commands: Any, run: Run) -> None:
    command = commands.add_parser(
        "decode",
        help="turn a .nvc file into a video other programs read",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.add_argument("input", metavar="IN.nvc")
    command.add_argument(
        "-o", "--output", required=True, metavar="OUT", help=".mp4, .mkv, .y4m or a folder of PNGs"
    )
    command.add_argument("--frames", type=frames, metavar="A:B", help="take frames A to B-1")
    command.add_argument("--size", type=resize, metavar="WxH", help="of the pictures")
    command.add_argument(
        "--fps",
        type=rate,
        metavar="R",
        help="constant frame rate such as 60, 59.94 or 60000/1001; pictures between frames are "
        "interpolated",
    )
    command.add_argument("--device", default="auto", help="auto, cpu or cuda")
    command.add_argument("--encoder", help="of .mp4 and .mkv: libx264, libx265, libvpx-vp9, ffv1")
    command.add_argument("--quality", type=int, help="its CRF; default near-transparent")
    _add_common(command, output=True)
    command.set_defaults(run=run)


def _add_info(commands: Any, run: Run) -> None:
    command = commands.add_parser("info", help="say what is in a .nvc file, without decoding it")
    command.add_argument("input", metavar="IN.nvc", nargs="?")
    command.add_argument(
        "--backends", action="store_true", help="say instead what computes perceptrons and grids"
    )
    _add_common(command, output=False)
    command.set_defaults(run=run, misused=command.error)


def _add_compare(commands: Any, run: Run) -> None:
    command = commands.add_parser("compare", help="measure a .nvc file or any video on its source")
    command.add_argument("source", metavar="SOURCE")
    command.add_argument("other", metavar="OTHER")
    command.add_argument("--frames", type=frames, metavar="A:B", help="frames A to B-1 of SOURCE")
    command.add_argument("--device", default="auto", help="auto, cpu or cuda")
    _add_common(command, output=False)
    command.set_defaults(run=run)


def _add_common(command: argparse.ArgumentParser, *, output: bool) -> None:
    command.add_argument("--json", action="store_true", help="print the result as one JSON object")
    if output:
        command.add_argument("-y", "--overwrite", action="store_true", help="replace OUT")
    volume = command.add_mutually_exclusive_group()
    volume.add_argument("-q", "--quiet", action="store_true", help="errors only")
    volume.add_argument(
        "-v", "--verbose", action="count", default=0, help="say more; twice for tracebacks"
    )


def size(text: str) -> int:
    """Bytes, of 250kB and its like."""
    match = re.fullmatch(r"([0-9.]+)\s*([a-zA-Z]*)", text)
    if not match or match[2].lower() not in _UNITS:
        raise argparse.ArgumentTypeError(f"expected a size such as 250kB or 1.5MB, got {text!r}")
    return round(float(match[1]) * _UNITS[match[2].lower()])


def sizes(text: str) -> tuple[int, ...]:
    """Several sizes, with commas between."""
    return tuple(size(part.strip()) for part in text.split(","))


def span(text: str) -> float:
    """Seconds, of 10m and its like."""
    match = re.fullmatch(r"([0-9.]+)\s*([smh]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected a time such as 90s, 10m or 2h, got {text!r}")
    return float(match[1]) * _SPANS[match[2]]


def workers(text: str) -> int | str:
    """A number of processes, or `ray`."""
    if text != "ray" and not re.fullmatch(r"\d+", text):
        raise argparse.ArgumentTypeError(f"expected a number or ray, got {text!r}")
    return text if text == "ray" else int(text)


def resize(text: str) -> tuple[int, int]:
    """Width and height, of 640x360 and its like."""
    match = re.fullmatch(r"(\d+)[xX](\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected a size such as 640x360, got {text!r}")
    return int(match[1]), int(match[2])


def rate(text: str) -> Fraction:
    """Frames per second; 59.94 and its like are what television means by them, 60000/1001."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(
            f"expected a frame rate such as 60, 59.94 or 60000/1001, got {text!r}"
        ) from None
    exact = Fraction(1000 * round(rate * Fraction(1001, 1000)), 1001)
    digits = len(text.partition(".")[2])
    return exact if digits > 1 and round(exact, digits) == rate else rate


def frames(text: str) -> slice:
    """A range of frames, of A:B where either may be missing."""
    match = re.fullmatch(r"(\d*):(\d*)", text)
    if not match:
        raise argparse.ArgumentTypeError(
            f"expected a range such as 0:100, :50 or 20:, got {text!r}"
        )
    return slice(int(match[1]) if match[1] else None, int(match[2]) if match[2] else None)


class _Version(argparse.Action):
    """Versions of everything that matters in a bug report; imports torch only here."""

    def __init__(self, option_strings: Sequence[str], dest: str, **_: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print versions and leave")

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
