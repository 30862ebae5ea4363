"""PSNR of the published networks on Big Buck Bunny: as reported, and as reached by nvcodec's fits.

By default the table is scaled down for a CPU: 320x160, half the frames, small networks, all fitted
for the same few epochs. No paper has such figures; the order of the networks has to agree. With
`--full` the settings are the papers' own, 132 frames and 300 epochs, which take a GPU.

Fits are in RGB, each family by its authors' recipe, with HNeRV's encoder in use throughout. The
figure that compares with the papers is the PSNR of the float network; that of the file after the
quantised stage, which the papers do not have, is shown beside it.
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
from benchmarks.harness.fit_to_file import file_model, fit_to_file
from benchmarks.harness.model_variants import Variant
from benchmarks.harness.network_psnr import decoded_psnr, float_psnr
from benchmarks.reproduction import published_psnr
from nvcodec.config import FitConfig
from nvcodec.device import choose_device

NETWORKS = ("nerv", "nervpp", "hnerv", "nerv+boost", "nervpp+boost", "hnerv+boost")
_SCALED_SIZE, _SCALED_FRAMES, _SCALED_EPOCHS = (320, 160), 66, 40
_SCALED_PARAMETERS = (100_000, 350_000)
# Networks that are fitted at the papers' settings, but have no published figure.
_UNREPORTED = tuple(
    (Variant("nervpp", boosted), BUNNY_WHOLE, 1_500_000) for boosted in (False, True)
)


class ReproductionSetting(NamedTuple):
    """A network to fit, and the pictures.

    Attributes:
        variant: The network.
        size: Width and height of the pictures.
        parameters: Target number of stored values.
    """

    variant: Variant
    size: tuple[int, int]
    parameters: int


def main(argv: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(argv)
    frames = options.frames or (published_psnr.FRAMES if options.full else _SCALED_FRAMES)
    epochs = options.epochs or (published_psnr.EPOCHS if options.full else _SCALED_EPOCHS)
    chosen_settings = list(settings(options))
    if not chosen_settings:
        raise SystemExit("no paper has such a network on this clip; try without --full")
    runs = []
    for size, settings_of_size in groupby(chosen_settings, key=lambda setting: setting.size):
        samples = bunny(frames, size)
        for setting in settings_of_size:
            for seed in options.seeds:
                runs.append(_run(setting, samples, epochs, seed, options))
                # Written after every fit, so that an interruption does not lose hours of work.
                _write(options.out, runs)


def _write(path: Path, runs: Sequence[dict[str, Any]]) -> None:
    """Write the runs so far, with their table."""
    order_results = orders(runs)
    results = {
        "runs": runs,
        "orders": order_results,
        "order_holds": all(order["holds"] for order in order_results) if order_results else None,
    }
    record.write(path, results, {"main": _table(runs, order_results)})


def _parser() -> argparse.ArgumentParser:
    parser = record.parser("reproduce", __doc__)
    parser.add_argument("--full", action="store_true", help="use the papers' settings, on a GPU")
    parser.add_argument(
        "--networks",
        nargs="+",
        default=list(NETWORKS),
        metavar="NAME[+boost]",
        help="networks to fit",
    )
    parser.add_argument(
        "--parameters", type=int, nargs="+", help="numbers of stored values instead of the table's"
    )
    parser.add_argument(
        "--size",
        type=record.size_argument,
        default=_SCALED_SIZE,
        metavar="WxH",
        help="frame size of the scaled table",
    )
    parser.add_argument("--frames", type=int, help="number of frames instead of the table's")
    parser.add_argument("--epochs", type=int, help="epochs of the float stage, not the table's")
    parser.add_argument(
        "--quantised-share",
        type=float,
        default=FitConfig().quantised_share,
        help="epochs of the quantised stage as a share of those of the float stage",
    )
    parser.add_argument("--compile", action="store_true", help="compile the networks")
    parser.add_argument("--device", default="auto", help="device to fit on")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of the fits")
    return parser


def settings(options: argparse.Namespace) -> Iterator[ReproductionSetting]:
    """Yield the settings to fit, size by size, with the networks in the given order.

    Args:
        options: Options of the command line.
    """
    networks = [Variant.parse(name) for name in options.networks]
    if not options.full:
        for parameters in options.parameters or _SCALED_PARAMETERS:
            for variant in networks:
                yield ReproductionSetting(variant, options.size, parameters)
        return
    settings_of_papers = (*published_psnr.PSNR, *_UNREPORTED)
    for size in (BUNNY_CROP, BUNNY_WHOLE):
        of_size = [ReproductionSetting(*row) for row in settings_of_papers if row[1] == size]
        for parameters in options.parameters or sorted({row.parameters for row in of_size}):
            for variant in networks:
                if (setting := ReproductionSetting(variant, size, parameters)) in of_size:
                    yield setting


def _run(
    setting: ReproductionSetting,
    samples: Tensor,
    epochs: int,
    seed: int,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Fit a network and return the row of its results.

    Args:
        setting: The network.
        samples: Pictures, uint8, shape (T, 3, H, W).
        epochs: Epochs of the float stage.
        seed: Seed of the fit.
        options: Options of the command line.
    """
    fit_config = FitConfig(
        epochs=epochs,
        encoder_share=1.0,
        quantised_share=options.quantised_share,
        compile_step=options.compile,
    )
    variant, size, target_parameters = setting
    file = (
        record.FILES / f"{options.out.stem}_{variant}_{size[0]}x{size[1]}_{target_parameters}.nvc"
    )
    fitted = fit_to_file(
        variant, samples, target_parameters, fit_config, file, seed=seed, device=options.device
    )
    comparable = (len(samples), epochs) == (published_psnr.FRAMES, published_psnr.EPOCHS)
    published = published_psnr.PSNR.get(setting) if comparable else None
    psnr = float_psnr(fitted.floating, samples)
    machine = record.machine()
    return {
        "model": variant.model,
        "boosted": variant.boosted,
        "size": size,
        "frames": len(samples),
        "parameters_asked": target_parameters,
        "parameters": fitted.config.parameters,
        "macs_per_pixel": fitted.config.macs_per_pixel,
        "epochs": epochs,
        "seed": seed,
        "device": machine["gpu"]
        if choose_device(options.device).type == "cuda"
        else machine["cpu"],
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
    """Return every published order whose networks were fitted, at every size, and whether it holds.

    For a network that was fitted with several seeds the mean counts.

    Args:
        runs: Rows of the results.
    """
    order_results = []
    for size, target_parameters in dict.fromkeys(
        (run["size"], run["parameters_asked"]) for run in runs
    ):
        fits: dict[Variant, list[float]] = {}
        for run in runs:
            if (run["size"], run["parameters_asked"]) == (size, target_parameters):
                fits.setdefault(Variant(run["model"], run["boosted"]), []).append(run["psnr"])
        psnr = {variant: fmean(values) for variant, values in fits.items()}
        for order in published_psnr.ORDERS:
            holds = published_psnr.agrees(order, psnr)
            if holds is not None:
                order_results.append(
                    {
                        "size": size,
                        "parameters": target_parameters,
                        "networks": [str(variant) for variant in order],
                        "psnr": [psnr[variant] for variant in order],
                        "holds": holds,
                    }
                )
    return order_results


def _table(
    runs: Sequence[dict[str, Any]], order_results: Sequence[dict[str, Any]]
) -> record.ResultTable:
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
        for order in order_results
    )
    return record.ResultTable(columns, tuple(rows), note.strip())


if __name__ == "__main__":
    main()
