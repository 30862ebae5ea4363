"""The command line: parses, calls the library, shows progress, turns errors into exit codes.

Results go to stdout, everything else to stderr. torch is imported only by commands that need it.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import nvcodec
from nvcodec.config import DEFAULT_TOKENIZER, LATENTS
from nvcodec.errors import NvcodecError
from nvcodec.models import DEFAULT_MODEL, MODELS
from nvcodec.tokens.command import add_to as add_tokens

_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "kib": 1 << 10, "mib": 1 << 20}
_SPANS = {"": 1, "s": 1, "m": 60, "h": 3600}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: Arguments, those of the process by default.

    Returns:
        Exit code: 0, 1 for an error, 2 for wrong usage, 130 when interrupted.
    """
    options = _parser().parse_args(argv)
    level = logging.ERROR if getattr(options, "quiet", False) else logging.WARNING
    if getattr(options, "verbose", 0):
        level = logging.INFO
    logging.basicConfig(stream=sys.stderr, level=level, format="nvcodec: %(message)s")
    # A polite kill must leave the same state as Ctrl-C: no half files, resumable encodes.
    signal.signal(signal.SIGTERM, _terminate)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, _terminate)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read the result has gone: nothing is wrong, and nothing can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (NvcodecError, OSError, MemoryError, ImportError, RuntimeError) as error:
        if getattr(options, "verbose", 0) > 1:
            traceback.print_exc()
        line = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, MemoryError) or "memory" in line:
            line += "; try --resize, a smaller --segment or a smaller target"
        print(f"nvcodec: error: {line}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        print("nvcodec: interrupted", file=sys.stderr)  # noqa: T201
        return 130


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # a second one must not disturb the cleaning up
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nvcodec",
        description="Neural video codec: a video becomes a small network in a real file, and back.",
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_encode(commands)
    _add_decode(commands)
    _add_info(commands)
    _add_compare(commands)
    add_tokens(commands, _add_common)
    models = commands.add_parser("models", help="list the model families")
    models.set_defaults(run=_models)
    return parser


def _add_encode(commands: Any) -> None:
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
    target.add_argument("--size", type=_size, help="bytes of the file without audio, e.g. 250kB")
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
        type=_sizes,
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
    effort.add_argument("--time-limit", type=_span, metavar="10m", help="for the whole encode")
    effort.add_argument("--device", default="auto", help="auto, cpu or cuda")
    effort.add_argument(
        "--workers",
        type=_workers,
        default=1,
        metavar="N|ray",
        help="fit independent segments at the same time, in N processes or on a Ray cluster (pip "
        "install 'nvcodec-suite[ray]'); the file is the same",
    )
    effort.add_argument("--seed", type=int, default=0, help="of everything random")
    video = command.add_argument_group("video")
    video.add_argument("--resize", type=_resize, metavar="WxH", help="scale the pictures")
    video.add_argument("--frames", type=_frames, metavar="A:B", help="take frames A to B-1")
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
    command.set_defaults(run=_encode)


def _add_decode(commands: Any) -> None:
    command = commands.add_parser(
        "decode",
        help="turn a .nvc file into a video other programs read",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.add_argument("input", metavar="IN.nvc")
    command.add_argument(
        "-o", "--output", required=True, metavar="OUT", help=".mp4, .mkv, .y4m or a folder of PNGs"
    )
    command.add_argument("--frames", type=_frames, metavar="A:B", help="take frames A to B-1")
    command.add_argument("--size", type=_resize, metavar="WxH", help="of the pictures")
    command.add_argument(
        "--fps",
        type=_rate,
        metavar="R",
        help="constant frame rate such as 60, 59.94 or 60000/1001; pictures between frames are "
        "interpolated",
    )
    command.add_argument("--device", default="auto", help="auto, cpu or cuda")
    command.add_argument("--encoder", help="of .mp4 and .mkv: libx264, libx265, libvpx-vp9, ffv1")
    command.add_argument("--quality", type=int, help="its CRF; default near-transparent")
    _add_common(command, output=True)
    command.set_defaults(run=_decode)


def _add_info(commands: Any) -> None:
    command = commands.add_parser("info", help="say what is in a .nvc file, without decoding it")
    command.add_argument("input", metavar="IN.nvc", nargs="?")
    command.add_argument(
        "--backends", action="store_true", help="say instead what computes perceptrons and grids"
    )
    _add_common(command, output=False)
    command.set_defaults(run=_info, misused=command.error)


def _add_compare(commands: Any) -> None:
    command = commands.add_parser("compare", help="measure a .nvc file or any video on its source")
    command.add_argument("source", metavar="SOURCE")
    command.add_argument("other", metavar="OTHER")
    command.add_argument("--frames", type=_frames, metavar="A:B", help="frames A to B-1 of SOURCE")
    command.add_argument("--device", default="auto", help="auto, cpu or cuda")
    _add_common(command, output=False)
    command.set_defaults(run=_compare)


def _add_common(command: argparse.ArgumentParser, *, output: bool) -> None:
    command.add_argument("--json", action="store_true", help="print the result as one JSON object")
    if output:
        command.add_argument("-y", "--overwrite", action="store_true", help="replace OUT")
    volume = command.add_mutually_exclusive_group()
    volume.add_argument("-q", "--quiet", action="store_true", help="errors only")
    volume.add_argument(
        "-v", "--verbose", action="count", default=0, help="say more; twice for tracebacks"
    )


def _encode(options: argparse.Namespace) -> int:
    from nvcodec.allocation import keep_freed_memory
    from nvcodec.progress import EncodeBar

    keep_freed_memory()
    config = nvcodec.EncoderConfig(
        model=options.model,
        boost=options.boost,
        latents=options.latents,
        tokenizer=options.tokenizer,
        preset=options.preset,
        epochs=options.epochs,
        size=options.size,
        bpp=options.bpp,
        psnr=options.psnr,
        ladder=options.ladder,
        lmbda=options.lmbda,
        time_limit=options.time_limit,
        resize=options.resize,
        frames=options.frames,
        mask=options.mask,
        segment=options.segment,
        refresh=options.refresh,
        audio=not options.no_audio,
        device=options.device,
        workers=options.workers,
        seed=options.seed,
    )
    line = "{file}: {bytes} bytes, {bpp:.4f} bpp, Y {psnr_y:.2f} dB"
    with EncodeBar(visible=_bars(options)) as bar:
        arguments = (options.input, options.output, config)
        settings = {"resume": options.resume, "overwrite": options.overwrite}
        if options.ladder is None:
            report = nvcodec.encode(*arguments, **settings, on_progress=bar.update)
        else:
            reports = nvcodec.encode_ladder(*arguments, **settings, on_progress=bar.update)
    if options.ladder is None:
        _result(options, _fields(report), line)
    elif options.json:
        print(json.dumps({"files": [_fields(report) for report in reports]}))  # noqa: T201
    else:
        for report in reports:
            _result(options, _fields(report), line)
    return 0


def _fields(report: nvcodec.EncodeReport) -> dict[str, Any]:
    return {name: value for name, value in asdict(report).items() if name != "warnings"}


def _decode(options: argparse.Namespace) -> int:
    from nvcodec.progress import DecodeBar

    with DecodeBar(visible=_bars(options)) as bar:
        done = nvcodec.decode(
            options.input,
            options.output,
            frames=options.frames,
            size=options.size,
            fps=options.fps,
            device=options.device,
            encoder=options.encoder,
            quality=options.quality,
            overwrite=options.overwrite,
            on_progress=bar.update,
        )
    fields = {
        "file": str(done.path),
        "frames": done.frames,
        "width": done.width,
        "height": done.height,
        "tracks": done.tracks,
        "decode_seconds": done.seconds,
        "warnings": list(done.warnings),
    }
    _result(options, fields, "{file}: {frames} frames of {width}x{height}")
    return 0


def _info(options: argparse.Namespace) -> int:
    if options.backends == (options.input is not None):
        options.misused("expected either IN.nvc or --backends")
    if options.backends:
        return _backends(options)
    info = nvcodec.inspect(options.input)
    video = info.video
    fields = {
        "file": options.input,
        "bitstream": "{}.{}".format(*info.version),
        "bytes": info.bytes,
        "video_bytes": info.video_bytes,
        "bpp": info.bpp,
        "frames": info.frames,
        "width": video.width,
        "height": video.height,
        "fps": float(video.frame_rate),
        "seconds": float(info.duration),
        "sample_aspect_ratio": _ratio(video.sample_aspect_ratio),
        "colour": asdict(video.colour),
        "model": info.model,
        "boosted": info.boosted,
        "colour_mode": info.colour_mode.name.lower(),
        "parameters": info.parameters,
        "macs_per_pixel": info.macs_per_pixel,
        "tokens": info.tokens and asdict(info.tokens),
        "segments": [list(segment) for segment in info.segments],
        "predicted": list(info.predicted),
        "tracks": [
            {"kind": track.kind, "codec": track.codec, "language": track.language}
            for track in info.tracks.values()
        ],
        "complete": info.complete,
        "damage": list(info.damage),
    }
    if options.json:
        print(json.dumps(fields))  # noqa: T201
    else:
        for name, value in fields.items():
            print(f"{name:20} {value}")  # noqa: T201
    return 0


def _backends(options: argparse.Namespace) -> int:
    from nvcodec.cuda import backend

    report = backend.report()
    if options.json:
        print(json.dumps(asdict(report)))  # noqa: T201
        return 0
    for name, reason in report.backends.items():
        print(f"{name:12} {reason or 'available'}")  # noqa: T201
    asked = "" if report.wanted == "auto" else f" ({backend.VARIABLE}={report.wanted})"
    for kind, used in (("perceptrons", report.mlp), ("grids", report.grid)):
        print(f"{kind:12} {used or 'nothing'} on {report.device}{asked}")  # noqa: T201
    return 0


def _compare(options: argparse.Namespace) -> int:
    found = nvcodec.compare(
        options.source, options.other, frames=options.frames, device=options.device
    )
    for line in found.warnings:
        logging.getLogger("nvcodec").warning("%s", line)
    quality = asdict(found.quality)
    fields = {
        "frames": quality.pop("frames"),
        "bytes": found.bytes,
        "video_bytes": found.video_bytes,
        "bpp": found.bpp,
        **quality,
        "decode_seconds": found.decode_seconds,
    }
    _result(options, fields, "{frames} frames, {bytes} bytes, {bpp:.4f} bpp, Y {psnr_y:.2f} dB")
    return 0


def _models(options: argparse.Namespace) -> int:
    for name, row in MODELS.items():
        print(f"{name:12} {row.summary}")  # noqa: T201
    return 0


def _bars(options: argparse.Namespace) -> bool:
    return sys.stderr.isatty() and not options.quiet


def _result(options: argparse.Namespace, fields: dict[str, Any], line: str) -> None:
    print(json.dumps(fields) if options.json else line.format(**fields))  # noqa: T201


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}:{value.denominator}"


def _size(text: str) -> int:
    match = re.fullmatch(r"([0-9.]+)\s*([a-zA-Z]*)", text)
    if not match or match[2].lower() not in _UNITS:
        raise argparse.ArgumentTypeError(f"expected a size such as 250kB or 1.5MB, got {text!r}")
    return round(float(match[1]) * _UNITS[match[2].lower()])


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(_size(part.strip()) for part in text.split(","))


def _span(text: str) -> float:
    match = re.fullmatch(r"([0-9.]+)\s*([smh]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected a time such as 90s, 10m or 2h, got {text!r}")
    return float(match[1]) * _SPANS[match[2]]


def _workers(text: str) -> int | str:
    if text != "ray" and not re.fullmatch(r"\d+", text):
        raise argparse.ArgumentTypeError(f"expected a number or ray, got {text!r}")
    return text if text == "ray" else int(text)


def _resize(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)[xX](\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected a size such as 640x360, got {text!r}")
    return int(match[1]), int(match[2])


def _rate(text: str) -> Fraction:
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


def _frames(text: str) -> slice:
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

        from nvcodec.wire import MAJOR, MINOR

        cuda = torch.version.cuda or "none"
        print(  # noqa: T201
            f"nvcodec {nvcodec.__version__}, bitstream {MAJOR}.{MINOR}, torch {torch.__version__}, "
            f"CUDA {cuda}, PyAV {av.__version__}"
        )
        raise SystemExit(0)
