"""Commands of the command line: call the library, show progress, map errors to exit codes.

Results go to stdout, everything else to stderr. torch is imported only by commands that need it.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from types import FrameType
from typing import Any, NoReturn

import nvcodec
from nvcodec.cli.arguments import parser
from nvcodec.cli.standard_streams import PIPE, binary_input, binary_output, fill_closed_streams
from nvcodec.errors import ConfigError, NvcodecError
from nvcodec.files.spooling import readable_path, with_names
from nvcodec.host.subprocesses import wait_without_spinning
from nvcodec.models import MODELS

_LISTED = 100
"""Most segments and other items of a list that `info` prints for people; `--json` prints all."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: Arguments; None for those of the process.

    Returns:
        Exit code: 0 for success, 1 for an error, 2 for wrong usage, 130 for an interrupt.
    """
    fill_closed_streams()  # before anything is opened
    wait_without_spinning(os.environ)  # before a command imports torch
    options = parser(_COMMANDS).parse_args(argv)
    level = logging.ERROR if getattr(options, "quiet", False) else logging.WARNING
    if getattr(options, "verbose", 0):
        level = logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LogFormatter("nvcodec: %(message)s"))
    logging.basicConfig(handlers=[handler], level=level)
    # Names that are not UTF-8 are written as the bytes that they are, so that another program finds
    # the file; stderr shows these bytes as escapes.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")
    # SIGTERM and SIGHUP must leave the same state as Ctrl-C: no partial output, resumable encodes.
    signal.signal(signal.SIGTERM, _terminate)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, _terminate)
    try:
        code: int = options.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader of stdout has closed it. Python would fail again when it flushes stdout at exit.
        if sys.stdout is not None:
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


class _LogFormatter(logging.Formatter):
    """Calls pipes by their names instead of the paths of their temporary files."""

    def format(self, record: logging.LogRecord) -> str:
        return with_names(super().format(record))


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # a second signal must not interrupt the clean-up
    raise KeyboardInterrupt


def _encode(options: argparse.Namespace) -> int:
    from nvcodec.allocation import keep_freed_memory
    from nvcodec.cli.progress_bars import EncodeBar

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
    settings = {"resume": options.resume, "overwrite": options.overwrite}
    with binary_output(options.output) as target:
        source = binary_input(options.input)
        with EncodeBar(visible=_bars(options)) as bar:
            settings["on_progress"] = bar.update
            if options.ladder is None:
                reports = [nvcodec.encode(source, target, config, **settings)]
            elif isinstance(target, str):
                reports = [*nvcodec.encode_ladder(source, target, config, **settings)]
            else:
                raise ConfigError("--ladder writes several files; name a file instead of -o -")
        if options.json and options.ladder is not None:
            print(json.dumps({"files": [_fields(report) for report in reports]}))  # noqa: T201
            return 0
        for report in reports:
            _result(options, _fields(report), line)
    return 0


def _fields(report: nvcodec.EncodeReport) -> dict[str, Any]:
    return {name: value for name, value in asdict(report).items() if name != "warnings"}


def _decode(options: argparse.Namespace) -> int:
    from nvcodec.cli.progress_bars import DecodeBar

    with binary_output(options.output) as target:
        with DecodeBar(visible=_bars(options)) as bar:
            decoded = nvcodec.decode(
                binary_input(options.input),
                target,
                frames=options.frames,
                size=options.size,
                fps=options.fps,
                device=options.device,
                encoder=options.encoder,
                quality=options.quality,
                audio=not options.no_audio,
                overwrite=options.overwrite,
                on_progress=bar.update,
            )
        fields = {
            "file": str(decoded.path),
            "frames": decoded.frames,
            "width": decoded.width,
            "height": decoded.height,
            "tracks": decoded.tracks,
            "decode_seconds": decoded.seconds,
            "warnings": list(decoded.warnings),
        }
        _result(options, fields, "{file}: {frames} frames of {width}x{height}")
    return 0


def _info(options: argparse.Namespace) -> int:
    if options.backends == (options.input is not None):
        options.misused("expected either IN.nvc or --backends")
    if options.backends:
        return _backends(options)
    with readable_path(binary_input(options.input)) as path:
        info = nvcodec.inspect(path)
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
        "segments": _segments(info, len(info.index) if options.json else _LISTED),
        "predicted": list(info.predicted),
        "tracks": [
            {"kind": track.kind, "codec": track.codec, "language": track.language}
            for track in info.tracks.values()
        ],
        "title": info.metadata.get("title", ""),
        "tags": info.metadata,
        "chapters": [
            {"start": float(c.start), "end": float(c.end), "title": c.title} for c in info.chapters
        ],
        "complete": info.complete,
        "damage": list(info.damage),
    }
    if options.json:
        print(json.dumps(fields))  # noqa: T201
    else:
        for name, value in fields.items():
            count = len(info.index) if name == "segments" else None
            print(f"{name:20} {_shortened(value, count)}")  # noqa: T201
    return 0


def _segments(info: nvcodec.StreamInfo, most: int) -> list[list[int]]:
    """Return first frame and number of frames of the first segments."""
    columns = [info.index.column(name)[:most].tolist() for name in ("first_frame", "frames")]
    return [list(segment) for segment in zip(*columns, strict=True)]


def _shortened(value: object, count: int | None = None) -> object:
    """Return a value for people: of long lists, the beginning and the number of items."""
    if not isinstance(value, list) or max(count or 0, len(value)) <= _LISTED:
        return value
    return f"{str(value[:_LISTED])[:-1]}, ...], {count or len(value)} in all"


def _backends(options: argparse.Namespace) -> int:
    from nvcodec.cuda import backend

    report = backend.report()
    if options.json:
        print(json.dumps(asdict(report)))  # noqa: T201
        return 0
    for name, reason in report.backends.items():
        print(f"{name:12} {reason or 'available'}")  # noqa: T201
    setting = "" if report.wanted == "auto" else f" ({backend.VARIABLE}={report.wanted})"
    for operation, used in (("perceptrons", report.mlp), ("grids", report.grid)):
        print(f"{operation:12} {used or 'nothing'} on {report.device}{setting}")  # noqa: T201
    return 0


def _compare(options: argparse.Namespace) -> int:
    if options.source == options.other == PIPE:
        options.misused("SOURCE and OTHER cannot both be standard input")
    comparison = nvcodec.compare(
        binary_input(options.source),
        binary_input(options.other),
        frames=options.frames,
        device=options.device,
    )
    for warning in comparison.warnings:
        logging.getLogger("nvcodec").warning("%s", warning)
    quality = asdict(comparison.quality)
    fields = {
        "frames": quality.pop("frames"),
        "bytes": comparison.bytes,
        "video_bytes": comparison.video_bytes,
        "bpp": comparison.bpp,
        **quality,
        "decode_seconds": comparison.decode_seconds,
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
    if sys.stdout is sys.stderr and options.quiet and not options.json:
        return  # standard output has the data, and stderr should have errors only
    print(json.dumps(fields) if options.json else line.format(**fields))  # noqa: T201


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}:{value.denominator}"


_COMMANDS = {
    "encode": _encode,
    "decode": _decode,
    "info": _info,
    "compare": _compare,
    "models": _models,
}
