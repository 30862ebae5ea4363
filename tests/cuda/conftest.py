"""The device of kernel tests: a GPU if there is one, else Triton's interpreter."""

from __future__ import annotations

import os

import pytest
import torch

if not torch.cuda.is_available():
    # Triton reads it when kernels are defined, and when its own library is imported.
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(params=["interpreter", "cuda"])
def device(request):
    has_cuda = torch.cuda.is_available()
    if request.param == "cuda" and not has_cuda:
        pytest.skip("no CUDA device")
    if request.param == "interpreter" and has_cuda:
        pytest.skip("kernels are compiled for the CUDA device of this machine")
    return torch.device("cuda" if has_cuda else "cpu")
