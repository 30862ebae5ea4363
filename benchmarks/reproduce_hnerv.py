"""HNeRV's Bunny recipe, beside the published figures.

The centre 1280x640 of Big Buck Bunny, 132 frames, RGB, squared error, Adam at 1e-3 with 10 % warm-up
and a half cosine, two frames per step, 300 epochs, the encoder in use throughout. The figure that
compares with the paper is the PSNR of the float network; what the file holds after the quantised
stage, which the paper does not have, is shown beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import record
from benchmarks.clips import BUNNY_CROP, bunny
from benchmarks.fitted import decoded_psnr, file_model, fit_hnerv, float_psnr
from benchmarks.published import BUNNY_EPOCHS, BUNNY_FRAMES, BUNNY_PSNR
from nvcodec.config import FitConfig


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("reproduce_hnerv", __doc__)
    parser.add_argument("--size", type=record.size_argument, default=BUNNY_CROP, help="WxH")
    parser.add_argument("--frames", type=int, default=BUNNY_FRAMES)
    parser.add_argument("--parameters", type=int, nargs="+", default=list(BUNNY_PSNR))
    parser.add_argument("--epochs", type=int, default=BUNNY_EPOCHS, help="of the float stage")
    parser.add_argument("--quantised-share", type=float, default=FitConfig().quantised_share)
    parser.add_argument("--compile", action="store_true", help="compile the network")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)

    samples = bunny(options.frames, options.size)
    how = FitConfig(
        epochs=options.epochs,
        encoder_share=1.0,
        quantised_share=options.quantised_share,
        compile_step=options.compile,
    )
    comparable = (
        options.size == BUNNY_CROP
        and len(samples) == BUNNY_FRAMES
        and options.epochs == BUNNY_EPOCHS
    )
    runs = []
    rows = []
    for parameters in options.parameters:
        file = record.FILES / f"{options.out.stem}_{parameters}.nvc"
        fitted = fit_hnerv(samples, parameters, how, file, seed=options.seed, device=options.device)
        published = BUNNY_PSNR.get(parameters) if comparable else None
        psnr = float_psnr(fitted.floating, samples)
        decoded = decoded_psnr(file_model(file), samples, options.device)
        size = file.stat().st_size
        runs.append(
            {
                "parameters": parameters,
                "stored_values": fitted.config.parameters,
                "widths": fitted.config.widths,
                "macs_per_pixel": fitted.config.macs_per_pixel,
                "published_psnr_rgb": published,
                "float_psnr_rgb": psnr,
                "file_psnr_rgb": decoded,
                "bytes": size,
                "bpp": 8 * size / samples[:, 0].numel(),
                "float_seconds": fitted.float_seconds,
                "seconds": fitted.seconds,
                "recoveries": fitted.fit.recoveries,
                "peak_bytes": fitted.peak_bytes,
            }
        )
        rows.append(
            (
                f"{parameters / 1e6:g}M",
                f"{published:.2f}" if published else "-",
                f"{psnr:.2f}",
                f"{fitted.float_seconds:.0f}",
                f"{decoded:.2f}",
                f"{size}",
                f"{fitted.seconds:.0f}",
            )
        )
    where = record.machine()
    width, height = options.size
    results = {
        "size": options.size,
        "frames": len(samples),
        "epochs": options.epochs,
        "comparable": comparable,
        "runs": runs,
    }
    note = (
        f"{width}x{height}, {len(samples)} frames, {options.epochs} epochs, "
        f"{where['gpu'] if options.device != 'cpu' and where['gpu'] else where['cpu']}."
    )
    if not comparable:
        note += (
            f" Not the published setting ({BUNNY_CROP[0]}x{BUNNY_CROP[1]}, {BUNNY_FRAMES} frames, "
            f"{BUNNY_EPOCHS} epochs), so no published figure applies."
        )
    columns = ("parameters", "published, dB", "float, dB", "s", "file, dB", "bytes", "s in all")
    record.write(options.out, results, {"main": record.Table(columns, tuple(rows), note)})


if __name__ == "__main__":
    main()
