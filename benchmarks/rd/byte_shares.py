"""What the bytes of `latentgrid` files hold: motion, latents, networks; anchors and other frames.

The files are those that `benchmarks.rd` stored, which its results name.

    python -m benchmarks.rd.byte_shares benchmarks/results/rate_distortion_broad.json
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.harness import record
from benchmarks.rd.versions import FAST
from nvcodec.container.reader import Reader
from nvcodec.entropy.latents.decoder import LatentGridReader
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.reconstruction.payload import split_payload

_KINDS = ("motion", "latents of anchors", "latents between", "networks", "rest")


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("byte_shares", __doc__)
    parser.add_argument("results", type=Path, help="results of `benchmarks.rd`, JSON")
    parser.add_argument("--rates", type=int, nargs="+", default=[0, 1], help="indices of rates")
    parser.add_argument(
        "--work", type=Path, default=record.FILES / "rd", help="folder of the stored points"
    )
    options = parser.parse_args(argv)
    measured = json.loads(options.results.read_text())
    halves = {clip["name"]: clip["half"] for clip in measured["results"]["clips"]}
    files: list[dict[str, Any]] = []
    for row in measured["results"]["points"]:
        if row["series"].startswith("latentgrid") and row["rate"] in options.rates:
            sizes = byte_shares(options.work / "points" / row["file"])
            names = {name: row[name] for name in ("clip", "series", "rate", "bytes")}
            files.append({**names, "half": halves[row["clip"]], **sizes})
    if not files:
        raise SystemExit("no file of latentgrid at these rates")
    results = {"measured": measured["commit"], "files": files}
    record.write(options.out, results, {"shares": _table(files)})


def byte_shares(path: Path) -> dict[str, int]:
    """Return the bytes of each kind in a file.

    Args:
        path: A file of `latentgrid`.
    """
    sizes = dict.fromkeys(_KINDS, 0)
    with Reader(path) as reader:
        for number in range(len(reader.segments)):
            config, body = split_payload(reader.segment(number), reader.header)
            assert isinstance(config, LatentGridConfig)
            layers, size = config.temporal_layers, config.grid_size
            latents = LatentGridReader(
                body, config.layouts, config.frames, layers, size, config.cell
            )
            _, networks, *messages = latents.sizes
            sizes["networks"] += networks
            sizes["motion"] += sum(messages[::2])
            sizes["latents of anchors"] += messages[1]
            sizes["latents between"] += sum(messages[3::2])
    sizes["rest"] = path.stat().st_size - sum(sizes.values())
    return sizes


def _table(files: Sequence[dict[str, Any]]) -> record.ResultTable:
    rows = []
    for half in dict.fromkeys(file["half"] for file in files):
        for name, fast in (("fast clips", True), ("other clips", False)):
            chosen = [
                file for file in files if file["half"] == half and (file["clip"] in FAST) == fast
            ]
            if not chosen:
                continue
            shares = [[100 * file[kind] / file["bytes"] for file in chosen] for kind in _KINDS]
            motion = f"{min(shares[0]):.0f} to {max(shares[0]):.0f}"
            means = (f"{fmean(share):.0f}" for share in shares)
            rows.append((f"{half}, {name}", *means, motion))
    note = "Mean share of the bytes of a file in per cent, at the lower rates."
    return record.ResultTable(("clips", *_KINDS, "motion, range"), tuple(rows), note)


if __name__ == "__main__":
    main()
