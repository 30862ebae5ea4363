"""Encode a video by HNeRV as its authors published it: their recipe, then 8-bit and 6-bit values.

The encoder is in use throughout, there is no quantised stage, and the fit has as many epochs as the
time allows. Afterwards every weight gets 8 bits between the smallest and the largest value of its
tensor (or channel), every embedding 6 bits. nvcodec's entropy coder, which needs fewer bits than
the authors' Huffman table, writes the symbols to an `.nvc` file that any nvcodec decodes.

    python -m benchmarks.reproduction.hnerv_reference SOURCE OUT.nvc --parameters 110000 --seconds 300
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from math import ceil, log2
from pathlib import Path

import numpy as np
from torch import Tensor

from benchmarks.harness.fit_to_file import copied, fit_watched, write_stream
from benchmarks.harness.record import BenchmarkHelpFormatter
from benchmarks.reproduction.hnerv_quantisation import EMBEDDING_BITS, SIDE_SHARE, WEIGHT_BITS
from nvcodec.config import FitConfig
from nvcodec.device import choose_device
from nvcodec.entropy.coder.probability_tables import LARGEST_SYMBOL
from nvcodec.entropy.weights.coding_plan import table_count
from nvcodec.entropy.weights.quantisation import STEPS, dequantise, step_values
from nvcodec.entropy.weights.tensor_codec import QuantisedTensor
from nvcodec.errors import ConfigError
from nvcodec.media import ColourMode
from nvcodec.models.base.tensor_spec import TensorSpec
from nvcodec.models.hnerv.config import HNeRVConfig
from nvcodec.reconstruction.sample_layout import model_samples
from nvcodec.video import open_source

# More epochs than any time limit allows: the time ends the fit.
_NO_LIMIT = 1_000_000
COLOURS = {"rgb": ColourMode.RGB, "yuv420": ColourMode.YUV420}


def quantise_tensor(tensor: Tensor, spec: TensorSpec, bits: int) -> QuantisedTensor:
    """Quantise a tensor to at most `2**bits` levels between its smallest and largest value.

    The authors place the levels freely; here zero is one of them, and the quantisation steps are
    those of the bitstream, an eighth of an octave apart. There is one step for all channels, one
    per group of channels or one per channel, whichever has the least error at little side
    information; this corresponds to the authors' choice of an axis.

    Args:
        tensor: Tensor of the spec's shape.
        spec: Description of the tensor in the bitstream.
        bits: Bits per value.
    """
    candidates = [_with_sharing(tensor, spec, bits, sharing) for sharing in range(3)]
    affordable = [
        candidate
        for candidate in candidates
        if len(candidate.steps) == 1 or len(candidate.steps) < SIDE_SHARE * spec.size
    ]
    return min(
        affordable, key=lambda candidate: float((dequantise(candidate, spec) - tensor).abs().mean())
    )


def _with_sharing(tensor: Tensor, spec: TensorSpec, bits: int, sharing: int) -> QuantisedTensor:
    """Quantise a tensor with a given sharing of steps: 0 for all channels, 1 per group, 2 each."""
    channels = spec.shape[spec.channel_axis]
    rows = tensor.movedim(spec.channel_axis, 0).reshape(channels, -1).double().numpy()
    count = table_count(spec, sharing)
    size = channels if sharing == 0 else spec.group if sharing == 1 else 1
    steps = np.empty(count, np.int32)
    for number in range(count):
        values = rows[number * size : (number + 1) * size]
        span = max(
            (values.max() - values.min()) / (2**bits - 1), abs(values).max() / LARGEST_SYMBOL
        )
        # Step 0 is 2**-20. Steps are rounded up, so that there are never more levels.
        steps[number] = min(max(ceil(8 * (log2(max(span, 1e-30)) + 20)), 0), STEPS - 1)
    steps_of_channels = step_values(steps[np.arange(channels) // size]).astype(np.float64)
    symbols = np.rint(rows / steps_of_channels[:, None]).astype(np.int32)
    shape = (channels, *(side for axis, side in enumerate(spec.shape) if axis != spec.channel_axis))
    in_place = np.moveaxis(symbols.reshape(shape), 0, spec.channel_axis)
    return QuantisedTensor(np.ascontiguousarray(in_place), steps)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reproduction.hnerv_reference",
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=BenchmarkHelpFormatter,
    )
    parser.add_argument("source", type=Path, help="video to encode")
    parser.add_argument("out", type=Path, help=".nvc file to write")
    parser.add_argument(
        "--parameters", type=int, required=True, help="stored values, embeddings included"
    )
    parser.add_argument("--seconds", type=float, required=True, help="time of the fit")
    parser.add_argument(
        "--colour", choices=list(COLOURS), default="rgb", help="colour mode; rgb as published"
    )
    parser.add_argument("--device", default="auto", help="device to fit on")
    parser.add_argument("--seed", type=int, default=0, help="seed of the fit")
    options = parser.parse_args(argv)

    begin = time.monotonic()
    with open_source(options.source) as source:
        frames, info = source.read(1 << 30), source.info
    size, colour = (info.height, info.width), COLOURS[options.colour]
    try:
        config = HNeRVConfig.from_budget(
            options.parameters, size=size, frames=len(frames), colour=colour
        )
    except ConfigError:
        config = HNeRVConfig.smallest(size=size, frames=len(frames), colour=colour)
    how = FitConfig(epochs=_NO_LIMIT, encoder_share=1.0, quantised_share=1e-9)
    device = choose_device(options.device)
    samples = model_samples(frames, config, info.colour)
    with redirect_stdout(sys.stderr):
        loop, outcome = fit_watched(
            "hnerv", samples, config, how, seed=options.seed, device=device, seconds=options.seconds
        )
    tensors = [tensor.detach().float().cpu() for tensor in copied(loop.floating).transmitted()]
    quantised = [
        quantise_tensor(tensor, spec, EMBEDDING_BITS if spec.latent else WEIGHT_BITS)
        for tensor, spec in zip(tensors, config.tensors(), strict=True)
    ]
    write_stream(
        options.out,
        "hnerv",
        config,
        quantised,
        info,
        pts=frames.pts.tolist(),
        durations=frames.durations.tolist(),
    )
    report = {
        "parameters": config.parameters,
        "macs_per_pixel": config.macs_per_pixel,
        "epochs": outcome.epochs,
        "device": str(device),
        "segments": 1,
        "encode_seconds": time.monotonic() - begin,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
