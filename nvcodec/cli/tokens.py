"""The command `nvcodec tokens`: reads or makes the tokens of a video, reduces and saves them."""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvcodec.cli.help_format import HelpFormatter
from nvcodec.cli.standard_streams import binary_input
from nvcodec.config import DEFAULT_TOKENIZER
from nvcodec.container.probe import is_stream
from nvcodec.errors import ConfigError, NoTokensError
from nvcodec.files.spooling import readable_path
from nvcodec.files.target import check_inputs_are_kept
from nvcodec.tokens.reduction.methods import METHODS, at_rate, reduce

if TYPE_CHECKING:
    from nvcodec.tokens.grid import TokenGrid

logger = logging.getLogger("nvcodec")


@dataclass(frozen=True, slots=True)
class _InputTokens:
    """Tokens of the input and where they come from.

    Attributes:
        grid: The tokens.
        via: `"stream"` for tokens that the file stores, `"pixels"` for tokens made from pictures.
        bytes_read: Number of bytes read from the file.
        file_bytes: Size of the file, bytes.
    """

    grid: TokenGrid
    via: str
    bytes_read: int
    file_bytes: int


def add_to(commands: Any, common: Callable[..., None]) -> None:
    """Add the command to a parser.

    Args:
        commands: Result of `add_subparsers`.
        common: Function that adds the options of all commands to a parser.
    """
    command = commands.add_parser(
        "tokens",
        help="extract tokens of a video for language models",
        formatter_class=HelpFormatter,
        example="nvcodec tokens clip.nvc --budget 64 -o clip.safetensors",
    )
    command.add_argument(
        "input", metavar="FILE", help=".nvc file, any video, or - for standard input"
    )
    command.add_argument(
        "-o", "--output", metavar="OUT", help="file to write: .safetensors, .npy or .jsonl"
    )
    command.add_argument(
        "--via",
        choices=["auto", "stream", "pixels"],
        default="auto",
        help="source of the tokens: stream (tokens that the file stores), pixels (tokens of its "
        "decoded pictures), or auto (stream if the file stores tokens, else pixels)",
    )
    command.add_argument(
        "--tokenizer",
        default=DEFAULT_TOKENIZER,
        help="tokenizer for tokens from pixels: a folder, or bundled:NAME",
    )
    reduction = command.add_argument_group("fewer tokens")
    reduction.add_argument(
        "--from", dest="start", type=float, metavar="S", help="start of the time range in seconds"
    )
    reduction.add_argument(
        "--to", dest="end", type=float, metavar="S", help="end of the time range in seconds"
    )
    reduction.add_argument(
        "--fps", type=float, metavar="F", help="most time steps of tokens per second"
    )
    reduction.add_argument("--budget", type=int, metavar="N", help="reduce to exactly N tokens")
    reduction.add_argument(
        "--reduce",
        choices=list(METHODS),
        help="reduction method for --budget (default: tome)",
    )
    common(command, output=True)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command.

    Args:
        options: Parsed arguments.

    Returns:
        Exit code.

    Raises:
        NvcodecError: If the arguments are invalid, or a file cannot be read or written.
    """
    # Other commands start sooner without these.
    from nvcodec.tokens.files import check_name, save
    from nvcodec.tokens.sequence import flatten

    begin = time.perf_counter()
    if options.output is not None:
        output = check_name(options.output, overwrite=options.overwrite)
        check_inputs_are_kept([output], _files_read(Path(options.input)))
    if None not in (options.start, options.end) and not options.start < options.end:
        raise ConfigError(
            f"expected --from before --to, got {options.start:g} and {options.end:g} s"
        )
    if options.reduce is not None and options.budget is None:
        raise ConfigError(f"--reduce {options.reduce} needs --budget, the number of tokens")
    with readable_path(binary_input(options.input)) as path:
        source = _input_tokens(options, path)
    grid = source.grid if options.fps is None else at_rate(source.grid, options.fps)
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
        "via": source.via,
        "tokens": len(tokens),
        "method": tokens.method,
        "grid": list(tokens.grid),
        "width": tokens.size[0],
        "height": tokens.size[1],
        "from": float(tokens.spans[:, 0].min()),
        "to": float(tokens.spans[:, 1].max()),
        "tokenizer_id": tokens.tokenizer_id,
        "bits": float(tokens.bits.sum()) if source.via == "stream" else None,
        "bytes_read": source.bytes_read,
        "file_bytes": source.file_bytes,
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


def _files_read(path: Path) -> Iterator[Path]:
    """Yield an input, and the images in it if it is a folder."""
    yield path
    if path.is_dir():
        from nvcodec.video.sources.image_folder import files_read  # loads libav

        yield from files_read(path)


def _input_tokens(options: argparse.Namespace, path: Path) -> _InputTokens:
    """Read the tokens that the file stores, or make tokens from its pictures."""
    if options.via == "stream" or (options.via == "auto" and is_stream(path)):
        from nvcodec.tokens.reader import open_tokens  # only this command needs it

        try:
            with open_tokens(path) as reader:
                grid = reader.grid(options.start, options.end)
                return _InputTokens(grid, "stream", reader.bytes_read, reader.file_bytes)
        except NoTokensError:
            if options.via == "stream":
                raise
    from nvcodec.tokens.from_pixels import grid_from_pixels  # decoding needs torch
    from nvcodec.tokens.inputs import file_bytes

    grid = grid_from_pixels(path, name=options.tokenizer, start=options.start, end=options.end)
    size = file_bytes(path)
    return _InputTokens(grid, "pixels", size, size)
