"""The perceptron by our Triton kernels; these are in `triton_mlp_kernels.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from nvcodec.cuda import triton_mlp_kernels as kernels

_LEAST, _MOST = 16, 128  # of what products of tiles can be
_FORWARD_ROWS = 128
_HALF = (torch.bfloat16, torch.float16)


def refusal(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    activation: str,
    output_activation: str,
    dtype: torch.dtype,
) -> str | None:
    """Why these layers are not for the kernels, or None; arguments as of `perceive`."""
    if dtype not in _HALF:
        return "its kernels compute in bfloat16 or float16 only"
    sizes = {weights[0].shape[1], *(len(weight) for weight in weights)}
    if len(weights) < 2 or max(sizes) > _MOST or len(weights[0]) < _LEAST:
        return (
            f"its kernels hold one or more hidden layers of {_LEAST} to {_MOST} values, and at most "
            f"{_MOST} inputs and outputs"
        )
    return None


def perceive(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    activation: str,
    output_activation: str,
    dtype: torch.dtype,
) -> Tensor:
    """Apply layers; see `torch_mlp.perceive`.

    Args:
        x: Shape (N, n_in).
        weights: One per layer, shape (out, in).
        biases: One per layer, shape (out,), or None.
        activation: After every layer but the last.
        output_activation: After the last.
        dtype: What to compute in.

    Returns:
        Shape (N, n_out), of `dtype`.
    """
    depth = len(weights) - 1
    n_in, width, n_out = weights[0].shape[1], len(weights[0]), len(weights[-1])
    blocks = tuple(max(_LEAST, triton.next_power_of_2(size)) for size in (n_in, width, n_out))
    ins = (blocks[0], *(blocks[1],) * depth)
    outs = (*(blocks[1],) * depth, blocks[2])
    # Weights of zero around a layer make whole tiles of it and change nothing.
    parts = [
        F.pad(weight, (0, across - weight.shape[1], 0, down - len(weight))).flatten()
        for weight, across, down in zip(weights, ins, outs, strict=True)
    ]
    parts += [
        F.pad(bias, (0, down - len(bias)))
        for bias, down in zip(biases, outs, strict=True)
        if bias is not None
    ]
    made: Tensor = _Perceptron.apply(  # type: ignore[no-untyped-call]
        x,
        torch.cat(parts).float(),
        n_out,
        dtype,
        {
            "IN": blocks[0],
            "WIDTH": blocks[1],
            "OUT": blocks[2],
            "DEPTH": depth,
            "BIASED": biases[0] is not None,
            "ACTIVATION": activation,
            "OUTPUT_ACTIVATION": output_activation,
            # Triton's interpreter would multiply bfloat16 as if it were integers.
            "WIDE": x.device.type != "cuda",
        },
    )
    return made


class _Perceptron(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, flat: Tensor, n_out: int, dtype: torch.dtype, shape: dict[str, Any]
    ) -> Tensor:
        x, flat = x.contiguous(), flat.to(dtype)
        made = x.new_empty(len(x), n_out, dtype=dtype)
        if len(x):
            with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
                kernels.forward[(_programs(x, _FORWARD_ROWS, 4),)](
                    x,
                    flat,
                    made,
                    *x.shape,
                    n_out,
                    **shape,
                    ROWS=_FORWARD_ROWS,
                    num_warps=8 if shape["WIDTH"] == _MOST else 4,
                    enable_fp_fusion=True,  # the default; not to say so gives a warning
                )
        ctx.save_for_backward(x, flat)
        ctx.shape = shape
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, Tensor, None, None, None]:
        x, flat = ctx.saved_tensors
        above = above.contiguous()
        of_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        # Small enough for what a tile needs to stay in registers, or nearly.
        rows, warps = (32, 4) if ctx.shape["WIDTH"] <= 32 else (64, 8)
        programs = _programs(x, rows, 2 if ctx.shape["WIDTH"] < _MOST else 1)
        sums = flat.new_empty(programs, len(flat), dtype=torch.float32)
        if len(x):
            kernels.backward[(programs,)](
                x,
                flat,
                above,
                x if of_x is None else of_x,
                sums,
                len(flat),
                *above.shape,
                x.shape[1],
                **ctx.shape,
                WANTS_X=of_x is not None,
                ROWS=rows,
                num_warps=warps,
                enable_fp_fusion=True,
            )
        return of_x, sums.sum(0), None, None, None


def _programs(x: Tensor, rows: int, each: int) -> int:
    """As many as there are tiles, or as a device runs at once, `each` on a multiprocessor."""
    tiles: int = triton.cdiv(len(x), rows)
    if x.device.type != "cuda":
        return min(tiles, 2)  # interpreted
    return min(tiles, each * torch.cuda.get_device_properties(x.device).multi_processor_count)
