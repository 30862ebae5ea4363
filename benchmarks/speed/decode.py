"""Frames per second of decoding HNeRV, against eager fp32 NCHW and against bare matrix products.

The same weights on both sides, from embeddings to 8-bit RGB. The floor is the time in which the
machine does as many multiply-accumulates as 2048x2048 bfloat16 matrix products, the best case for
its hardware, measured in the same rounds.
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
_SIDE = 2048


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("decode_speed", __doc__)
    parser.add_argument("--parameters", type=int, default=1_500_000, help="of the network")
    parser.add_argument("--size", type=record.size_argument, default=(1280, 640), help="WxH")
    parser.add_argument("--frames", type=int, default=8, help="decoded per round")
    parser.add_argument("--batch", type=int, default=4, help="frames at a time, in the second row")
    parser.add_argument("--rounds", type=int, default=5, help="of each side")
    parser.add_argument("--device", default="cpu")
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
    fast = Synthesis(model, dtype).levels
    plain = _plain(model, eager)

    largest, most = _difference(fast, plain)
    macs = config.macs_per_pixel * prod(config.size)
    measures = {
        "nvcodec": lambda: _seconds(fast, options.frames, 1, device),
        "eager": lambda: _seconds(plain, options.frames, 1, device),
        "nvcodec, batched": lambda: _seconds(fast, options.frames, options.batch, device),
        "eager, batched": lambda: _seconds(plain, options.frames, options.batch, device),
        "floor": lambda: macs * _seconds_per_mac(device),
    }
    for measure in measures.values():  # warm-up
        measure()  # type: ignore[no-untyped-call]
    taken = record.alternate(measures, options.rounds)

    kinds = {"one by one": "", f"{options.batch} at a time": ", batched"}
    rows = []
    results: dict[str, object] = {
        "parameters": config.parameters,
        "size": options.size,
        "macs_per_pixel": config.macs_per_pixel,
        "type": str(dtype).removeprefix("torch."),
        "largest_difference": largest,
        "within_one_level": most,
        "floor_seconds": record.Spread.of(taken["floor"]),
        "tera_macs_per_second": macs / record.Spread.of(taken["floor"]).median / 1e12,
        "targets": {"speedup": TARGET_EAGER, "over_floor": TARGET_FLOOR},
    }
    for kind, suffix in kinds.items():
        ours, theirs = taken["nvcodec" + suffix], taken["eager" + suffix]
        speedup = record.ratios(theirs, ours)
        over = record.ratios(ours, taken["floor"])
        results["sequential" if not suffix else "batched"] = {
            "batch": options.batch if suffix else 1,
            "speedup": speedup,
            "over_floor": over,
            "seconds_per_frame": {
                "nvcodec": record.Spread.of(ours),
                "eager": record.Spread.of(theirs),
            },
        }
        rows.append(
            (
                kind,
                f"{speedup:.2f}",
                f"{over:.2f}",
                f"{1 / record.Spread.of(ours).median:.2f}",
                f"{1 / record.Spread.of(theirs).median:.2f}",
            )
        )
    table = record.ResultTable(
        ("frames", "times the speed of eager", "time over floor", "nvcodec frames/s", "eager"),
        tuple(rows),
        f"Median (lowest-highest) of {options.rounds} rounds; targets: at least {TARGET_EAGER:g} "
        f"and at most {TARGET_FLOOR:g}. Weights are random; the two differ by {largest} levels of 255 at most, "
        f"and by one or none on {100 * most:.3f} % of samples.",
    )
    record.write(options.out, results, {"main": table})


def _plain(model: VideoModel, eager: EagerDecoder) -> Callable[[Tensor], Tensor]:
    """Frames as 8-bit RGB, the plain way."""

    @torch.inference_mode()
    def decode(index: Tensor) -> Tensor:
        frames: Tensor = eager(model.embed(index))
        return (frames * 255).round_().clamp_(0, 255).to(torch.uint8)

    return decode


def _difference(
    fast: Callable[[Tensor], Tensor], plain: Callable[[Tensor], Tensor]
) -> tuple[int, float]:
    """How far the two are apart: most levels, and the share of samples within one."""
    index = torch.zeros(1, dtype=torch.int64)
    apart = (fast(index).int() - plain(index).int()).abs()
    return int(apart.max()), float((apart <= 1).float().mean())


def _seconds(
    decode: Callable[[Tensor], Tensor], frames: int, batch: int, device: torch.device
) -> float:
    """Seconds per frame."""
    begin = time.perf_counter()
    for start in range(0, frames, batch):
        decode(torch.arange(start, min(start + batch, frames)))
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - begin) / frames


def _seconds_per_mac(device: torch.device, products: int = 8) -> float:
    """Seconds per multiply-accumulate of large bfloat16 matrix products."""
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
