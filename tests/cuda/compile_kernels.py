"""Compile every Triton kernel for a GPU, which this machine need not have."""

from __future__ import annotations

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from nvcodec.cuda import triton_grid_kernels, triton_mlp_kernels

POINTERS = dict.fromkeys(("x", "x_grad", "sums", "table", "table_grad"), "*fp32")
PERCEPTRON = {
    "IN": 32,
    "WIDTH": 64,
    "OUT": 16,
    "DEPTH": 2,
    "BIASED": True,
    "ACTIVATION": "gelu",
    "OUTPUT_ACTIVATION": "tanh",
    "WIDE": False,
    "WANTS_X": True,
    "ROWS": 64,
}
GRID = {"AXES": 3, "FEATURES": 2, "BLOCK": 2, "HASHED": True, "ROWS": 128, "WANTS_X": True}


def compile_kernel(kernel, constants, values):
    signature, fixed = {}, {}
    for position, name in enumerate(kernel.arg_names):
        if name in constants:
            signature[name], fixed[position,] = "constexpr", constants[name]
        elif name in ("flat", "out", "out_grad"):
            signature[name] = values
        else:
            signature[name] = POINTERS.get(name, "i32")
    source = ASTSource(fn=kernel, signature=signature, constexprs=fixed)
    compiled = triton.compile(source, GPUTarget("cuda", 90, 32), options={"enable_fp_fusion": True})
    assert compiled.asm["cubin"]


for kernel in (triton_mlp_kernels.forward, triton_mlp_kernels.backward):
    compile_kernel(kernel, PERCEPTRON, "*bf16")
for kernel in (triton_grid_kernels.forward, triton_grid_kernels.backward):
    compile_kernel(kernel, GRID, "*fp32")
