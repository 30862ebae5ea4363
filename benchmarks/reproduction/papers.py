"""The published networks on Big Buck Bunny: what papers report, and what nvcodec's fits reach.

By default a scaled table that a CPU can make: 320x160, half the frames, small networks, all for the
same few epochs. No paper has such figures; what must agree is the order of the networks. With
`--full` the papers' own settings, 132 frames and 300 epochs, which take a GPU.

RGB, each family by its authors' recipe, the encoder of HNeRV in use throughout. The figure that
compares with papers is the PSNR of the float network; what the file holds after the quantised
stage, which the papers do not have, is shown beside it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from torch import Tensor

from benchmarks.harness import record
from benchmarks.harness.clips import BUNNY_CROP, BUNNY_WHOLE, bunny
from benchmarks.harness.fit_to_file import decoded_psnr, file_model, fit_to_file, float_psnr
from benchmarks.harness.model_variants import Variant
from benchmarks.reproduction import published_psnr
from nvcodec.config import FitConfig
from nvcodec.device import choose_device

NETWORKS = ("nerv", "nervpp", "hnerv", "nerv+boost", "nervpp+boost", "hnerv+boost")
_SCALED_SIZE, _SCALED_FRAMES, _SCALED_EPOCHS = (320, 160), 66, 40
_SCALED_PARAMETERS = (100_000, 350_000)
# At the papers' settings, but without a figure of theirs.
_UNREPORTED = tuple(
    (Variant("nervpp", boosted), BUNNY_WHOLE, 1_500_000) for boosted in (False, True)
)


class ComputeEnvironment(NamedTuple):
    """What is fitted.

    Attributes:
        variant: The network.
        size: Width and height.
        parameters: Stored values asked for.
    """

    variant: Variant
    size: tuple[int, int]
    parameters: int


def main(argv: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(argv)
    frames = options.frames or (published_psnr.FRAMES if options.full else _SCALED_FRAMES)
    epochs = options.epochs or (published_psnr.EPOCHS if options.full else _SCALED_EPOCHS)
    wanted = list(settings(options))
    if not wanted:
        raise SystemExit("no paper has such a network on this clip; try without --full")
    runs = []
    for size, same in groupby(wanted, key=lambda setting: setting.size):
        samples = bunny(frames, size)
        for setting in same:
            for seed in options.seeds:
                runs.append(_run(setting, samples, epochs, seed, options))
                # After every fit: hours of work should outlive what ends them early.
                _write(options.out, runs)


def _write(path: Path, runs: Sequence[dict[str, Any]]) -> None:
    found = orders(runs)
    results = {
        "runs": runs,
        "orders": found,
        "order_holds": all(order["holds"] for order in found) if found else None,
    }
    record.write(path, results, {"main": _table(runs, found)})


def _parser() -> argparse.ArgumentParser:
    parser = record.parser("reproduce", __doc__)
    parser.add_argument("--full", action="store_true", help="the papers' settings; takes a GPU")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), metavar="NAME[+boost]")
    parser.add_argument("--parameters", type=int, nargs="+", help="instead of all of the table")
    parser.add_argument(
        "--size", type=record.size_argument, default=_SCALED_SIZE, help="WxH of the scaled table"
    )
    parser.add_argument("--frames", type=int, help="instead of the table's")
    parser.add_argument("--epochs", type=int, help="of the float stage, instead of the table's")
    parser.add_argument("--quantised-share", type=float, default=FitConfig().quantised_share)
    parser.add_argument("--compile", action="store_true", help="compile the networks")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    return parser


def settings(options: argparse.Namespace) -> Iterator[ComputeEnvironment]:
    """What is to be fitted: sizes one after the other, of each the networks in the order given."""
    networks = [Variant.parse(name) for name in options.networks]
    if not options.full:
        for parameters in options.parameters or _SCALED_PARAMETERS:
            for variant in networks:
                yield ComputeEnvironment(variant, options.size, parameters)
        return
    known = (*published_psnr.PSNR, *_UNREPORTED)
    for size in (BUNNY_CROP, BUNNY_WHOLE):
        of_size = [ComputeEnvironment(*one) for one in known if one[1] == size]
        for parameters in options.parameters or sorted({one.parameters for one in of_size}):
            for variant in networks:
                if (setting := ComputeEnvironment(variant, size, parameters)) in of_size:
                    yield setting


def _run(
    setting: ComputeEnvironment,
    samples: Tensor,
    epochs: int,
    seed: int,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """A fit, and what came of it."""
    how = FitConfig(
        epochs=epochs,
        encoder_share=1.0,
        quantised_share=options.quantised_share,
        compile_step=options.compile,
    )
    variant, size, asked = setting
    file = record.FILES / f"{options.out.stem}_{variant}_{size[0]}x{size[1]}_{asked}.nvc"
    fitted = fit_to_file(variant, samples, asked, how, file, seed=seed, device=options.device)
    comparable = (len(samples), epochs) == (published_psnr.FRAMES, published_psnr.EPOCHS)
    published = published_psnr.PSNR.get(setting) if comparable else None
    psnr = float_psnr(fitted.floating, samples)
    where = record.machine()
    return {
        "model": variant.model,
        "boosted": variant.boosted,
        "size": size,
        "frames": len(samples),
        "parameters_asked": asked,
        "parameters": fitted.config.parameters,
        "macs_per_pixel": fitted.config.macs_per_pixel,
        "epochs": epochs,
        "seed": seed,
        "device": where["gpu"] if choose_device(options.device).type == "cuda" else where["cpu"],
        "psnr": psnr,
        "published": published,
        "difference": None if published is None else psnr - published,
        "float_seconds": fitted.float_seconds,
        "file_psnr": decoded_psnr(file_model(file), samples, options.device),
        "bytes": file.stat().st_size,
        "seconds": fitted.seconds,
        "recoveries": fitted.fit.recoveries,
        "peak_bytes": fitted.peak_bytes,
    }


def orders(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every published order that the runs can tell of, at every size, and whether it holds.

    Of a network that was fitted with several seeds the mean counts.
    """
    found = []
    for size, asked in dict.fromkeys((run["size"], run["parameters_asked"]) for run in runs):
        fits: dict[Variant, list[float]] = {}
        for run in runs:
            if (run["size"], run["parameters_asked"]) == (size, asked):
                fits.setdefault(Variant(run["model"], run["boosted"]), []).append(run["psnr"])
        psnr = {variant: fmean(values) for variant, values in fits.items()}
        for order in published_psnr.ORDERS:
            holds = published_psnr.agrees(order, psnr)
            if holds is not None:
                found.append(
                    {
                        "size": size,
                        "parameters": asked,
                        "networks": [str(variant) for variant in order],
                        "psnr": [psnr[variant] for variant in order],
                        "holds": holds,
                    }
                )
    return found


def _table(runs: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]) -> record.ResultTable:
    columns = (
        "network", "picture", "stored values", "kMAC/px", "published, dB", "float, dB",
        "difference, dB", "epochs", "s", "file, dB", "bytes", "s in all",
    )  # fmt: skip
    rows = [
        (
            str(Variant(run["model"], run["boosted"])),
            "{}x{}".format(*run["size"]),
            str(run["parameters"]),
            f"{run['macs_per_pixel'] / 1000:.2f}",
            "-" if run["published"] is None else f"{run['published']:.2f}",
            f"{run['psnr']:.2f}",
            "-" if run["difference"] is None else f"{run['difference']:+.2f}",
            str(run["epochs"]),
            f"{run['float_seconds']:.0f}",
            f"{run['file_psnr']:.2f}",
            str(run["bytes"]),
            f"{run['seconds']:.0f}",
        )
        for run in runs
    ]
    note = f"{runs[0]['frames']} frames, {runs[0]['device']}. "
    if any(run["published"] is None for run in runs):
        note += "No figure is published for rows that show none. "
    note += " ".join(
        f"{' < '.join(order['networks'])} at {order['parameters'] / 1e6:g}M: "
        f"{'as published' if order['holds'] else 'NOT as published'} "
        f"({', '.join(f'{value:.2f}' for value in order['psnr'])} dB)."
        for order in found
    )
    return record.ResultTable(columns, tuple(rows), note.strip())


if __name__ == "__main__":
    main()
