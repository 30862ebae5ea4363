"""`nvcodec tokens`: the tokens of a file, reduced if wanted, and written for others to read."""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nvcodec.config import DEFAULT_TOKENIZER
from nvcodec.container.probe import is_stream
from nvcodec.errors import ConfigError, NoTokensError
from nvcodec.tokens.files import check_name, save
from nvcodec.tokens.grid import TokenGrid
from nvcodec.tokens.inputs import file_bytes
from nvcodec.tokens.reduction.methods import METHODS, at_rate, reduce
from nvcodec.tokens.sequence import flatten

logger = logging.getLogger("nvcodec")


@dataclass(frozen=True, slots=True)
class _Found:
    """Tokens, and how they were come by: bytes that were read, of so many."""

    grid: TokenGrid
    way: str
    bytes_read: int
    file_bytes: int


def add_to(commands: Any, common: Callable[..., None]) -> None:
    """Add the command to a parser.

    Args:
        commands: What `add_subparsers` returned.
        common: Adds the options that all commands have.
    """
    command = commands.add_parser(
        "tokens",
        help="tokens of a video, for language models",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.add_argument("input", metavar="FILE", help="a .nvc file, or any video")
    command.add_argument(
        "-o", "--output", metavar="OUT", help="file to write: .safetensors, .npy or .jsonl"
    )
    command.add_argument(
        "--via",
        choices=["auto", "stream", "pixels"],
        default="auto",
        help="stream: the tokens that the file stores; pixels: decode it small and make tokens; "
        "auto: the former where there are any",
    )
    command.add_argument(
        "--tokenizer", default=DEFAULT_TOKENIZER, help="by pixels: a folder, or bundled:NAME"
    )
    fewer = command.add_argument_group("fewer tokens")
    fewer.add_argument("--from", dest="start", type=float, metavar="S", help="seconds; begin there")
    fewer.add_argument("--to", dest="end", type=float, metavar="S", help="seconds; end there")
    fewer.add_argument("--fps", type=float, metavar="F", help="steps in time a second at most")
    fewer.add_argument("--budget", type=int, metavar="N", help="exactly so many tokens")
    fewer.add_argument(
        "--reduce", choices=list(METHODS), help="how, with --budget; tome unless you say otherwise"
    )
    common(command, output=True)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Carry the command out.

    Returns:
        Exit code.

    Raises:
        NvcodecError: If it cannot be done.
    """
    begin = time.perf_counter()
    if options.output is not None:
        check_name(options.output, overwrite=options.overwrite)
    if None not in (options.start, options.end) and not options.start < options.end:
        raise ConfigError(
            f"expected --from before --to, got {options.start:g} and {options.end:g} s"
        )
    if options.reduce is not None and options.budget is None:
        raise ConfigError(f"--reduce {options.reduce} needs --budget, the number of tokens wanted")
    found = _found(options)
    grid = found.grid if options.fps is None else at_rate(found.grid, options.fps)
    if options.budget is None:
        tokens = flatten(grid)
    else:
        tokens = reduce(grid, options.reduce or "tome", options.budget)
    seconds = time.perf_counter() - begin
    if options.output is not None:
        save(options.output, tokens, video_id=options.input, overwrite=options.overwrite)
    if tokens.note:
        logger.warning("%s", tokens.note)
    fields = {
        "file": options.input,
        "via": found.way,
        "tokens": len(tokens),
        "method": tokens.method,
        "grid": list(tokens.grid),
        "width": tokens.size[0],
        "height": tokens.size[1],
        "from": float(tokens.spans[:, 0].min()),
        "to": float(tokens.spans[:, 1].max()),
        "tokenizer_id": tokens.tokenizer_id,
        "bits": float(tokens.bits.sum()) if found.way == "stream" else None,
        "bytes_read": found.bytes_read,
        "file_bytes": found.file_bytes,
        "seconds": seconds,
        "note": tokens.note,
        "output": options.output,
    }
    line = (
        "{file}: {tokens} tokens by {method} of a grid of {grid[0]}x{grid[1]}x{grid[2]} via {via}, "
        "{bytes_read} of {file_bytes} bytes read, {seconds:.3f} s"
    )
    print(json.dumps(fields) if options.json else line.format(**fields))  # noqa: T201
    return 0


def _found(options: argparse.Namespace) -> _Found:
    """The tokens that the file stores, or some made of its pictures."""
    if options.via == "stream" or (options.via == "auto" and is_stream(options.input)):
        from nvcodec.tokens.reader import open_tokens  # other commands need not wait for it

        try:
            with open_tokens(options.input) as reader:
                grid = reader.grid(options.start, options.end)
                return _Found(grid, "stream", reader.bytes_read, reader.file_bytes)
        except NoTokensError:
            if options.via == "stream":
                raise
    from nvcodec.tokens.from_pixels import grid_from_pixels  # decoding needs torch

    grid = grid_from_pixels(
        options.input, name=options.tokenizer, start=options.start, end=options.end
    )
    size = file_bytes(options.input)
    return _Found(grid, "pixels", size, size)
