"""Nominal frame rate of a video: what the file states, as far as its timestamps confirm it."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from pathlib import Path

import av

from nvcodec.errors import VideoError
from nvcodec.video.sources.libav_decoder import VideoFile, open_container

_USUAL = 300  # frames per second; higher statements are often the tick rate of the file
_COMMON = 60  # frames per second; formats without a table of times are trusted up to here
_DEFAULT = Fraction(25)
# Formats whose headers tell the time of every frame; elsewhere libav guesses from few frames.
_EXACT = ("mov", "matroska")
_PACKETS, _BYTES = 120, 16 << 20  # of the video that are read to confirm a rate
_REORDERED = 16  # packets, at the end of those read, whose neighbours may be missing
_SAME = Fraction(1, 100_000)  # relative; a rate is rounded as much when it is read from a file


def frame_rate(file: VideoFile) -> Fraction:
    """Return the nominal frame rate of a file.

    A plain rate is trusted if all statements agree. Otherwise the first timestamps are read, and of the rates that they confirm the one nearest to the statement is taken. If they
    confirm none, the frame rate varies: then it is the first statement of at most 300, or else the
    mean.

    Args:
        file: The opened file; it is opened once more where timestamps are needed.

    Returns:
        Frames per second; 25 if neither statements nor timestamps say.
    """
    stream = file.stream
    rates = (stream.guessed_rate, stream.average_rate, stream.base_rate)
    stated = [Fraction(rate) for rate in rates if rate is not None and rate > 0]
    trusted = _USUAL if file.container.format.name.startswith(_EXACT) else _COMMON
    if len(stated) == 3 and len(set(stated)) == 1 and stated[0] <= trusted and _is_plain(stated[0]):
        return stated[0]
    tick = Fraction(stream.time_base) if stream.time_base else None
    times, whole = _times(file.path, stream.index) if tick else ([], True)
    usual = [rate for rate in stated if rate <= _USUAL]
    if tick is None or len(times) < 3:
        return (usual or [_DEFAULT])[0]
    mean = Fraction(len(times) - 1, times[-1] - times[0]) / tick
    sure = times if whole else times[:-_REORDERED]
    halves = [rate / 2 for rate in stated]  # some streams state the rate of their fields
    plain = [near for rate in (mean, stated[0] if stated else mean) for near in _plain_rates(rate)]
    confirmed = {rate for rate in (*stated, *halves, *plain) if _confirmed(rate, sure, tick)}
    if not confirmed:
        return (usual or [mean.limit_denominator(100)])[0]
    nearest_to = stated[0] if stated and stated[0] in confirmed else mean
    return min(
        confirmed,
        key=lambda rate: (
            max(abs(rate / nearest_to - 1), _SAME),
            not _is_plain(rate),
            rate.numerator + rate.denominator,
        ),
    )


def _times(path: Path, index: int) -> tuple[list[int], bool]:
    """Return the first timestamps of a stream, in order, and whether these are all of them.

    Args:
        path: Path of the file.
        index: Number of the stream.

    Returns:
        Different timestamps in ticks, fewer than 3 where a file is damaged or has none.
    """
    times: set[int] = set()
    size = 0
    try:
        with open_container(path) as container:
            for count, packet in enumerate(container.demux(container.streams[index])):
                if count == _PACKETS or size > _BYTES:
                    return sorted(times), False
                stamp = packet.pts if packet.pts is not None else packet.dts
                size += packet.size
                if stamp is not None and packet.size:
                    times.add(stamp)
    except (av.FFmpegError, VideoError):
        return [], True  # decoding reports the damage
    return sorted(times), True


def _confirmed(rate: Fraction, times: list[int], tick: Fraction) -> bool:
    """Return whether times are those of a constant rate, each rounded to a tick."""
    step = 1 / (rate * tick)
    return all(abs(time - times[0] - number * step) <= 1 for number, time in enumerate(times))


def _is_plain(rate: Fraction) -> bool:
    return rate.denominator <= 10 or rate.denominator == 1001 or rate.numerator == 1


def _plain_rates(rate: Fraction) -> list[Fraction]:
    """Return usual rates near to a rate: whole ones, those of NTSC, and one frame in n seconds."""
    plain = [Fraction(near) for near in (floor(rate), ceil(rate)) if near]
    plain += [Fraction(near * 1000, 1001) for near in (round(rate * 1001 / 1000),) if near]
    return [*plain, Fraction(1, max(round(1 / rate), 1))]
