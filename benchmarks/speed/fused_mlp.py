"""TFLOP/s of fused perceptrons by every available backend, forward and with gradients.

The perceptron has four hidden layers, 32 inputs and 16 outputs, as behind a hash grid. Every weight
and point counts as 2 operations, and as 4 more for gradients; activations that a backend computes
twice count once. The share is relative to a product of large square matrices in the same run.
Without a CUDA device only plain torch is measured, with fewer points.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from benchmarks.harness import record
from nvcodec.cuda import backend, torch_mlp
from nvcodec.cuda.mlp import FusedMLP
from nvcodec.device import choose_device, working_type

_INPUTS, _OUTPUTS, _DEPTH = 32, 16, 4
_CPU_POINTS = 1 << 14


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("fused_mlp", __doc__)
    parser.add_argument(
        "--widths", type=int, nargs="+", default=[32, 64, 128], help="widths of the hidden layers"
    )
    parser.add_argument(
        "--points", type=int, default=1 << 18, help="points of a call on a CUDA device"
    )
    parser.add_argument("--calls", type=int, default=20, help="calls that are timed together")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each backend")
    options = parser.parse_args(argv)
    device = choose_device("auto")
    dtype = working_type(device)
    on_gpu = device.type == "cuda"
    points = options.points if on_gpu else _CPU_POINTS
    if not on_gpu:
        print(
            f"no CUDA device: plain torch only, {points} points; Triton and tiny-cuda-nn need one",
            file=sys.stderr,
        )
    reasons_missing = {
        name: reason
        for name in ("tinycudann", "triton")
        if (reason := backend.unavailable_reason(name, device)) is not None
    }
    peak = _peak(device, dtype, options.rounds)
    results: dict[str, object] = {"type": str(dtype), "points": points, "absent": reasons_missing}
    results["matrices_tflops"] = peak
    rows = []
    for width in options.widths:
        perceptron = FusedMLP(_INPUTS, _OUTPUTS, width, _DEPTH, "relu", "none").to(device)
        x = torch.randn(points, _INPUTS, device=device, requires_grad=True)
        forward = 2 * points * sum(weight.numel() for weight in perceptron.parameters())
        for task, operations in (("forward", forward), ("gradients", 3 * forward)):
            backends = _backends(perceptron, reasons_missing, compiled=on_gpu)
            measures = {
                name: partial(
                    _rate, _timed_call(run, x, task, dtype), operations, options.calls, device
                )
                for name, run in backends.items()
            }
            rates = {
                name: record.Spread.of(values)
                for name, values in record.alternate(measures, options.rounds).items()
            }
            results[f"{width}_{task}"] = rates
            rows += [
                (f"{width}, {task}", name, f"{rate:.3g}", f"{100 * rate.median / peak.median:.1f}")
                for name, rate in rates.items()
            ]
    note = f"{points} points, {str(dtype).removeprefix('torch.')}; matrices: {peak:.3g} TFLOP/s."
    table = record.ResultTable(("width", "backend", "TFLOP/s", "% of matrices"), tuple(rows), note)
    record.write(options.out, results, {"main": table})


def _backends(
    perceptron: FusedMLP, reasons_missing: dict[str, str], *, compiled: bool
) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return functions by name that evaluate the perceptron by one backend each."""

    def run_backend(name: str, x: Tensor) -> Tensor:
        os.environ[backend.VARIABLE] = name
        try:
            outputs: Tensor = perceptron(x)
            return outputs
        finally:
            del os.environ[backend.VARIABLE]

    def run_torch(x: Tensor) -> Tensor:
        weights = list(perceptron.parameters())
        return torch_mlp.apply_layers(x, weights, [None] * len(weights), "relu", "none")

    names = [name for name in ("tinycudann", "triton") if name not in reasons_missing]
    ways = {name: partial(run_backend, name) for name in (*names, "torch")}
    return {**ways, "torch.compile": torch.compile(run_torch)} if compiled else dict(ways)


def _timed_call(
    run_perceptron: Callable[[Tensor], Tensor], x: Tensor, task: str, dtype: torch.dtype
) -> Callable[[], None]:
    """Return the call that is timed: forward only, or with gradients."""

    def forward() -> None:
        with torch.no_grad(), torch.autocast(x.device.type, dtype, enabled=half_precision):
            run_perceptron(x)

    def gradients() -> None:
        with torch.autocast(x.device.type, dtype, enabled=half_precision):
            outputs = run_perceptron(x)
        outputs.backward(torch.ones_like(outputs))

    half_precision = dtype != torch.float32
    return forward if task == "forward" else gradients


def _peak(device: torch.device, dtype: torch.dtype, rounds: int) -> record.Spread:
    """Return the TFLOP/s of a product of large square matrices."""
    side = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    rates = [_rate(lambda: torch.mm(a, b), 2 * side**3, 5, device) for _ in range(rounds)]
    return record.Spread.of(rates)


def _rate(call: Callable[[], object], operations: int, calls: int, device: torch.device) -> float:
    """Return the TFLOP/s of several calls in a row, after one call as a warm-up.

    Args:
        call: Function to time.
        operations: Floating-point operations of a call.
        calls: Number of calls.
        device: Device of the computation.
    """
    call()
    _synchronise(device)
    began = time.perf_counter()
    for _ in range(calls):
        call()
    _synchronise(device)
    return operations * calls / (time.perf_counter() - began) / 1e12


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
