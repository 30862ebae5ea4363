"""The Triton backend of perceptrons, which launches `triton_mlp_kernels`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from nvcodec.cuda import triton_mlp_kernels as kernels

_LEAST, _MOST = 16, 128  # limits on the sides of the tiles that are multiplied
_FORWARD_ROWS = 128
_HALF = (torch.bfloat16, torch.float16)


def refusal(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    activation: str,
    output_activation: str,
    dtype: torch.dtype,
) -> str | None:
    """Return the reason why the kernels cannot compute these layers, or None.

    Args:
        weights: One per layer, shape (out, in).
        biases: One per layer, shape (out,), or None.
        activation: Activation after every layer but the last.
        output_activation: Activation after the last layer.
        dtype: Type to compute in.
    """
    if dtype not in _HALF:
        return "its kernels compute in bfloat16 or float16 only"
    sizes = {weights[0].shape[1], *(len(weight) for weight in weights)}
    if len(weights) < 2 or max(sizes) > _MOST or len(weights[0]) < _LEAST:
        return (
            f"its kernels compute one or more hidden layers of {_LEAST} to {_MOST} values, with at "
            f"most {_MOST} inputs and outputs"
        )
    return None


def apply_layers(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    activation: str,
    output_activation: str,
    dtype: torch.dtype,
) -> Tensor:
    """Apply the layers to points.

    Args:
        x: Points, shape (N, n_in).
        weights: One per layer, shape (out, in).
        biases: One per layer, shape (out,), or None.
        activation: Activation after every layer but the last.
        output_activation: Activation after the last layer.
        dtype: Type to compute in.

    Returns:
        Shape (N, n_out), of `dtype`.
    """
    depth = len(weights) - 1
    n_in, width, n_out = weights[0].shape[1], len(weights[0]), len(weights[-1])
    blocks = tuple(max(_LEAST, triton.next_power_of_2(size)) for size in (n_in, width, n_out))
    ins = (blocks[0], *(blocks[1],) * depth)
    outs = (*(blocks[1],) * depth, blocks[2])
    # Layers are padded to whole tiles with weights of zero, which do not change the result.
    parts = [
        F.pad(weight, (0, columns - weight.shape[1], 0, rows - len(weight))).flatten()
        for weight, columns, rows in zip(weights, ins, outs, strict=True)
    ]
    parts += [
        F.pad(bias, (0, rows - len(bias)))
        for bias, rows in zip(biases, outs, strict=True)
        if bias is not None
    ]
    output: Tensor = _Perceptron.apply(  # type: ignore[no-untyped-call]
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
            # Triton's interpreter multiplies numbers of bfloat16 as if they were integers.
            "WIDE": x.device.type != "cuda",
        },
    )
    return output


class _Perceptron(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, flat: Tensor, n_out: int, dtype: torch.dtype, shape: dict[str, Any]
    ) -> Tensor:
        x, flat = x.contiguous(), flat.to(dtype)
        out = x.new_empty(len(x), n_out, dtype=dtype)
        if len(x):
            with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
                kernels.forward[(_programs(x, _FORWARD_ROWS, 4),)](
                    x,
                    flat,
                    out,
                    *x.shape,
                    n_out,
                    **shape,
                    ROWS=_FORWARD_ROWS,
                    num_warps=8 if shape["WIDTH"] == _MOST else 4,
                    enable_fp_fusion=True,  # the default, but Triton warns if it is not given
                )
        ctx.save_for_backward(x, flat)
        ctx.shape = shape
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, out_grad: Tensor) -> tuple[Tensor | None, Tensor, None, None, None]:
        x, flat = ctx.saved_tensors
        out_grad = out_grad.contiguous()
        x_grad = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        # Small enough that the values of a tile stay in registers, or nearly so.
        rows, warps = (32, 4) if ctx.shape["WIDTH"] <= 32 else (64, 8)
        programs = _programs(x, rows, 2 if ctx.shape["WIDTH"] < _MOST else 1)
        sums = flat.new_empty(programs, len(flat), dtype=torch.float32)
        if len(x):
            kernels.backward[(programs,)](
                x,
                flat,
                out_grad,
                x if x_grad is None else x_grad,
                sums,
                len(flat),
                *out_grad.shape,
                x.shape[1],
                **ctx.shape,
                WANTS_X=x_grad is not None,
                ROWS=rows,
                num_warps=warps,
                enable_fp_fusion=True,
            )
        return x_grad, sums.sum(0), None, None, None


def _programs(x: Tensor, rows: int, per_multiprocessor: int) -> int:
    """Return the number of programs: the number of tiles, but at most what runs at the same time.

    Args:
        x: Points, shape (N, n_in).
        rows: Points of a tile.
        per_multiprocessor: Number of programs that run on a multiprocessor at the same time.
    """
    tiles: int = triton.cdiv(len(x), rows)
    if x.device.type != "cuda":
        return min(tiles, 2)  # in the interpreter
    multiprocessors = torch.cuda.get_device_properties(x.device).multi_processor_count
    return min(tiles, per_multiprocessor * multiprocessors)
