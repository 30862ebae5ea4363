"""Cost of quantisation: HNeRV on Big Buck Bunny as floats, as a file, and the published way.

The same float network is measured three times: as it is; after nvcodec's quantised stage, decoded
from the file; and quantised as its authors do it, without further fitting, with the size of an
ideal entropy coder instead of a file, which is in its favour.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.harness import record
from benchmarks.harness.clips import bunny
from benchmarks.harness.fit_to_file import copied, file_model, fit_to_file
from benchmarks.harness.model_variants import Variant
from benchmarks.harness.network_psnr import decoded_psnr, float_psnr
from benchmarks.reproduction.hnerv_quantisation import (
    EMBEDDING_BITS,
    WEIGHT_BITS,
    entropy_bits,
    quantise,
)
from nvcodec.config import FitConfig

TARGET_BITS, TARGET_LOSS = 5.0, 0.2


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("quantisation", __doc__)
    parser.add_argument(
        "--size", type=record.size_argument, default=(320, 160), metavar="WxH", help="frame size"
    )
    parser.add_argument("--frames", type=int, default=132, help="frames of the clip")
    parser.add_argument("--parameters", type=int, default=110_000, help="stored values")
    parser.add_argument("--epochs", type=int, default=120, help="epochs of the float stage")
    parser.add_argument(
        "--encoder-share",
        type=float,
        default=FitConfig().encoder_share,
        help="share of these in which the encoder is in use",
    )
    parser.add_argument(
        "--quantised-share",
        type=float,
        default=FitConfig().quantised_share,
        help="epochs of the quantised stage as a share of those of the float stage",
    )
    parser.add_argument(
        "--rate-weight", type=float, default=FitConfig().rate_weight, help="weight of bits"
    )
    parser.add_argument("--device", default="auto", help="device to fit on")
    parser.add_argument("--seed", type=int, default=0, help="seed of the fit")
    options = parser.parse_args(argv)

    samples = bunny(options.frames, options.size)
    how = FitConfig(
        epochs=options.epochs,
        encoder_share=options.encoder_share,
        quantised_share=options.quantised_share,
        rate_weight=options.rate_weight,
    )
    file = record.FILES / f"{options.out.stem}.nvc"
    fitted = fit_to_file(
        Variant("hnerv"),
        samples,
        options.parameters,
        how,
        file,
        seed=options.seed,
        device=options.device,
    )
    parameters = fitted.config.parameters
    before = float_psnr(fitted.floating, samples)
    after = decoded_psnr(file_model(file), samples, options.device)
    file_bits = 8 * file.stat().st_size

    reference = copied(fitted.floating)
    tensors = reference.transmitted()
    quantised_tensors = [quantise(weight, WEIGHT_BITS) for weight in tensors[:-1]]
    quantised_tensors.append(quantise(tensors[-1], EMBEDDING_BITS))
    reference.load([tensor.values for tensor in quantised_tensors])
    published = float_psnr(reference, samples)
    published_bits = entropy_bits(quantised_tensors)

    results = {
        "size": options.size,
        "frames": len(samples),
        "parameters": parameters,
        "epochs": fitted.fit.epochs,
        "seconds": fitted.seconds,
        "recoveries": fitted.fit.recoveries,
        "float_psnr_rgb": before,
        "file_psnr_rgb": after,
        "loss": before - after,
        "bytes": file.stat().st_size,
        "bits_per_parameter": file_bits / parameters,
        "estimate_over_file": fitted.fit.bits / file_bits,
        "published_psnr_rgb": published,
        "published_loss": before - published,
        "published_bits_per_parameter": published_bits / parameters,
        "targets": {"bits_per_parameter": TARGET_BITS, "loss": TARGET_LOSS},
    }
    table = record.ResultTable(
        ("network", "bits per parameter", "PSNR RGB, dB", "change, dB", "bytes"),
        (
            ("float32", "32", f"{before:.2f}", "", f"{4 * parameters}"),
            (
                "nvcodec, decoded from its file",
                f"{file_bits / parameters:.2f}",
                f"{after:.2f}",
                f"{after - before:+.2f}",
                f"{file.stat().st_size}",
            ),
            (
                f"published way, {WEIGHT_BITS} and {EMBEDDING_BITS} bits, ideal entropy",
                f"{published_bits / parameters:.2f}",
                f"{published:.2f}",
                f"{published - before:+.2f}",
                f"{published_bits / 8:.0f}",
            ),
        ),
        f"Target: at most {TARGET_BITS:g} bits within {TARGET_LOSS:g} dB. Estimated size over "
        f"file size {fitted.fit.bits / file_bits:.4f}. {options.epochs} epochs as floats, "
        f"{fitted.fit.epochs - options.epochs} quantised, {fitted.seconds:.0f} s.",
    )
    record.write(options.out, results, {"main": table})


if __name__ == "__main__":
    main()
