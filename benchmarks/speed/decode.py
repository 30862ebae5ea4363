"""Frames per second of decoding HNeRV, against eager fp32 NCHW and against bare matrix products.

Both decoders have the same weights and go from embeddings to 8-bit RGB. The floor is the time in
which the machine does as many multiply-accumulates in 2048x2048 bfloat16 matrix products, the best
case for its hardware, measured in the same rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor

from benchmarks.harness import record
from benchmarks.harness.eager_hnerv import EagerDecoder
from nvcodec.device import choose_device, working_type
from nvcodec.media import ColourMode
from nvcodec.models import build
from nvcodec.models.base.video_model import VideoModel
from nvcodec.models.hnerv.config import HNeRVConfig
from nvcodec.models.stacks.inference import Synthesis

TARGET_EAGER, TARGET_FLOOR = 4.0, 2.5
_SIDE = 2048  # Side of the matrices of the floor.


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("decode_speed", __doc__)
    parser.add_argument(
        "--parameters", type=int, default=1_500_000, help="parameters of the network"
    )
    parser.add_argument(
        "--size", type=record.size_argument, default=(1280, 640), metavar="WxH", help="frame size"
    )
    parser.add_argument("--frames", type=int, default=8, help="frames decoded per round")
    parser.add_argument("--batch", type=int, default=4, help="frames at a time, in the second row")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each decoder")
    parser.add_argument("--device", default="cpu", help="device to decode on")
    options = parser.parse_args(argv)

    device = choose_device(options.device)
    config = HNeRVConfig.from_budget(
        options.parameters, size=options.size[::-1], frames=132, colour=ColourMode.RGB
    )
    torch.manual_seed(0)
    model = build("hnerv", config)
    with torch.no_grad():
        model.latents["embedding"].normal_()
    model = model.to(device).eval().requires_grad_(False)
    eager = EagerDecoder(config).to(device).eval()
    eager.load(model.transmitted()[:-1])
    dtype = working_type(device)
    nvcodec_levels = Synthesis(model, dtype).levels
    eager_levels = _eager_decoder(model, eager)

    largest, share_within_one = _difference(nvcodec_levels, eager_levels)
    macs = config.macs_per_pixel * prod(config.size)
    measures = {
        "nvcodec": lambda: _seconds(nvcodec_levels, options.frames, 1, device),
        "eager": lambda: _seconds(eager_levels, options.frames, 1, device),
        "nvcodec, batched": lambda: _seconds(nvcodec_levels, options.frames, options.batch, device),
        "eager, batched": lambda: _seconds(eager_levels, options.frames, options.batch, device),
        "floor": lambda: macs * _seconds_per_mac(device),
    }
    for measure in measures.values():  # Warm up.
        measure()  # type: ignore[no-untyped-call]
    measured = record.alternate(measures, options.rounds)

    suffixes = {"one by one": "", f"{options.batch} at a time": ", batched"}
    rows = []
    results: dict[str, object] = {
        "parameters": config.parameters,
        "size": options.size,
        "macs_per_pixel": config.macs_per_pixel,
        "type": str(dtype).removeprefix("torch."),
        "largest_difference": largest,
        "within_one_level": share_within_one,
        "floor_seconds": record.Spread.of(measured["floor"]),
        "tera_macs_per_second": macs / record.Spread.of(measured["floor"]).median / 1e12,
        "targets": {"speedup": TARGET_EAGER, "over_floor": TARGET_FLOOR},
    }
    for label, suffix in suffixes.items():
        nvcodec_seconds, eager_seconds = measured["nvcodec" + suffix], measured["eager" + suffix]
        speedup = record.ratios(eager_seconds, nvcodec_seconds)
        over_floor = record.ratios(nvcodec_seconds, measured["floor"])
        results["sequential" if not suffix else "batched"] = {
            "batch": options.batch if suffix else 1,
            "speedup": speedup,
            "over_floor": over_floor,
            "seconds_per_frame": {
                "nvcodec": record.Spread.of(nvcodec_seconds),
                "eager": record.Spread.of(eager_seconds),
            },
        }
        rows.append(
            (
                label,
                f"{speedup:.2f}",
                f"{over_floor:.2f}",
                f"{1 / record.Spread.of(nvcodec_seconds).median:.2f}",
                f"{1 / record.Spread.of(eager_seconds).median:.2f}",
            )
        )
    table = record.ResultTable(
        ("frames", "times the speed of eager", "time over floor", "nvcodec frames/s", "eager"),
        tuple(rows),
        f"Median (lowest-highest) of {options.rounds} rounds; targets: at least {TARGET_EAGER:g} "
        f"and at most {TARGET_FLOOR:g}. Weights are random; the two differ by {largest} levels of 255 at most, "
        f"and by one or none on {100 * share_within_one:.3f} % of samples.",
    )
    record.write(options.out, results, {"main": table})


def _eager_decoder(model: VideoModel, eager: EagerDecoder) -> Callable[[Tensor], Tensor]:
    """Return a function that decodes frames to 8-bit RGB in plain torch."""

    @torch.inference_mode()
    def decode(index: Tensor) -> Tensor:
        frames: Tensor = eager(model.embed(index))
        return (frames * 255).round_().clamp_(0, 255).to(torch.uint8)

    return decode


def _difference(
    nvcodec_levels: Callable[[Tensor], Tensor], eager_levels: Callable[[Tensor], Tensor]
) -> tuple[int, float]:
    """Return the largest difference in 8-bit levels, and the share of samples within one level."""
    index = torch.zeros(1, dtype=torch.int64)
    difference = (nvcodec_levels(index).int() - eager_levels(index).int()).abs()
    return int(difference.max()), float((difference <= 1).float().mean())


def _seconds(
    decode: Callable[[Tensor], Tensor], frames: int, batch: int, device: torch.device
) -> float:
    """Return the seconds per frame of decoding frames in batches."""
    begin = time.perf_counter()
    for start in range(0, frames, batch):
        decode(torch.arange(start, min(start + batch, frames)))
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - begin) / frames


def _seconds_per_mac(device: torch.device, products: int = 8) -> float:
    """Return the seconds per multiply-accumulate of large bfloat16 matrix products."""
    a, b = (torch.randn(_SIDE, _SIDE, device=device).to(torch.bfloat16) for _ in range(2))
    torch.mm(a, b)
    if device.type == "cuda":
        torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(products):
        torch.mm(a, b)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - begin) / (products * _SIDE**3)


if __name__ == "__main__":
    main()
