"""The points that a run needs: its curves, their settings, and the rate factors of the anchors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, log

from benchmarks.harness.anchor_codecs import ENCODERS
from benchmarks.harness.model_variants import Variant
from benchmarks.rd.points import CurvePoint, Row, Settings
from benchmarks.rd.prepared_clips import PreparedClip
from nvcodec.config import PRESETS
from nvcodec.models import MODELS

REFERENCE = "hnerv-reference"
METRICS = ("psnr_y", "psnr_yuv", "ms_ssim")
# Rate factors of every anchor, and the step beyond them where a network's quality lies outside.
_LADDERS = {
    "libx264": ((22, 27, 32, 37, 42, 47), 5),
    "libx265": ((22, 27, 32, 37, 42, 47), 5),
    "libsvtav1": ((24, 34, 44, 54, 59, 63), 10),
}
# Bits per parameter of the reference's files, and the factor of its bytes over a network's: about
# as many as it needs for a similar quality.
_REFERENCE_BITS = 7.5
_REFERENCE_FACTOR = 4.0
# The reference's time is rounded up to a power of this factor, so that a change of a second in the
# other model's time does not ask for a new fit.
_TIME_STEP = 1.1
# The anchor that the frame viewer shows at the bytes of a network's file, and the index of the rate.
VIEWER_ANCHOR, VIEWER_RATE = "x264-medium", 1


@dataclass(frozen=True, slots=True)
class CurveSpec:
    """A curve of ours: a network at a preset.

    Attributes:
        variant: The network.
        preset: Name of the preset; the reference is fitted for as long as another network at it.
    """

    variant: Variant
    preset: str

    @property
    def series(self) -> str:
        """Name of the curve."""
        return f"{self.variant}-{self.preset}"

    @property
    def is_reference(self) -> bool:
        """Whether this is the reference, which nvcodec's command line does not encode."""
        return self.variant.model == REFERENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """Settings of all encodes by networks in a run.

    Attributes:
        rates: Indices into the rates of every clip; None for all.
        epochs: Number of epochs; None for the preset's.
        time_limit: Time limit of each encode, as `nvcodec encode` takes it; None for no limit.
        reference_seconds: Time of each fit of the reference; None for the other model's time.
        reference_colour: `"yuv420"`, as for all models here, or `"rgb"`, as published.
        device: `cpu`, `cuda` or `auto`.
        seed: Seed of the fits.
        threads: Threads of every process.
        anchors: Names of the anchors.
    """

    rates: tuple[int, ...] | None = None
    epochs: int | None = None
    time_limit: str | None = None
    reference_seconds: float | None = None
    reference_colour: str = "yuv420"
    device: str = "auto"
    seed: int = 0
    threads: int = 2
    anchors: tuple[str, ...] = tuple(ENCODERS)


def curve_specs(models: Sequence[str], presets: Sequence[str]) -> tuple[CurveSpec, ...]:
    """Return the curves of every model at every preset, the reference last.

    Args:
        models: Names; `name/preset` is one curve only, `name+boost` is boosted.
        presets: Presets of the models that are named without one.

    Raises:
        SystemExit: If there is no such model or preset.
    """
    curves: dict[CurveSpec, None] = {}
    for name in models:
        model, slash, preset = name.partition("/")
        variant = _variant(model)
        for each in (preset,) if slash else presets:
            if each not in PRESETS:
                raise SystemExit(f"{each}: expected a preset among {', '.join(PRESETS)}")
            curves[CurveSpec(variant, each)] = None
    # The reference is fitted for as long as the others took.
    return tuple(sorted(curves, key=lambda curve: curve.is_reference))


def _variant(name: str) -> Variant:
    """Parse the name of a network.

    Raises:
        SystemExit: If there is no such network.
    """
    variant = Variant.parse(name)
    if variant != Variant(REFERENCE) and variant.model not in MODELS:
        raise SystemExit(f"{name}: expected one of {', '.join((*MODELS, REFERENCE))}")
    return variant


def check_times(curves: Sequence[CurveSpec], run_settings: RunSettings) -> None:
    """Check that the time of every fit of the reference can be determined.

    Raises:
        SystemExit: If the reference has neither a time nor another model at its preset.
    """
    timed = {curve.preset for curve in curves if not curve.is_reference}
    for curve in curves:
        if curve.is_reference and curve.preset not in timed and not run_settings.reference_seconds:
            raise SystemExit(
                f"{curve.series}: expected another model at that preset, or --reference-seconds"
            )


def anchor_points(names: Sequence[str], threads: int) -> Iterator[CurvePoint]:
    """Yield the points of anchors at their fixed rate factors.

    Args:
        names: Names of the anchors.
        threads: Threads of every process.
    """
    for name in names:
        for crf in _LADDERS[ENCODERS[name].codec][0]:
            yield anchor_point(name, crf, threads)


def anchor_point(name: str, crf: float, threads: int) -> CurvePoint:
    """Return the point of an anchor at a constant rate factor.

    Args:
        name: Name of the anchor.
        crf: Constant rate factor.
        threads: Threads of the process.
    """
    settings: Settings = {"encoder": name, "crf": float(crf), "threads": threads}
    return CurvePoint(series=name, kind="anchor", settings=settings)


def next_rate_factor(name: str, anchor: Sequence[Row], networks: Sequence[Row]) -> float | None:
    """Return the next rate factor of an anchor whose quality shall span that of the networks.

    Args:
        name: Name of the anchor.
        anchor: Points of the anchor so far, at least one.
        networks: All points of networks.

    Returns:
        None if the anchor spans the networks, or has no further rate factor.
    """
    encoder = ENCODERS[name]
    step = _LADDERS[encoder.codec][1]
    lowest, highest = encoder.crf
    crfs = [float(row["crf"]) for row in anchor]
    for metric in METRICS:
        targets = [float(row[metric]) for row in networks if row[metric] is not None]
        reached = [float(row[metric]) for row in anchor if row[metric] is not None]
        if not targets or not reached:
            continue
        if min(targets) < min(reached) and max(crfs) < highest:
            return min(max(crfs) + step, highest)
        if max(targets) > max(reached) and min(crfs) > lowest:
            return max(min(crfs) - step, lowest)
    return None


def rate_indices(source: PreparedClip, run_settings: RunSettings) -> tuple[int, ...]:
    """Return the indices of the rates of a clip that a run measures."""
    every = range(len(source.clip.rates))
    chosen = run_settings.rates
    return tuple(every) if chosen is None else tuple(index for index in every if index in chosen)


def model_points(
    curve: CurveSpec, source: PreparedClip, run_settings: RunSettings
) -> Iterator[CurvePoint]:
    """Yield the points of a model at the rates of a clip that a run measures."""
    # Points that are not boosted keep the keys that they had before there was boosting.
    boost = {"boost": True} if curve.variant.boosted else {}
    for index in rate_indices(source, run_settings):
        yield CurvePoint(
            series=curve.series,
            kind="model",
            settings={
                "model": curve.variant.model,
                **boost,
                "preset": curve.preset,
                "bpp": source.clip.rates[index],
                "epochs": run_settings.epochs,
                "time_limit": run_settings.time_limit,
                "device": run_settings.device,
                "seed": run_settings.seed,
                "threads": run_settings.threads,
            },
            rate=index,
        )


def reference_point(
    curve: CurveSpec, index: int, source: PreparedClip, run_settings: RunSettings, seconds: float
) -> CurvePoint:
    """Return the point of the reference beside another model's point of the same rate.

    Args:
        curve: The curve of the reference.
        index: Index of the rate among the clip's.
        source: The clip.
        run_settings: Settings of the run.
        seconds: Time that the other model's encode took.
    """
    bits = _REFERENCE_FACTOR * source.clip.rates[index] * source.pixels
    return CurvePoint(
        series=curve.series,
        kind="reference",
        settings={
            "parameters": round(bits / _REFERENCE_BITS),
            "seconds": run_settings.reference_seconds or time_allowed(seconds),
            "colour": run_settings.reference_colour,
            "device": run_settings.device,
            "seed": run_settings.seed,
            "threads": run_settings.threads,
        },
        rate=index,
    )


def time_allowed(seconds: float) -> float:
    """Round a time in seconds up, by at most a tenth, so that similar times become equal."""
    power = ceil(round(log(max(seconds, 1.0), _TIME_STEP), 6))
    return round(_TIME_STEP**power, 1)


def equal_point(name: str, row: Row, threads: int) -> CurvePoint:
    """Return the point of an anchor at the bytes of a network's file.

    Args:
        name: Name of the anchor.
        row: The network's point.
        threads: Threads of the process.
    """
    settings: Settings = {"encoder": name, "bytes": row["bytes"], "threads": threads}
    return CurvePoint(series=name, kind="anchor", settings=settings)
