"""Where the kernels of these tests run: on a GPU if there is one, else in Triton's interpreter."""

from __future__ import annotations

import os

import pytest
import torch

if not torch.cuda.is_available():
    # Read when kernels are defined, and by Triton's own library when that is imported.
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(params=["interpreter", "cuda"])
def device(request):
    there = torch.cuda.is_available()
    if request.param == "cuda" and not there:
        pytest.skip("no CUDA device")
    if request.param == "interpreter" and there:
        pytest.skip("kernels are compiled for the CUDA device of this machine")
    return torch.device("cuda" if there else "cpu")
