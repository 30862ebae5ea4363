"""BD-rate of a version of the program against an earlier one, from two results of `benchmarks.rd`.

Both were measured on the same clips at the same rates. A negative BD-rate means that the later
version takes fewer bytes for the same YUV PSNR.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.harness import record
from benchmarks.rd.curves import compare_curves, is_anchor
from benchmarks.rd.points import Row

_METRIC = "psnr_yuv"
# Clips of the suite `broad` whose blocks of 16 x 16 samples move by more than one sample a frame on
# average, as whole-sample block matching finds them.
FAST = ("bikes", "foreman", "bmx", "steel", "street", "coastguard", "phone", "roadtrip")


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("rate_distortion_versions", __doc__)
    parser.add_argument("before", type=Path, help="results of the earlier version, JSON")
    parser.add_argument("after", type=Path, help="results of the later version, JSON")
    options = parser.parse_args(argv)
    before, after = (json.loads(path.read_text()) for path in (options.before, options.after))
    compared = compare_versions(before["results"], after["results"])
    if not compared:
        raise SystemExit("no clip was measured by both versions")
    results = {
        "before": {"commit": before["commit"], "dirty": before["dirty"]},
        "after": {"commit": after["commit"], "dirty": after["dirty"]},
        "metric": _METRIC,
        "fast_clips": FAST,
        "clips": compared,
        "means": means(compared),
    }
    record.write(options.out, results, {"versions": _table(compared, results)})


def compare_versions(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    """Compare the curves of networks that both results have.

    Args:
        before: Results of the earlier version.
        after: Results of the later version.

    Returns:
        For each curve and clip: half of the suite, BD-rate in per cent, ratios of the times of
        encoding and decoding.
    """
    earlier = [{**row, "series": f"{row['series']} before"} for row in before["points"]]
    rows: list[Row] = [*earlier, *after["points"]]
    halves = {clip["name"]: clip["half"] for clip in after["clips"]}
    compared = []
    for series in dict.fromkeys(row["series"] for row in after["points"]):
        for clip, half in halves.items():
            chosen = [
                [row for row in rows if (row["clip"], row["series"]) == (clip, name)]
                for name in (f"{series} before", series)
            ]
            if is_anchor(series) or not all(chosen):
                continue
            result = compare_curves(rows, clip, series, f"{series} before", _METRIC)
            encode, decode = (
                [sum(float(row[field]) for row in part) for part in chosen]
                for field in ("encode_seconds", "decode_seconds")
            )
            compared.append(
                {
                    "curve": series,
                    "clip": clip,
                    "half": half,
                    "fast": clip in FAST,
                    "percent": result.percent,
                    "covered": result.covered,
                    "encode_time": encode[1] / encode[0],
                    "decode_time": decode[1] / decode[0],
                }
            )
    return compared


def means(compared: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the mean BD-rate of each curve over halves, fast clips and all."""
    found: dict[str, dict[str, float]] = {}
    for row in compared:
        if row["percent"] is None:
            continue
        groups = [row["half"], "all"]
        if row["fast"]:
            groups += [f"{row['half']}, fast", "all, fast"]
        for group in groups:
            found.setdefault(row["curve"], {}).setdefault(group, 0.0)
    for curve, groups_of_curve in found.items():
        for group in groups_of_curve:
            half, _, fast = group.partition(", ")
            groups_of_curve[group] = fmean(
                row["percent"]
                for row in compared
                if row["curve"] == curve
                and row["percent"] is not None
                and half in ("all", row["half"])
                and (row["fast"] or not fast)
            )
    return found


def _table(compared: Sequence[dict[str, Any]], results: dict[str, Any]) -> record.ResultTable:
    rows = [
        (
            row["curve"],
            row["clip"],
            f"{row['half']}{', fast' if row['fast'] else ''}",
            "no overlap" if row["percent"] is None else f"{row['percent']:+.1f} %",
            f"{row['encode_time']:.2f}",
            f"{row['decode_time']:.2f}",
        )
        for row in compared
    ]
    rows += [
        (curve, f"mean of {group}", "", f"{value:+.1f} %", "", "")
        for curve, groups in results["means"].items()
        for group, value in groups.items()
    ]
    return record.ResultTable(
        ("curve", "clip", "half", "BD-rate", "time of encoding", "time of decoding"),
        tuple(rows),
        f"Commit {results['after']['commit'][:7]} against {results['before']['commit'][:7]}, by YUV "
        "PSNR and whole files; negative is fewer bytes. Times are ratios of runs at different "
        "times on a shared machine.",
    )


if __name__ == "__main__":
    main()
