"""Which points a run needs: the curves, their settings, and how far the anchors must reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, log

from benchmarks.harness.anchor_codecs import ENCODERS
from benchmarks.harness.model_variants import Variant
from benchmarks.rd.points import Point, Row, Settings
from benchmarks.rd.suites import Prepared
from nvcodec.config import PRESETS
from nvcodec.models import MODELS

REFERENCE = "hnerv-reference"
METRICS = ("psnr_y", "psnr_yuv", "ms_ssim")
# Rate factors every anchor gets, and by how much it goes on where a network's quality lies beyond.
_LADDERS = {
    "libx264": ((22, 27, 32, 37, 42, 47), 5),
    "libx265": ((22, 27, 32, 37, 42, 47), 5),
    "libsvtav1": ((24, 34, 44, 54, 59, 63), 10),
}
# What the reference's files take per parameter, and how many times a network's bytes it is given:
# about what it needs to come near the same quality.
_REFERENCE_BITS = 7.5
_REFERENCE_FACTOR = 4.0
# The reference's time lies on a grid of tenths, so that it is not fitted anew for a second's change.
_TIME_GRID = 1.1
# The anchor that the frame viewer shows at the bytes of a network's file, and at which rate.
VIEWER_ANCHOR, VIEWER_RATE = "x264-medium", 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A curve of ours: a network at a preset. The reference takes its time from another at that."""

    variant: Variant
    preset: str

    @property
    def series(self) -> str:
        """Names the curve."""
        return f"{self.variant}-{self.preset}"

    @property
    def is_reference(self) -> bool:
        """Whether it is the reference, which nvcodec's command line does not make."""
        return self.variant.model == REFERENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What holds for all networks of a run.

    Attributes:
        rates: Places among the rates of every clip, None for all.
        epochs: Instead of the preset's.
        time_limit: For each encode, as `nvcodec encode` takes it.
        reference_seconds: For each fit of the reference, instead of the other model's time.
        reference_colour: `"yuv420"`, as all models here, or `"rgb"`, as published.
        device: Where to fit.
        seed: Of everything random.
        threads: Of every process.
    """

    rates: tuple[int, ...] | None = None
    epochs: int | None = None
    time_limit: str | None = None
    reference_seconds: float | None = None
    reference_colour: str = "yuv420"
    device: str = "auto"
    seed: int = 0
    threads: int = 2


def entries(models: Sequence[str], presets: Sequence[str]) -> tuple[Entry, ...]:
    """Every model at every preset; `name/preset` stands for itself, `name+boost` is boosted.

    Raises:
        SystemExit: If there is no such model or preset.
    """
    made: dict[Entry, None] = {}
    for name in models:
        model, slash, preset = name.partition("/")
        variant = _variant(model)
        for wanted in (preset,) if slash else presets:
            if wanted not in PRESETS:
                raise SystemExit(f"{wanted}: expected a preset among {', '.join(PRESETS)}")
            made[Entry(variant, wanted)] = None
    # The reference needs to know how long the others took.
    return tuple(sorted(made, key=lambda entry: entry.is_reference))


def _variant(name: str) -> Variant:
    """What a name stands for.

    Raises:
        SystemExit: If nothing.
    """
    variant = Variant.parse(name)
    if variant != Variant(REFERENCE) and variant.model not in MODELS:
        raise SystemExit(f"{name}: expected one of {', '.join((*MODELS, REFERENCE))}")
    return variant


def check_times(wanted: Sequence[Entry], effort: Effort) -> None:
    """Check that the reference can know for how long to fit.

    Raises:
        SystemExit: If it has neither a time nor a model at its preset to take it from.
    """
    timed = {entry.preset for entry in wanted if not entry.is_reference}
    for entry in wanted:
        if entry.is_reference and entry.preset not in timed and not effort.reference_seconds:
            raise SystemExit(
                f"{entry.series}: expected another model at that preset, or --reference-seconds"
            )


def anchor_points(threads: int) -> Iterator[Point]:
    """The ladder of every anchor."""
    for name, encoder in ENCODERS.items():
        for crf in _LADDERS[encoder.codec][0]:
            yield anchor_point(name, crf, threads)


def anchor_point(name: str, crf: float, threads: int) -> Point:
    """An anchor at a constant rate factor."""
    settings: Settings = {"encoder": name, "crf": float(crf), "threads": threads}
    return Point(series=name, kind="anchor", settings=settings)


def further(name: str, anchor: Sequence[Row], networks: Sequence[Row]) -> float | None:
    """The rate factor an anchor needs next so that its quality spans that of the networks.

    Args:
        name: Of the anchor.
        anchor: Its points so far, at least one.
        networks: All points of networks.

    Returns:
        None if it spans it, or can go no further.
    """
    encoder = ENCODERS[name]
    step = _LADDERS[encoder.codec][1]
    lowest, highest = encoder.crf
    tried = [float(row["crf"]) for row in anchor]
    for metric in METRICS:
        wanted = [float(row[metric]) for row in networks if row[metric] is not None]
        reached = [float(row[metric]) for row in anchor if row[metric] is not None]
        if not wanted or not reached:
            continue
        if min(wanted) < min(reached) and max(tried) < highest:
            return min(max(tried) + step, highest)
        if max(wanted) > max(reached) and min(tried) > lowest:
            return max(min(tried) - step, lowest)
    return None


def places(source: Prepared, effort: Effort) -> tuple[int, ...]:
    """Which of a clip's rates are wanted."""
    every = range(len(source.clip.rates))
    return tuple(every) if effort.rates is None else tuple(p for p in every if p in effort.rates)


def model_points(entry: Entry, source: Prepared, effort: Effort) -> Iterator[Point]:
    """A model at every wanted rate of a clip."""
    # Points that are not boosted keep the names they had before there was boosting.
    boost = {"boost": True} if entry.variant.boosted else {}
    for place in places(source, effort):
        yield Point(
            series=entry.series,
            kind="model",
            settings={
                "model": entry.variant.model,
                **boost,
                "preset": entry.preset,
                "bpp": source.clip.rates[place],
                "epochs": effort.epochs,
                "time_limit": effort.time_limit,
                "device": effort.device,
                "seed": effort.seed,
                "threads": effort.threads,
            },
            rate=place,
        )


def reference_point(
    entry: Entry, place: int, source: Prepared, effort: Effort, seconds: float
) -> Point:
    """The reference beside the other model's point of the same place.

    Args:
        entry: Names the curve.
        place: Which of the clip's rates.
        source: The clip.
        effort: Of the run.
        seconds: What the other's encode took.
    """
    bits = _REFERENCE_FACTOR * source.clip.rates[place] * source.pixels
    return Point(
        series=entry.series,
        kind="reference",
        settings={
            "parameters": round(bits / _REFERENCE_BITS),
            "seconds": effort.reference_seconds or time_allowed(seconds),
            "colour": effort.reference_colour,
            "device": effort.device,
            "seed": effort.seed,
            "threads": effort.threads,
        },
        rate=place,
    )


def time_allowed(seconds: float) -> float:
    """A time, rounded up by at most a tenth."""
    power = ceil(round(log(max(seconds, 1.0), _TIME_GRID), 6))
    return round(_TIME_GRID**power, 1)


def equal_point(name: str, row: Row, threads: int) -> Point:
    """An anchor at the bytes of a network's file."""
    settings: Settings = {"encoder": name, "bytes": row["bytes"], "threads": threads}
    return Point(series=name, kind="anchor", settings=settings)
