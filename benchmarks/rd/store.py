"""Making points and keeping them: an encode, measured on its file, as JSON beside that file.

A point is made by the command line that a user would type, in a process of its own; its file is
then decoded and measured by another.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.harness.anchor_codecs import ENCODERS, version
from benchmarks.harness.record import ROOT
from benchmarks.rd.points import Point, Row
from benchmarks.rd.suites import Prepared

_MEASURES = ("psnr_y", "psnr_u", "psnr_v", "psnr_yuv", "psnr_rgb", "ms_ssim", "decode_seconds")
_MADE = ("parameters", "macs_per_pixel", "epochs", "device", "segments", "crf", "stream_bytes")
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of linux/prctl.h


class PointError(Exception):
    """A point could not be made; the message says what the program said last."""


class Store:
    """Points made before: `<key>-<program>.json` and the file it tells of.

    Args:
        folder: Where they are kept; made if it is not there.
        stale: Accept points that another version of the program made.
    """

    def __init__(self, folder: Path, *, stale: bool = False) -> None:
        self.folder = folder
        self._stale = stale
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other runs away, which would spoil times, and clear what a killed one left.

        Raises:
            SystemExit: If another run is at work here.
        """
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SystemExit(f"another run is at work in {self.folder}") from error
            for left in self.folder.glob("*unfinished-*"):
                left.unlink()
            yield

    def find(self, point: Point, source: Prepared) -> Row | None:
        """The row of a point, if it was made before."""
        key = point.key(source)
        exact = self.folder / f"{key}-{point.program()}.json"
        others: Iterable[Path] = self.folder.glob(f"{key}-*.json") if self._stale else ()
        newest = sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)
        for path in (exact, *newest):
            if path.is_file():
                row: Row = json.loads(path.read_text())
                # The same encode may serve several suites and curves.
                return {**row, **_labels(point, source), "stale": path != exact}
        return None

    def adopt(self, results: Mapping[str, Any], sources: Iterable[Prepared]) -> int:
        """Take over the anchors that another run's results tell of; their files are not needed.

        They count as made by the program that made them. Their times are of that run's machine.

        Args:
            results: What a file of results holds under that name.
            sources: Clips; anchors of others, or of other samples, are left out.

        Returns:
            How many were taken over.
        """
        planes = {clip["name"]: clip["planes"] for clip in results["clips"]}
        known = {source.clip.name: source for source in sources}
        taken = 0
        for row in results["points"]:
            source = known.get(row["clip"])
            if row["kind"] != "anchor" or source is None or planes[row["clip"]] != source.planes:
                continue
            point = Point(series=row["series"], kind=row["kind"], settings=row["settings"])
            kept = self.folder / f"{point.key(source)}-{row['program']}.json"
            if not kept.exists():
                kept.write_text(json.dumps(row, indent=1) + "\n")
                taken += 1
        return taken

    def file(self, row: Row) -> Path:
        """The encoded file of a row."""
        return self.folder / str(row["file"])

    def make(self, point: Point, source: Prepared) -> Row:
        """Encode, measure and keep a point.

        Raises:
            PointError: If one of the processes fails, frames are missing from the file, or the
                program changed while it ran.
        """
        threads = int(point.settings["threads"] or 1)
        program = point.program()
        stem = f"{point.key(source)}-{program}"
        # One name per process: another may be left over from a run that was killed.
        target = self.folder / f"unfinished-{os.getpid()}{point.suffix}"
        try:
            begin = time.monotonic()
            made = _run(point.command(source.path, target), threads)
            wall = time.monotonic() - begin
            compare = [sys.executable, "-m", "nvcodec", "compare", "--json"]
            # Only networks decode faster with more; for metrics more are slower on a busy machine.
            decoding = 1 if point.kind == "anchor" else threads
            measured = _run([*compare, str(source.path), str(target)], decoding)
            if measured["frames"] != source.frames:
                raise PointError(f"{measured['frames']} of {source.frames} frames came back")
            if point.program() != program:
                raise PointError("the program was changed meanwhile; try again")
            size = target.stat().st_size
            row: Row = {
                **_labels(point, source),
                "kind": point.kind,
                "settings": dict(point.settings),
                "frames": source.frames,
                "bytes": size,
                "bpp": 8 * size / source.pixels,
                "kbps": 8 * size * source.fps / source.frames / 1000,
                **{name: measured[name] for name in _MEASURES},
                **{name: made[name] for name in _MADE if made.get(name) is not None},
                "encode_seconds": made.get("encode_seconds", made.get("seconds")),
                "wall_seconds": wall,
                "program": program,
                "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "file": f"{stem}{point.suffix}",
            }
            if point.kind == "anchor":
                encoder = ENCODERS[str(point.settings["encoder"])]
                row["version"] = version(encoder.codec)
            target.replace(self.folder / row["file"])
        finally:
            for left in self.folder.glob(f"*{target.stem}*"):
                left.unlink()
        # The row last, and whole: what it tells of is there whenever it is.
        partial = self.folder / f"{stem}.json.partial"
        partial.write_text(json.dumps(row, indent=1) + "\n")
        partial.replace(self.folder / f"{stem}.json")
        return {**row, "stale": False}


def _labels(point: Point, source: Prepared) -> Row:
    return {"clip": source.clip.name, "series": point.series, "rate": point.rate}


def _run(command: Sequence[str], threads: int) -> dict[str, Any]:
    """Run a command; the JSON object it prints."""
    number = str(threads)
    environment = {**os.environ, "OMP_NUM_THREADS": number, "MKL_NUM_THREADS": number}
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
        # Safe here, where there is but one thread.
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
    )
    try:
        out, said = process.communicate()
    except BaseException:
        # Whoever stops us stops what we started, which must not go on beside the next run.
        process.terminate()
        process.communicate()
        raise
    if process.returncode:
        lines = said.strip().splitlines() or [f"exit status {process.returncode}"]
        raise PointError(f"{' '.join(command[2:5])} ...: {lines[-1]}")
    try:
        found: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise PointError(f"{' '.join(command[2:5])} ...: expected JSON, got {out!r}") from error
    return found


def _die_with_parent() -> None:
    """Ask the kernel to end this process with the one that started it, however that ends."""
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM)
