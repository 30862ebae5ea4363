"""The store of points: encodes, measures, and keeps a JSON file beside each encoded file.

A point is encoded by the command line that a user would type, in a process of its own; its file is
then decoded and measured by another process.
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
from benchmarks.rd.points import CurvePoint, Row
from benchmarks.rd.prepared_clips import PreparedClip

_MEASURED = ("psnr_y", "psnr_u", "psnr_v", "psnr_yuv", "psnr_rgb", "ms_ssim", "decode_seconds")
_REPORTED = ("parameters", "macs_per_pixel", "epochs", "device", "segments", "crf", "stream_bytes")
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of linux/prctl.h.


class PointError(Exception):
    """A point could not be made; the message has the last line of the program's errors."""


class PointStore:
    """A folder of points: `<key>-<program>.json` and the encoded file that it describes.

    Args:
        folder: The folder; it is created if it does not exist.
        stale: Accept points that another version of the program made.
    """

    def __init__(self, folder: Path, *, stale: bool = False) -> None:
        self.folder = folder
        self._stale = stale
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder, since two runs would spoil each other's times; remove partial files.

        Raises:
            SystemExit: If another run has locked the folder.
        """
        with (self.folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SystemExit(f"another run is using {self.folder}") from error
            for leftover in self.folder.glob("*unfinished-*"):
                leftover.unlink()
            yield

    def find(self, point: CurvePoint, source: PreparedClip) -> Row | None:
        """Return the row of a point, or None if it was not made yet."""
        key = point.key(source)
        exact = self.folder / f"{key}-{point.program()}.json"
        others: Iterable[Path] = self.folder.glob(f"{key}-*.json") if self._stale else ()
        newest = sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)
        for path in (exact, *newest):
            if path.is_file():
                row: Row = json.loads(path.read_text())
                # One encode may be part of several suites and curves.
                return {**row, **_labels(point, source), "stale": path != exact}
        return None

    def adopt(self, results: Mapping[str, Any], sources: Iterable[PreparedClip]) -> int:
        """Take over the anchors of another run's results; their files are not needed.

        They keep the program that made them, and their times are those of that run's machine.

        Args:
            results: The `results` of the run's JSON file.
            sources: Clips; anchors of other clips, or of other samples, are left out.

        Returns:
            Number of anchors that were taken over.
        """
        planes = {clip["name"]: clip["planes"] for clip in results["clips"]}
        sources_by_name = {source.clip.name: source for source in sources}
        count = 0
        for row in results["points"]:
            source = sources_by_name.get(row["clip"])
            if row["kind"] != "anchor" or source is None or planes[row["clip"]] != source.planes:
                continue
            point = CurvePoint(series=row["series"], kind=row["kind"], settings=row["settings"])
            path = self.folder / f"{point.key(source)}-{row['program']}.json"
            if not path.exists():
                path.write_text(json.dumps(row, indent=1) + "\n")
                count += 1
        return count

    def file(self, row: Row) -> Path:
        """Return the path of the encoded file of a row."""
        return self.folder / str(row["file"])

    def make(self, point: CurvePoint, source: PreparedClip) -> Row:
        """Encode, measure and store a point.

        Args:
            point: The point.
            source: The clip.

        Returns:
            The row of the point.

        Raises:
            PointError: If one of the processes fails, frames are missing from the file, or the
                program changed while it ran.
        """
        threads = int(point.settings["threads"] or 1)
        program = point.program()
        stem = f"{point.key(source)}-{program}"
        # The name has the process's number: a run that was killed may have left a file.
        target = self.folder / f"unfinished-{os.getpid()}{point.suffix}"
        try:
            begin = time.monotonic()
            encoded = _run(point.command(source.path, target), threads)
            wall_seconds = time.monotonic() - begin
            compare = [sys.executable, "-m", "nvcodec", "compare", "--json"]
            # Only networks decode faster with more threads; metrics may be slower with them.
            decoding_threads = 1 if point.kind == "anchor" else threads
            measured = _run([*compare, str(source.path), str(target)], decoding_threads)
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
                **{name: measured[name] for name in _MEASURED},
                **{name: encoded[name] for name in _REPORTED if encoded.get(name) is not None},
                "encode_seconds": encoded.get("encode_seconds", encoded.get("seconds")),
                "wall_seconds": wall_seconds,
                "program": program,
                "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "file": f"{stem}{point.suffix}",
            }
            if point.kind == "anchor":
                encoder = ENCODERS[str(point.settings["encoder"])]
                row["version"] = version(encoder.codec)
            target.replace(self.folder / row["file"])
        finally:
            for leftover in self.folder.glob(f"*{target.stem}*"):
                leftover.unlink()
        # The row is written last and renamed, so that its encoded file exists whenever it does.
        partial = self.folder / f"{stem}.json.partial"
        partial.write_text(json.dumps(row, indent=1) + "\n")
        partial.replace(self.folder / f"{stem}.json")
        return {**row, "stale": False}


def _labels(point: CurvePoint, source: PreparedClip) -> Row:
    return {"clip": source.clip.name, "series": point.series, "rate": point.rate}


def _run(command: Sequence[str], threads: int) -> dict[str, Any]:
    """Run a command and return the JSON object on its last line.

    Args:
        command: Command line.
        threads: Threads of its libraries.

    Raises:
        PointError: If the command fails or prints no JSON.
    """
    number = str(threads)
    environment = {**os.environ, "OMP_NUM_THREADS": number, "MKL_NUM_THREADS": number}
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
        # Safe here, since this process has one thread.
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
    )
    try:
        out, errors = process.communicate()
    except BaseException:
        # An interrupted run must not leave an encode behind, which would disturb the next run.
        process.terminate()
        process.communicate()
        raise
    if process.returncode:
        lines = errors.strip().splitlines() or [f"exit status {process.returncode}"]
        raise PointError(f"{' '.join(command[2:5])} ...: {lines[-1]}")
    try:
        report: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise PointError(f"{' '.join(command[2:5])} ...: expected JSON, got {out!r}") from error
    return report


def _die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends, even if that is killed."""
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM)
