"""BD-rates between rate-distortion curves, per clip and on average, and their tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.harness.anchor_codecs import ENCODERS
from benchmarks.harness.record import ResultTable
from benchmarks.rd.plan import METRICS, REFERENCE
from benchmarks.rd.points import Row
from nvcodec.errors import ConfigError
from nvcodec.metrics import bd_rate

METRIC_NAMES = {"psnr_y": "Y PSNR", "psnr_yuv": "YUV PSNR", "ms_ssim": "MS-SSIM"}
# A BD-rate over less than this share of our curve's quality range is marked.
_MIN_COVERAGE = 0.5
# Anchors of the overview.
_OVERVIEW = ("x264-medium", "x265-medium")


@dataclass(frozen=True, slots=True, kw_only=True)
class BdRateResult:
    """The BD-rate between two curves of a clip, or the reason why there is none.

    Attributes:
        clip: Name of the clip.
        test: Name of the curve that is judged.
        anchor: Name of the curve that it is compared with.
        metric: Field of the points that counts as quality.
        percent: Bytes that the test takes more than the anchor, per cent; None if the curves cannot
            be compared.
        why: Reason why they cannot be compared; otherwise empty.
        covered: Share of the test's quality range that the anchor has too, 0 to 1.
    """

    clip: str
    test: str
    anchor: str
    metric: str
    percent: float | None
    why: str
    covered: float


def is_anchor(series: str) -> bool:
    """Return whether a curve is one of a conventional codec."""
    return series in ENCODERS


def curve(rows: Iterable[Row], metric: str) -> list[tuple[float, float]]:
    """Return (bytes, quality) of the points of a curve, by size.

    A point that is no better than a smaller file is left out: nobody would choose it, and rates
    would not rise with quality.

    Args:
        rows: Points of one clip and one curve.
        metric: Field of the points that counts as quality; points without it are left out.
    """
    points = sorted((row["bytes"], row[metric]) for row in rows if row[metric] is not None)
    useful: list[tuple[float, float]] = []
    for size, quality in points:
        if useful and size == useful[-1][0]:
            useful.pop()  # Equal bytes are sorted by quality: the later point is as good or better.
        if not useful or quality > useful[-1][1]:
            useful.append((float(size), float(quality)))
    return useful


def compare_curves(
    rows: Sequence[Row], clip: str, test: str, anchor: str, metric: str
) -> BdRateResult:
    """Compute the BD-rate between two curves of a clip.

    Args:
        rows: Points of any clips and curves.
        clip: Name of the clip.
        test: Name of the curve that is judged.
        anchor: Name of the curve that it is compared with.
        metric: Field of the points that counts as quality.
    """
    curves = {
        series: curve(
            (row for row in rows if (row["clip"], row["series"]) == (clip, series)), metric
        )
        for series in (anchor, test)
    }
    percent, why, covered = None, "", 0.0
    too_short = [series for series, points in curves.items() if len(points) < 2]
    if too_short:
        count = len(curves[too_short[0]])
        why = "no points" if count == 0 else "one point"
        why += f" of {too_short[0]}"
    else:
        (low, high), (bottom, top) = ((points[0][1], points[-1][1]) for points in curves.values())
        covered = max(0.0, min(top, high) - max(bottom, low)) / (top - bottom)
        try:
            percent = bd_rate(curves[anchor], curves[test])
        except ConfigError:
            why = f"no overlap: {test} {bottom:.4g} to {top:.4g}, {anchor} {low:.4g} to {high:.4g}"
    return BdRateResult(
        clip=clip,
        test=test,
        anchor=anchor,
        metric=metric,
        percent=percent,
        why=why,
        covered=covered,
    )


def compare_all(rows: Sequence[Row]) -> list[BdRateResult]:
    """Compare every curve of ours with every anchor, on every clip, by every metric."""
    series = list(dict.fromkeys(row["series"] for row in rows))
    clips = list(dict.fromkeys(row["clip"] for row in rows))
    return [
        compare_curves(rows, clip, test, anchor, metric)
        for test in series
        if not is_anchor(test)
        for anchor in anchors_of(test, series)
        for metric in METRICS
        for clip in clips
    ]


def anchors_of(test: str, series: Sequence[str]) -> list[str]:
    """Return the names of the curves that a curve is compared with.

    These are the conventional codecs, and the reference that was fitted for the same time.

    Args:
        test: Name of the curve.
        series: Names of all curves.
    """
    preset = test.rpartition("-")[2]
    reference = f"{REFERENCE}-{preset}"
    codecs = [name for name in ENCODERS if name in series]
    return [*codecs, *([reference] if reference in series and test != reference else [])]


def tables(
    rows: Sequence[Row],
    results: Sequence[BdRateResult],
    halves: Mapping[str, str | None] | None = None,
) -> dict[str, ResultTable]:
    """Return the tables of a run: averages, every clip by every metric, and the cost.

    Args:
        rows: All points.
        results: BD-rates of these, from `compare_all`.
        halves: Half of the suite that each clip belongs to, or None, by the clip's name. A suite
            with halves gets a summary of each, `summary_HALF`, and their means beside the mean.
    """
    halves = {clip: half for clip, half in (halves or {}).items() if half}
    by_name = {"summary": _summary(results), "overview": _overview(rows, results)}
    for half in dict.fromkeys(halves.values()):
        by_name[f"summary_{half}"] = _summary(
            [result for result in results if halves.get(result.clip) == half]
        )
    for test in dict.fromkeys(result.test for result in results):
        for metric in METRICS:
            chosen = [
                result for result in results if (result.test, result.metric) == (test, metric)
            ]
            by_name[f"{test}_{metric}"] = _per_clip(test, metric, chosen, halves)
    by_name["cost"] = _cost(rows)
    return by_name


def mean(results: Iterable[BdRateResult]) -> str:
    """Format the mean over the clips that have a BD-rate, with their number if not all have one."""
    every = list(results)
    values = [result.percent for result in every if result.percent is not None]
    if not values:
        return "no overlap" if every else "-"
    text = f"{fmean(values):+.1f} %"
    return text if len(values) == len(every) else f"{text} ({len(values)} of {len(every)})"


def _cell(result: BdRateResult) -> str:
    if result.percent is None:
        return result.why.partition(":")[0]
    return f"{result.percent:+.1f} %{'' if result.covered >= _MIN_COVERAGE else ' *'}"


def _summary(results: Sequence[BdRateResult]) -> ResultTable:
    anchors = list(dict.fromkeys(result.anchor for result in results))
    rows = [
        (
            test,
            METRIC_NAMES[metric],
            *(
                mean(
                    result
                    for result in results
                    if (result.test, result.metric, result.anchor) == (test, metric, anchor)
                )
                for anchor in anchors
            ),
        )
        for test in dict.fromkeys(result.test for result in results)
        for metric in METRICS
    ]
    return ResultTable(
        ("curve", "quality", *anchors),
        tuple(rows),
        "BD-rate, mean over clips: how many more bytes it takes for the same quality, negative is "
        "fewer. In brackets the clips that have a number, where not all do.",
    )


def _per_clip(
    test: str, metric: str, results: Sequence[BdRateResult], halves: Mapping[str, str]
) -> ResultTable:
    anchors = list(dict.fromkeys(result.anchor for result in results))
    by_pair = {(result.clip, result.anchor): result for result in results}
    rows = [
        (clip, *(_cell(by_pair[clip, anchor]) for anchor in anchors))
        for clip in dict.fromkeys(result.clip for result in results)
    ]
    for half in (*dict.fromkeys(halves.values()), None):
        chosen = [result for result in results if half is None or halves.get(result.clip) == half]
        means = [mean(result for result in chosen if result.anchor == anchor) for anchor in anchors]
        rows.append((f"mean, {half}" if half else "mean", *means))
    note = f"BD-rate of {test} by {METRIC_NAMES[metric]}; negative is fewer bytes."
    if any(result.percent is not None and result.covered < _MIN_COVERAGE for result in results):
        note += (
            " * over less than half of its range of quality, the rest being beyond the anchor's."
        )
    return ResultTable(("clip", *anchors), tuple(rows), note)


def _overview(rows: Sequence[Row], results: Sequence[BdRateResult]) -> ResultTable:
    """Return a table with a line for every curve of ours: size, BD-rates and speed."""
    anchors = [name for name in _OVERVIEW if any(result.anchor == name for result in results)]
    costs = {cost[0]: cost[2:] for cost in _costs(rows)}
    lines = []
    for test in dict.fromkeys(result.test for result in results):
        seconds, speed, parameters, macs = costs[test]
        rates = [
            mean(
                result
                for result in results
                if (result.test, result.metric, result.anchor) == (test, "psnr_yuv", name)
            )
            for name in anchors
        ]
        lines.append((test, parameters, macs, *rates, seconds, speed))
    return ResultTable(
        ("curve", "parameters", "kMAC/px", *anchors, "encode, s", "decode, frames/s"),
        tuple(lines),
        "BD-rate by YUV PSNR, mean over clips; negative is fewer bytes. The rest lowest to highest "
        f"over clips and rates: {', '.join(dict.fromkeys(row['clip'] for row in rows))}.",
    )


def _cost(rows: Sequence[Row]) -> ResultTable:
    return ResultTable(
        ("curve", "points", "encode, s", "decode, frames/s", "parameters", "kMAC/px"),
        tuple(_costs(rows)),
        "Lowest to highest over all clips and rates. An encode of a network includes reading and "
        "writing; decoding is measured to 8-bit planes in memory, in a process of its own.",
    )


def _costs(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    for series in dict.fromkeys(row["series"] for row in rows):
        points = [row for row in rows if row["series"] == series]
        speeds = [row["frames"] / row["decode_seconds"] for row in points]
        yield (
            series,
            str(len(points)),
            _range([row["encode_seconds"] for row in points], ".1f"),
            _range(speeds, ".0f"),
            _range([row["parameters"] for row in points if "parameters" in row], "d"),
            _range(
                [row["macs_per_pixel"] / 1000 for row in points if "macs_per_pixel" in row], ".2f"
            ),
        )


def _range(values: Sequence[float], spec: str) -> str:
    if not values:
        return "-"
    low, high = (format(value, spec) for value in (min(values), max(values)))
    return low if low == high else f"{low}-{high}"
