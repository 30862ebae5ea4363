"""HNeRV as its authors publish it, in a real file: fitted by their recipe, then 8 and 6 bits.

The encoder is in use throughout, there is no stage of quantised fitting, and the epochs are as many
as the time allows. Afterwards every weight gets 8 bits between its tensor's (or channel's) smallest
and largest value, every embedding 6. The symbols are coded by nvcodec's entropy coder, which needs
less than the authors' Huffman table, into an `.nvc` file that any nvcodec decodes.

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
from benchmarks.reproduction.hnerv_quantisation import EMBEDDING_BITS, SIDE_SHARE, WEIGHT_BITS
from nvcodec.config import FitConfig
from nvcodec.device import choose_device
from nvcodec.entropy.coder.probability_tables import LARGEST_SYMBOL
from nvcodec.entropy.weights.coding_plan import tables_of
from nvcodec.entropy.weights.quantisation import STEPS, dequantise, step_values
from nvcodec.entropy.weights.tensor_codec import QuantisedTensor
from nvcodec.errors import ConfigError
from nvcodec.media import ColourMode
from nvcodec.models.base.tensor_spec import TensorSpec
from nvcodec.models.hnerv.config import HNeRVConfig
from nvcodec.reconstruction.sample_layout import model_samples
from nvcodec.video import open_source

# More than any clock allows: time alone ends the fit.
_ENDLESS = 1_000_000
COLOURS = {"rgb": ColourMode.RGB, "yuv420": ColourMode.YUV420}


def quantised(tensor: Tensor, spec: TensorSpec, bits: int) -> QuantisedTensor:
    """A tensor in at most `2**bits` levels between its smallest and largest value.

    The authors place the levels freely; here zero is one of them, and the steps are those of the
    bitstream, an eighth of an octave apart. One step for all, one per group of channels or one per
    channel, whichever serves best at little side information, as they choose an axis.

    Args:
        tensor: Shape of the spec.
        spec: What the bitstream knows of it.
        bits: Per value.
    """
    tried = [_stepped(tensor, spec, bits, sharing) for sharing in range(3)]
    fair = [one for one in tried if len(one.steps) == 1 or len(one.steps) < SIDE_SHARE * spec.size]
    return min(fair, key=lambda one: float((dequantise(one, spec) - tensor).abs().mean()))


def _stepped(tensor: Tensor, spec: TensorSpec, bits: int, sharing: int) -> QuantisedTensor:
    """The same with a given sharing of steps."""
    channels = spec.shape[spec.channel_axis]
    rows = tensor.movedim(spec.channel_axis, 0).reshape(channels, -1).double().numpy()
    count = tables_of(spec, sharing)
    size = channels if sharing == 0 else spec.group if sharing == 1 else 1
    steps = np.empty(count, np.int32)
    for number in range(count):
        part = rows[number * size : (number + 1) * size]
        span = max((part.max() - part.min()) / (2**bits - 1), abs(part).max() / LARGEST_SYMBOL)
        # 2**-20 is step 0; up to the next one, so that there are never more levels.
        steps[number] = min(max(ceil(8 * (log2(max(span, 1e-30)) + 20)), 0), STEPS - 1)
    each = step_values(steps[np.arange(channels) // size]).astype(np.float64)
    symbols = np.rint(rows / each[:, None]).astype(np.int32)
    shape = (channels, *(side for axis, side in enumerate(spec.shape) if axis != spec.channel_axis))
    placed = np.moveaxis(symbols.reshape(shape), 0, spec.channel_axis)
    return QuantisedTensor(np.ascontiguousarray(placed), steps)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reproduction.hnerv_reference",
        description=(__doc__ or "").partition("\n")[0],
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path, help="the .nvc file to write")
    parser.add_argument("--parameters", type=int, required=True, help="embeddings included")
    parser.add_argument("--seconds", type=float, required=True, help="for the fit")
    parser.add_argument("--colour", choices=list(COLOURS), default="rgb", help="rgb: as published")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
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
    how = FitConfig(epochs=_ENDLESS, encoder_share=1.0, quantised_share=1e-9)
    device = choose_device(options.device)
    samples = model_samples(frames, config, info.colour)
    with redirect_stdout(sys.stderr):
        loop, outcome = fit_watched(
            "hnerv", samples, config, how, seed=options.seed, device=device, seconds=options.seconds
        )
    tensors = [tensor.detach().float().cpu() for tensor in copied(loop.floating).transmitted()]
    stored = [
        quantised(tensor, spec, EMBEDDING_BITS if spec.latent else WEIGHT_BITS)
        for tensor, spec in zip(tensors, config.tensors(), strict=True)
    ]
    write_stream(
        options.out,
        "hnerv",
        config,
        stored,
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
