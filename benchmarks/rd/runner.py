"""Making the points of a run, clip by clip, one at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence

from benchmarks.harness.anchor_codecs import ENCODERS
from benchmarks.rd import plan
from benchmarks.rd.curves import is_anchor
from benchmarks.rd.plan import Effort, Entry
from benchmarks.rd.points import Point, Row
from benchmarks.rd.store import PointError, Store
from benchmarks.rd.suites import Prepared


class Run:
    """Points as they come, and what went wrong.

    Args:
        store: Of points made before.
        entries: The curves of ours; the reference after those whose time it takes.
        effort: What holds for all networks.
        minutes: After these, nothing new is begun; None for no limit.

    Attributes:
        rows: All points.
        equal: What the viewer shows: for each clip a network's point, then an anchor of its bytes.
        failures: What could not be made, in plain words.
        left: How many points there was no time for.
    """

    def __init__(
        self, store: Store, entries: Sequence[Entry], effort: Effort, minutes: float | None
    ) -> None:
        self.rows: list[Row] = []
        self.equal: list[Row] = []
        self.failures: list[str] = []
        self.left = 0
        self._store, self._entries, self._effort = store, entries, effort
        self._end = None if minutes is None else time.monotonic() + 60 * minutes

    def clip(self, source: Prepared) -> None:
        """Everything there is to make of a clip."""
        for point in plan.anchor_points(self._effort.threads):
            self._add(point, source)
        for entry in self._entries:
            if entry.is_reference:
                self._reference(entry, source)
            else:
                for point in plan.model_points(entry, source, self._effort):
                    self._add(point, source)
        self._extend(source)
        self._match(source)

    def _reference(self, entry: Entry, source: Prepared) -> None:
        """The reference, each point fitted for as long as the other model's."""
        for place in plan.places(source, self._effort):
            seconds = self._effort.reference_seconds or self._seconds(entry, source, place)
            if seconds is None:
                # Without the other model's point there is no telling for how long to fit.
                self.left += 1
                continue
            point = plan.reference_point(entry, place, source, self._effort, seconds)
            self._add(point, source)

    def _seconds(self, entry: Entry, source: Prepared, place: int) -> float | None:
        """What the first other model took at the same preset, clip and rate."""
        others = (
            other.series
            for other in self._entries
            if not other.is_reference and other.preset == entry.preset
        )
        series = next(others, None)
        for row in self.rows:
            if (row["clip"], row["series"], row["rate"]) == (source.clip.name, series, place):
                return float(row["encode_seconds"])
        return None

    def _extend(self, source: Prepared) -> None:
        """Go on with the anchors until their quality spans that of the networks."""
        here = [row for row in self.rows if row["clip"] == source.clip.name]
        networks = [row for row in here if not is_anchor(row["series"])]
        for name in ENCODERS:
            ladder = [row for row in here if row["series"] == name]
            while ladder and (crf := plan.further(name, ladder, networks)) is not None:
                row = self._add(plan.anchor_point(name, crf, self._effort.threads), source)
                if row is None:
                    break
                ladder.append(row)

    def _match(self, source: Prepared) -> None:
        """An anchor at the bytes of a network's file, for the viewer."""
        for row in self.rows:
            mine = row["clip"] == source.clip.name and row["rate"] == plan.VIEWER_RATE
            if mine and row["kind"] == "model":
                point = plan.equal_point(plan.VIEWER_ANCHOR, row, self._effort.threads)
                other = self._get(point, source)
                if other is not None:
                    self.equal += [row, other]
                return

    def _add(self, point: Point, source: Prepared) -> Row | None:
        """A point of a curve; None if it fails or there is no time for it."""
        row = self._get(point, source)
        if row is not None:
            self.rows.append(row)
        return row

    def _get(self, point: Point, source: Prepared) -> Row | None:
        """A point, made before or now."""
        row = self._store.find(point, source)
        if row is not None:
            return row
        if self._end is not None and time.monotonic() >= self._end:
            self.left += 1
            return None
        what = f"{source.clip.name} {point.series} {_aim(point)}"
        try:
            row = self._store.make(point, source)
        except PointError as error:
            self.failures.append(f"{what}: {error}")
            print(f"FAILED {self.failures[-1]}", flush=True)
            return None
        print(
            f"{what}: {row['bytes']} bytes, Y {row['psnr_y']:.2f} dB, {row['wall_seconds']:.1f} s",
            flush=True,
        )
        return row


def _aim(point: Point) -> str:
    names = ("crf", "bytes", "bpp", "parameters")
    return ", ".join(f"{name} {point.settings[name]:g}" for name in names if name in point.settings)
