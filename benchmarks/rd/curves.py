"""Rate-distortion curves against each other: BD-rates per clip and on average, and their tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.harness.anchor_codecs import ENCODERS
from benchmarks.harness.record import Table
from benchmarks.rd.plan import METRICS, REFERENCE
from benchmarks.rd.points import Row
from nvcodec.errors import ConfigError
from nvcodec.metrics import bd_rate

SHOWN = {"psnr_y": "Y PSNR", "psnr_yuv": "YUV PSNR", "ms_ssim": "MS-SSIM"}
# A BD-rate over less than this share of our curve's range of quality is marked.
_COVERED = 0.5
# What the overview compares with.
_OVERVIEW = ("x264-medium", "x265-medium")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A BD-rate, or why there is none.

    Attributes:
        clip: Name of the clip.
        test: Curve in question.
        anchor: Curve it is compared with.
        metric: Field of the points that counts as quality.
        percent: More rate than the anchor, per cent; None if it cannot be said.
        why: Why it cannot.
        covered: Share of the test's range of quality that the anchor has too, 0 to 1.
    """

    clip: str
    test: str
    anchor: str
    metric: str
    percent: float | None
    why: str
    covered: float


def is_anchor(series: str) -> bool:
    """Whether a curve is one that others made."""
    return series in ENCODERS


def curve(rows: Iterable[Row], metric: str) -> list[tuple[float, float]]:
    """(bytes, quality) of points that are worth their bytes, by size.

    A point that is no better than a smaller file is left out: nobody would choose it, and rates
    would not rise with quality.
    """
    points = sorted((row["bytes"], row[metric]) for row in rows if row[metric] is not None)
    kept: list[tuple[float, float]] = []
    for size, quality in points:
        if kept and size == kept[-1][0]:
            kept.pop()  # equal bytes are sorted by quality: the later is at least as good
        if not kept or quality > kept[-1][1]:
            kept.append((float(size), float(quality)))
    return kept


def difference(rows: Sequence[Row], clip: str, test: str, anchor: str, metric: str) -> Difference:
    """Compare two curves of a clip."""
    sides = {
        series: curve(
            (row for row in rows if (row["clip"], row["series"]) == (clip, series)), metric
        )
        for series in (anchor, test)
    }
    percent, why, covered = None, "", 0.0
    few = [series for series, points in sides.items() if len(points) < 2]
    if few:
        count = len(sides[few[0]])
        why = "no points" if count == 0 else "one point"
        why += f" of {few[0]}"
    else:
        (low, high), (bottom, top) = ((points[0][1], points[-1][1]) for points in sides.values())
        covered = max(0.0, min(top, high) - max(bottom, low)) / (top - bottom)
        try:
            percent = bd_rate(sides[anchor], sides[test])
        except ConfigError:
            why = f"no overlap: {test} {bottom:.4g} to {top:.4g}, {anchor} {low:.4g} to {high:.4g}"
    return Difference(
        clip=clip,
        test=test,
        anchor=anchor,
        metric=metric,
        percent=percent,
        why=why,
        covered=covered,
    )


def differences(rows: Sequence[Row]) -> list[Difference]:
    """Every curve of ours against every anchor, on every clip, by every metric."""
    series = list(dict.fromkeys(row["series"] for row in rows))
    clips = list(dict.fromkeys(row["clip"] for row in rows))
    return [
        difference(rows, clip, test, anchor, metric)
        for test in series
        if not is_anchor(test)
        for anchor in anchors_of(test, series)
        for metric in METRICS
        for clip in clips
    ]


def anchors_of(test: str, series: Sequence[str]) -> list[str]:
    """What a curve is compared with: all anchors, and the reference of the same fitting time."""
    preset = test.rpartition("-")[2]
    reference = f"{REFERENCE}-{preset}"
    found = [name for name in ENCODERS if name in series]
    return [*found, *([reference] if reference in series and test != reference else [])]


def tables(rows: Sequence[Row], found: Sequence[Difference]) -> dict[str, Table]:
    """What people are shown: averages, every clip by every metric, and what it costs."""
    made = {"summary": _summary(found), "overview": _overview(rows, found)}
    for test in dict.fromkeys(one.test for one in found):
        for metric in METRICS:
            mine = [one for one in found if (one.test, one.metric) == (test, metric)]
            made[f"{test}_{metric}"] = _per_clip(test, metric, mine)
    made["cost"] = _cost(rows)
    return made


def mean(found: Iterable[Difference]) -> str:
    """The mean over the clips that have a number, and how many those are if not all."""
    every = list(found)
    values = [one.percent for one in every if one.percent is not None]
    if not values:
        return "no overlap" if every else "-"
    marked = f"{fmean(values):+.1f} %"
    return marked if len(values) == len(every) else f"{marked} ({len(values)} of {len(every)})"


def _cell(one: Difference) -> str:
    if one.percent is None:
        return one.why.partition(":")[0]
    return f"{one.percent:+.1f} %{'' if one.covered >= _COVERED else ' *'}"


def _summary(found: Sequence[Difference]) -> Table:
    anchors = list(dict.fromkeys(one.anchor for one in found))
    rows = [
        (
            test,
            SHOWN[metric],
            *(
                mean(
                    one
                    for one in found
                    if (one.test, one.metric, one.anchor) == (test, metric, anchor)
                )
                for anchor in anchors
            ),
        )
        for test in dict.fromkeys(one.test for one in found)
        for metric in METRICS
    ]
    return Table(
        ("curve", "quality", *anchors),
        tuple(rows),
        "BD-rate, mean over clips: how many more bytes it takes for the same quality, negative is "
        "fewer. In brackets the clips that have a number, where not all do.",
    )


def _per_clip(test: str, metric: str, found: Sequence[Difference]) -> Table:
    anchors = list(dict.fromkeys(one.anchor for one in found))
    by_place = {(one.clip, one.anchor): one for one in found}
    rows = [
        (clip, *(_cell(by_place[clip, anchor]) for anchor in anchors))
        for clip in dict.fromkeys(one.clip for one in found)
    ]
    means = [mean(one for one in found if one.anchor == anchor) for anchor in anchors]
    note = f"BD-rate of {test} by {SHOWN[metric]}; negative is fewer bytes."
    if any(one.percent is not None and one.covered < _COVERED for one in found):
        note += (
            " * over less than half of its range of quality, the rest being beyond the anchor's."
        )
    return Table(("clip", *anchors), (*rows, ("mean", *means)), note)


def _overview(rows: Sequence[Row], found: Sequence[Difference]) -> Table:
    """A line for every curve of ours: how good, how large and how long."""
    anchors = [name for name in _OVERVIEW if any(one.anchor == name for one in found)]
    costs = {cost[0]: cost[2:] for cost in _costs(rows)}
    lines = []
    for test in dict.fromkeys(one.test for one in found):
        seconds, speed, parameters, macs = costs[test]
        rates = [
            mean(
                one
                for one in found
                if (one.test, one.metric, one.anchor) == (test, "psnr_yuv", name)
            )
            for name in anchors
        ]
        lines.append((test, parameters, macs, *rates, seconds, speed))
    return Table(
        ("curve", "parameters", "kMAC/px", *anchors, "encode, s", "decode, frames/s"),
        tuple(lines),
        "BD-rate by YUV PSNR, mean over clips; negative is fewer bytes. The rest lowest to highest "
        f"over clips and rates: {', '.join(dict.fromkeys(row['clip'] for row in rows))}.",
    )


def _cost(rows: Sequence[Row]) -> Table:
    return Table(
        ("curve", "points", "encode, s", "decode, frames/s", "parameters", "kMAC/px"),
        tuple(_costs(rows)),
        "Lowest to highest over all clips and rates. An encode of a network includes reading and "
        "writing; decoding is measured to 8-bit planes in memory, in a process of its own.",
    )


def _costs(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    for series in dict.fromkeys(row["series"] for row in rows):
        mine = [row for row in rows if row["series"] == series]
        speeds = [row["frames"] / row["decode_seconds"] for row in mine]
        yield (
            series,
            str(len(mine)),
            _range([row["encode_seconds"] for row in mine], ".1f"),
            _range(speeds, ".0f"),
            _range([row["parameters"] for row in mine if "parameters" in row], "d"),
            _range(
                [row["macs_per_pixel"] / 1000 for row in mine if "macs_per_pixel" in row], ".2f"
            ),
        )


def _range(values: Sequence[float], spec: str) -> str:
    if not values:
        return "-"
    low, high = (format(value, spec) for value in (min(values), max(values)))
    return low if low == high else f"{low}-{high}"
