"""The figure of the rate-distortion curves, a panel per clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rd.curves import METRIC_NAMES, curve, is_anchor
from benchmarks.rd.plan import REFERENCE
from benchmarks.rd.points import Row

_PANEL = (3.6, 2.9)  # Width and height in inches.
_RESOLUTION = 160  # Dots per inch.
_MAX_COLUMNS = 3
_LEGEND_COLUMNS = {1: 2, 2: 3, 3: 5}  # Columns of the legend by columns of panels.
_LEGEND_LINE = 0.22  # Height of a line in inches.
_OURS = ("#d7263d", "#e08a00", "#8f4fbf", "#00868b")
# Colour, and whether the curve is dashed: the faster preset of each codec is.
_ANCHORS = {
    "x264-medium": ("#8a8a8a", True),
    "x264-veryslow": ("#8a8a8a", False),
    "x265-medium": ("#3b7dc4", True),
    "x265-veryslow": ("#3b7dc4", False),
    "x264-medium-psnr": ("#4d4d4d", True),
    "x265-medium-psnr": ("#1d4f8a", True),
    "x265-veryslow-psnr": ("#1d4f8a", False),
    "svtav1-6": ("#3a9d5d", True),
    "svtav1-3": ("#3a9d5d", False),
}
_REFERENCE_COLOUR = "#b0763d"


@dataclass(frozen=True, slots=True)
class Style:
    """The style of a curve in the figure and on the page; legible on white and on black.

    Attributes:
        colour: Colour as `#rrggbb`.
        dashed: Whether the line is dashed instead of solid.
        ours: Whether the curve is one of ours: a thicker line with a mark at every point.
    """

    colour: str
    dashed: bool
    ours: bool


def styles(series: Sequence[str]) -> dict[str, Style]:
    """Return a style for every curve; that of an anchor does not depend on the other curves.

    Args:
        series: Names of the curves.
    """
    by_name: dict[str, Style] = {}
    count = 0
    for name in series:
        if is_anchor(name):
            by_name[name] = Style(*_ANCHORS[name], ours=False)
        elif name.startswith(REFERENCE):
            by_name[name] = Style(_REFERENCE_COLOUR, dashed=False, ours=True)
        else:
            by_name[name] = Style(_OURS[count % len(_OURS)], count >= len(_OURS), ours=True)
            count += 1
    return by_name


def draw(rows: Sequence[Row], path: Path, metric: str = "psnr_yuv") -> None:
    """Draw the curves of all clips.

    Args:
        rows: Points of all clips and curves, at least one.
        path: PNG file to write.
        metric: Field of the points that counts as quality.
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    clips = list(dict.fromkeys(row["clip"] for row in rows))
    styles_by_series = styles(list(dict.fromkeys(row["series"] for row in rows)))
    columns = min(_MAX_COLUMNS, len(clips))
    rows_of_panels = -(-len(clips) // columns)
    legend_lines = -(-len(styles_by_series) // _LEGEND_COLUMNS[columns]) + 1
    figure, axes = pyplot.subplots(
        rows_of_panels,
        columns,
        figsize=(columns * _PANEL[0], rows_of_panels * _PANEL[1] + legend_lines * _LEGEND_LINE),
        squeeze=False,
        layout="constrained",
    )
    for axis, clip in zip(axes.flat, clips, strict=False):
        for series, style in styles_by_series.items():
            points = [row for row in rows if (row["clip"], row["series"]) == (clip, series)]
            shown = curve(points, metric)
            if not shown:
                continue
            bpp_per_byte = points[0]["bpp"] / points[0]["bytes"]
            axis.plot(
                [size * bpp_per_byte for size, _ in shown],
                [quality for _, quality in shown],
                color=style.colour,
                linestyle="--" if style.dashed else "-",
                linewidth=1.9 if style.ours else 1.1,
                marker="o" if style.ours else None,
                markersize=3.5,
                zorder=3 if style.ours else 2,
                label=series,
            )
        axis.set_title(clip, fontsize=10)
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.tick_params(labelsize=8)
        axis.grid(True, which="both", color="#e4e4e4", linewidth=0.5)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    for axis in axes.flat[len(clips) :]:
        axis.set_visible(False)
    unit = "" if metric == "ms_ssim" else ", dB"
    figure.supxlabel("bits per pixel, whole file", fontsize=9)
    figure.supylabel(f"{METRIC_NAMES[metric]}{unit}", fontsize=9)
    handles = {
        label: handle
        for axis in axes.flat
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside upper center",
        ncols=_LEGEND_COLUMNS[columns],
        fontsize=8,
        frameon=False,
        handlelength=3.5,  # Long enough to show dashes beside the marker.
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=_RESOLUTION)
    pyplot.close(figure)
