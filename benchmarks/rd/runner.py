"""A run of the benchmark: makes its points clip by clip, one at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence

from benchmarks.harness.anchor_codecs import ENCODERS
from benchmarks.rd import plan
from benchmarks.rd.curves import is_anchor
from benchmarks.rd.plan import CurveSpec, RunSettings
from benchmarks.rd.points import CurvePoint, Row
from benchmarks.rd.prepared_clips import PreparedClip
from benchmarks.rd.store import PointError, PointStore


class RateDistortionRun:
    """A run: its points so far, and its failures.

    Args:
        store: Store of points.
        curves: Our curves; the reference comes after those whose time it takes.
        run_settings: Settings of all networks.
        minutes: Time after which no further point is begun; None for no limit.

    Attributes:
        rows: All points.
        equal_bytes: Points for the viewer: for each clip a network's, then an anchor's of as many
            bytes.
        failures: One line for each point that failed.
        missing_points: Number of points that were not begun: there was no time, or the time of the
            reference is unknown.
    """

    def __init__(
        self,
        store: PointStore,
        curves: Sequence[CurveSpec],
        run_settings: RunSettings,
        minutes: float | None,
    ) -> None:
        self.rows: list[Row] = []
        self.equal_bytes: list[Row] = []
        self.failures: list[str] = []
        self.missing_points = 0
        self._store, self._curves, self._run_settings = store, curves, run_settings
        self._end = None if minutes is None else time.monotonic() + 60 * minutes

    def measure_clip(self, source: PreparedClip) -> None:
        """Make all points of a clip."""
        for point in plan.anchor_points(self._run_settings.anchors, self._run_settings.threads):
            self._add(point, source)
        for curve in self._curves:
            if curve.is_reference:
                self._reference(curve, source)
            else:
                for point in plan.model_points(curve, source, self._run_settings):
                    self._add(point, source)
        self._extend(source)
        self._match(source)

    def _reference(self, curve: CurveSpec, source: PreparedClip) -> None:
        """Make the points of the reference, each fitted for as long as the other model's point."""
        for index in plan.rate_indices(source, self._run_settings):
            seconds = self._run_settings.reference_seconds or self._seconds(curve, source, index)
            if seconds is None:
                # Without the other model's point the time of the fit is unknown.
                self.missing_points += 1
                continue
            point = plan.reference_point(curve, index, source, self._run_settings, seconds)
            self._add(point, source)

    def _seconds(self, curve: CurveSpec, source: PreparedClip, index: int) -> float | None:
        """Return the time of the first other model at the same preset, clip and rate."""
        others = (
            other.series
            for other in self._curves
            if not other.is_reference and other.preset == curve.preset
        )
        series = next(others, None)
        for row in self.rows:
            if (row["clip"], row["series"], row["rate"]) == (source.clip.name, series, index):
                return float(row["encode_seconds"])
        return None

    def _extend(self, source: PreparedClip) -> None:
        """Add points of the anchors until their quality spans that of the networks."""
        rows_of_clip = [row for row in self.rows if row["clip"] == source.clip.name]
        networks = [row for row in rows_of_clip if not is_anchor(row["series"])]
        for name in ENCODERS:
            ladder = [row for row in rows_of_clip if row["series"] == name]
            while ladder and (crf := plan.next_rate_factor(name, ladder, networks)) is not None:
                row = self._add(plan.anchor_point(name, crf, self._run_settings.threads), source)
                if row is None:
                    break
                ladder.append(row)

    def _match(self, source: PreparedClip) -> None:
        """Make the viewer's point: an anchor at the bytes of a network's file."""
        for row in self.rows:
            shown = row["clip"] == source.clip.name and row["rate"] == plan.VIEWER_RATE
            if shown and row["kind"] == "model":
                point = plan.equal_point(plan.VIEWER_ANCHOR, row, self._run_settings.threads)
                anchor = self._get(point, source)
                if anchor is not None:
                    self.equal_bytes += [row, anchor]
                return

    def _add(self, point: CurvePoint, source: PreparedClip) -> Row | None:
        """Make a point and add it to its curve; return None if it fails or there is no time for it."""
        row = self._get(point, source)
        if row is not None:
            self.rows.append(row)
        return row

    def _get(self, point: CurvePoint, source: PreparedClip) -> Row | None:
        """Return a point from the store, or make it; None if it fails or there is no time for it."""
        row = self._store.find(point, source)
        if row is not None:
            return row
        if self._end is not None and time.monotonic() >= self._end:
            self.missing_points += 1
            return None
        label = f"{source.clip.name} {point.series} {_aim(point)}"
        try:
            row = self._store.make(point, source)
        except PointError as error:
            self.failures.append(f"{label}: {error}")
            print(f"FAILED {self.failures[-1]}", flush=True)
            return None
        print(
            f"{label}: {row['bytes']} bytes, Y {row['psnr_y']:.2f} dB, {row['wall_seconds']:.1f} s",
            flush=True,
        )
        return row


def _aim(point: CurvePoint) -> str:
    names = ("crf", "bytes", "bpp", "parameters")
    return ", ".join(f"{name} {point.settings[name]:g}" for name in names if name in point.settings)
