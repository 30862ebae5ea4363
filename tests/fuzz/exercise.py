"""What is done with a damaged file: every way to read one, each with its outcome."""

from __future__ import annotations

import io
import random
import tempfile
import traceback
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import nvcodec
from nvcodec.container import Reader, Writer, read_forward
from nvcodec.errors import NvcodecError, OutOfMemoryError
from nvcodec.tokens import open_tokens

# A damaged header may claim many frames of many pixels, which would take hours.
_PIXELS, _FRAMES = 1 << 22, 24


def exercise(data: bytes, chance: random.Random, most: int) -> list[tuple[str, str]]:
    """Read a file in several ways.

    Args:
        data: The file.
        chance: Chooses the ways, and the frames.
        most: Number of ways.

    Returns:
        For each way its name and its outcome: `"result"`, the name of a typed error, or for anything
        else `"! "` and where it was raised.
    """
    ways = chance.sample(_WAYS, min(most, len(_WAYS)))
    return [(way.__name__.strip("_"), _outcome(way, data, chance)) for way in ways]


def _outcome(
    way: Callable[[bytes, random.Random], None], data: bytes, chance: random.Random
) -> str:
    try:
        way(data, chance)
    except OutOfMemoryError as error:
        return f"! {type(error).__name__}: {error}"
    except NvcodecError as error:
        return type(error).__name__
    except BaseException as error:  # noqa: BLE001, anything else is what the fuzz looks for
        where = traceback.extract_tb(error.__traceback__)
        places = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(where[-4:]))
        return f"! {type(error).__name__}: {str(error)[:200]} ({places})"
    return "result"


def _count(video: nvcodec.Decoder) -> int:
    """Return how many frames of a video to decode."""
    pixels = video.info.width * video.info.height
    return min(len(video), _FRAMES, max(_PIXELS // pixels, 1))


def _inspect(data: bytes, chance: random.Random) -> None:
    nvcodec.inspect(data)


def _random_frames(data: bytes, chance: random.Random) -> None:
    with nvcodec.open(data, device="cpu") as video:
        for _ in range(min(_count(video), 4)):
            video[chance.randrange(len(video))]


def _several_frames(data: bytes, chance: random.Random) -> None:
    with nvcodec.open(data, device="cpu") as video:
        count = _count(video)
        if count:
            video.planes([chance.randrange(len(video)) for _ in range(count)])


def _frames_in_order(data: bytes, chance: random.Random) -> None:
    with nvcodec.open(data, device="cpu") as video:
        for _ in video.frames(0, _count(video)):
            pass


def _pictures_at_times(data: bytes, chance: random.Random) -> None:
    with nvcodec.open(data, device="cpu") as video:
        if len(video):
            entries = video.reader.segments
            start = entries[chance.randrange(len(entries))].start * video.info.time_base
            size = chance.choice((None, (40, 24), (7, 90)))
            video.pictures_at([start + Fraction(chance.random()) for _ in range(2)], size)
            video.frame_at(start)


def _tokens(data: bytes, chance: random.Random) -> None:
    with open_tokens(data) as tokens:
        tokens.grid(skip_damaged=chance.random() < 0.5)
        tokens.grid(0.0, 0.2)


def _read_forward(data: bytes, chance: random.Random) -> None:
    for _ in read_forward(io.BytesIO(data)):
        pass


def _sections(data: bytes, chance: random.Random) -> None:
    with Reader(data) as reader:
        reader.verify()
        for track in reader.tracks:
            list(reader.packets(track, skip_damaged=True))
        for number in range(min(len(reader.segments), 8)):
            reader.segment(number)
        _ = reader.duration, reader.damage


def _recovery(data: bytes, chance: random.Random) -> None:
    with nvcodec.open(data[: -chance.randrange(1, 40)], device="cpu") as video:
        for _ in video.frames(0, _count(video)):
            pass


def _to_a_file(data: bytes, chance: random.Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.nvc"
        source.write_bytes(data)
        name = chance.choice(("out.mkv", "out.mkv", "out.mp4", "out.y4m", "folder"))
        with nvcodec.open(source, device="cpu") as video:
            stop = _count(video)
        nvcodec.decode(source, Path(folder) / name, frames=slice(0, max(stop, 1)), device="cpu")


def _resume(data: bytes, chance: random.Random) -> None:
    for method in (Writer.resume, Writer.append):
        file = io.BytesIO(data[: len(data) - chance.choice((0, 1, 30))])
        with method(file) as writer:
            resumed = writer.resumed
            if resumed is not None:
                writer.finish()


_WAYS: tuple[Callable[[bytes, random.Random], None], ...] = (
    *(_inspect, _random_frames, _several_frames, _frames_in_order, _pictures_at_times, _tokens),
    *(_read_forward, _sections, _recovery, _to_a_file, _resume),
)
