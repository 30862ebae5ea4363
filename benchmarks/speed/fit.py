"""Steps per second of fitting HNeRV, against the same network in eager fp32 NCHW.

Both take the optimiser step of the published recipe: two frames through encoder and decoder,
squared error, Adam. nvcodec's steps are timed within `nvcodec.fitting.network.fit.fit`, between the
epochs that it reports, with everything that a fit does; the baseline is a bare loop. The two
alternate in one process.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness import record
from benchmarks.harness.clips import bunny
from benchmarks.harness.eager_hnerv import EagerDecoder, EagerEncoder
from nvcodec.config import FitConfig
from nvcodec.device import choose_device, working_type
from nvcodec.fitting.interface import FitProgress
from nvcodec.fitting.network.fit import fit
from nvcodec.fitting.network.request import FitRequest
from nvcodec.media import ColourMode
from nvcodec.models import build
from nvcodec.models.hnerv.config import HNeRVConfig

TARGET = 2.5
_BATCH = 2


class _EnoughError(Exception):
    """Ends a fit after the epochs that are timed."""


class _Stopwatch:
    """Records the times at which epochs of one stage end, and stops the fit after the last one.

    Args:
        stage: Name of the stage.
        epochs: Number of epochs to time, after a first one.
    """

    def __init__(self, stage: str, epochs: int) -> None:
        self._stage, self._epochs = stage, epochs
        self.ends: list[float] = []

    def __call__(self, progress: FitProgress) -> None:
        if progress.stage == self._stage:
            self.ends.append(time.perf_counter())
            if len(self.ends) > self._epochs:
                raise _EnoughError


def nvcodec_rate(config: HNeRVConfig, samples: Tensor, stage: str, epochs: int) -> float:
    """Return the steps per second of a stage of nvcodec's fit; its first epoch is not counted.

    Args:
        config: Configuration of the network.
        samples: uint8, shape (T, 3, H, W), on the device.
        stage: `"float"`, with the encoder throughout, or `"quantised"`.
        epochs: Number of epochs to time.
    """
    torch.manual_seed(0)
    model = build("hnerv", config).to(samples.device)
    floating = epochs + 1 if stage == "float" else 1
    fit_config = FitConfig(
        epochs=floating, encoder_share=1.0, quantised_share=(epochs + 1) / floating, batch=_BATCH
    )
    stopwatch = _Stopwatch(stage, epochs)
    with suppress(_EnoughError):
        request = FitRequest(
            model=model, samples=samples, config=fit_config, seed=0, on_progress=stopwatch
        )
        fit(request)
    if len(stopwatch.ends) <= epochs:
        raise SystemExit(f"the {stage} stage collapsed, so its speed says nothing")
    steps = epochs * -(-len(samples) // _BATCH)
    return steps / (stopwatch.ends[-1] - stopwatch.ends[0])


def eager_rate(config: HNeRVConfig, samples: Tensor, epochs: int) -> float:
    """Return the steps per second of the bare loop; its first epoch is not counted.

    Args:
        config: Configuration of the network.
        samples: uint8, shape (T, 3, H, W), NCHW, on the device.
        epochs: Number of epochs to time.
    """
    torch.manual_seed(0)
    encoder = EagerEncoder(config).to(samples.device)
    decoder = EagerDecoder(config).to(samples.device)
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    begin = 0.0
    steps = 0
    for epoch in range(epochs + 1):
        if epoch == 1:
            begin = time.perf_counter()
        order = torch.randperm(len(samples))
        for start in range(0, len(samples), _BATCH):
            target = samples[order[start : start + _BATCH]].float() / 255
            loss = F.mse_loss(decoder(encoder(target)), target)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            steps += epoch > 0
        loss.item()  # On a GPU this waits for the epoch, as nvcodec's report does.
    return steps / (time.perf_counter() - begin)


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("fit_speed", __doc__)
    parser.add_argument("--parameters", type=int, default=750_000, help="parameters of the network")
    parser.add_argument(
        "--size", type=record.size_argument, default=(1280, 640), metavar="WxH", help="frame size"
    )
    parser.add_argument(
        "--frames", type=int, default=4, help="frames to fit; the network has embeddings for 132"
    )
    parser.add_argument("--epochs", type=int, default=2, help="epochs timed per round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each fit")
    parser.add_argument("--device", default="cpu", help="device to fit on")
    options = parser.parse_args(argv)

    device = choose_device(options.device)
    config = HNeRVConfig.from_budget(
        options.parameters, size=options.size[::-1], frames=132, colour=ColourMode.RGB
    )
    samples = bunny(options.frames, options.size).to(device)
    nchw_samples = samples.contiguous()  # NCHW
    rates = record.alternate(
        {
            "nvcodec": lambda: nvcodec_rate(config, samples, "float", options.epochs),
            "eager": lambda: eager_rate(config, nchw_samples, options.epochs),
            "quantised": lambda: nvcodec_rate(config, samples, "quantised", options.epochs),
        },
        options.rounds,
    )
    speedup = record.ratios(rates["nvcodec"], rates["eager"])
    quantised = record.ratios(rates["quantised"], rates["eager"])
    results = {
        "parameters": config.parameters,
        "size": options.size,
        "frames": options.frames,
        "batch": _BATCH,
        "type": str(working_type(device)).removeprefix("torch."),
        "speedup": speedup,
        "speedup_quantised": quantised,
        "steps_per_second": {name: record.Spread.of(values) for name, values in rates.items()},
        "target": TARGET,
    }
    names = {
        "nvcodec": "nvcodec, float stage",
        "eager": "eager fp32 NCHW",
        "quantised": "nvcodec, quantised stage",
    }
    against = {"nvcodec": speedup, "quantised": quantised, "eager": None}
    rows = tuple(
        (
            names[name],
            f"{ratio:.2f}" if ratio else "1",
            f"{record.Spread.of(rates[name]):.3f}",
        )
        for name, ratio in against.items()
    )
    table = record.ResultTable(
        ("step", "times the speed of eager", "steps per second"),
        rows,
        f"Median (lowest-highest) of {options.rounds} rounds; target {TARGET} for the float stage.",
    )
    record.write(options.out, results, {"main": table})


if __name__ == "__main__":
    main()
