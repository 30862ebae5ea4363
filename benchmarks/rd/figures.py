"""Rate-distortion curves as one picture, a panel per clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rd.curves import SHOWN, curve, is_anchor
from benchmarks.rd.plan import REFERENCE
from benchmarks.rd.points import Row

_PANEL = (3.6, 2.9)  # inches
_RESOLUTION = 160
_ACROSS = 3
_LEGEND_COLUMNS = {1: 2, 2: 3, 3: 5}  # by panels across
_LEGEND_LINE = 0.22  # inches
_OURS = ("#d7263d", "#e08a00", "#8f4fbf", "#00868b")
# The faster preset of each is dashed.
_ANCHORS = {
    "x264-medium": ("#8a8a8a", True),
    "x264-veryslow": ("#8a8a8a", False),
    "x265-medium": ("#3b7dc4", True),
    "x265-veryslow": ("#3b7dc4", False),
    "svtav1-6": ("#3a9d5d", True),
    "svtav1-3": ("#3a9d5d", False),
}
_REFERENCE_COLOUR = "#b0763d"


@dataclass(frozen=True, slots=True)
class Style:
    """How a curve is drawn, here and on the page; legible on white and on black.

    Attributes:
        colour: As `#rrggbb`.
        dashed: Rather than solid.
        ours: Stands out, with a mark at every point.
    """

    colour: str
    dashed: bool
    ours: bool


def styles(series: Sequence[str]) -> dict[str, Style]:
    """A style for every curve, the same whatever else is drawn beside the anchors."""
    made: dict[str, Style] = {}
    place = 0
    for name in series:
        if is_anchor(name):
            made[name] = Style(*_ANCHORS[name], ours=False)
        elif name.startswith(REFERENCE):
            made[name] = Style(_REFERENCE_COLOUR, dashed=False, ours=True)
        else:
            made[name] = Style(_OURS[place % len(_OURS)], place >= len(_OURS), ours=True)
            place += 1
    return made


def draw(rows: Sequence[Row], path: Path, metric: str = "psnr_yuv") -> None:
    """Write the picture.

    Args:
        rows: Points of all clips and curves, at least one.
        path: PNG file to write.
        metric: What counts as quality.
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    clips = list(dict.fromkeys(row["clip"] for row in rows))
    looks = styles(list(dict.fromkeys(row["series"] for row in rows)))
    across = min(_ACROSS, len(clips))
    down = -(-len(clips) // across)
    legend_lines = -(-len(looks) // _LEGEND_COLUMNS[across]) + 1
    figure, axes = pyplot.subplots(
        down,
        across,
        figsize=(across * _PANEL[0], down * _PANEL[1] + legend_lines * _LEGEND_LINE),
        squeeze=False,
        layout="constrained",
    )
    for axis, clip in zip(axes.flat, clips, strict=False):
        for series, look in looks.items():
            mine = [row for row in rows if (row["clip"], row["series"]) == (clip, series)]
            points = curve(mine, metric)
            if not points:
                continue
            per_pixel = mine[0]["bpp"] / mine[0]["bytes"]
            axis.plot(
                [size * per_pixel for size, _ in points],
                [quality for _, quality in points],
                color=look.colour,
                linestyle="--" if look.dashed else "-",
                linewidth=1.9 if look.ours else 1.1,
                marker="o" if look.ours else None,
                markersize=3.5,
                zorder=3 if look.ours else 2,
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
    figure.supylabel(f"{SHOWN[metric]}{unit}", fontsize=9)
    handles = {
        label: handle
        for axis in axes.flat
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside upper center",
        ncols=_LEGEND_COLUMNS[across],
        fontsize=8,
        frameon=False,
        handlelength=3.5,  # room for dashes beside the marker
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=_RESOLUTION)
    pyplot.close(figure)
