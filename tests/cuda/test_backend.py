"""The choice of a backend, and the reasons that are reported for the others."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from types import ModuleType

import pytest
import torch

from nvcodec.cli import main
from nvcodec.cuda import backend
from nvcodec.cuda.grid import HashGrid
from nvcodec.cuda.mlp import FusedMLP
from nvcodec.errors import ConfigError

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.fixture(autouse=True)
def auto(monkeypatch):
    monkeypatch.delenv(backend.VARIABLE, raising=False)


def call(refusal=lambda module: None, trial=lambda module: None, key="test"):
    return backend.Call("mlp", "a perceptron", key, refusal, trial)


@pytest.fixture
def stand_ins(monkeypatch):
    """Backends that can be imported without a GPU, with no failures recorded."""
    for name in ("stand_in_tcnn", "stand_in_triton"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    modules = {
        "tinycudann": {"mlp": "stand_in_tcnn"},
        "triton": {"mlp": "stand_in_triton"},
        "torch": {"mlp": "nvcodec.cuda.torch_mlp"},
    }
    monkeypatch.setattr(backend, "_MODULES", modules)
    monkeypatch.setattr(backend, "_failures", {})
    backend._import_failure.cache_clear()
    yield
    backend._import_failure.cache_clear()


def test_on_a_cpu_it_is_torch_and_the_call_is_not_described():
    assert backend.choose(CPU, 5000, lambda: pytest.fail("described")) is None


def test_the_first_backend_that_serves_is_chosen(stand_ins):
    assert backend.choose(CUDA, 5000, call).__name__ == "stand_in_tcnn"
    refuses = call(lambda module: "no" if module.__name__ == "stand_in_tcnn" else None)
    assert backend.choose(CUDA, 5000, lambda: refuses).__name__ == "stand_in_triton"
    assert backend.choose(CUDA, 5000, lambda: call(lambda module: "no")) is None


def test_torch_serves_few_points_unless_a_backend_is_requested(stand_ins, monkeypatch):
    assert backend.choose(CUDA, 4, call) is None
    monkeypatch.setenv(backend.VARIABLE, "triton")
    assert backend.choose(CUDA, 4, call).__name__ == "stand_in_triton"


def test_a_backend_that_cannot_be_imported_is_skipped(stand_ins, monkeypatch):
    monkeypatch.setitem(sys.modules, "stand_in_tcnn", None)
    assert backend.choose(CUDA, 5000, call).__name__ == "stand_in_triton"
    assert "cannot be imported" in backend.unavailable_reason("tinycudann", CUDA)


def test_a_failing_backend_is_tried_and_reported_once(stand_ins, caplog):
    trials = []

    def trial(module):
        trials.append(module.__name__)
        if module.__name__ == "stand_in_tcnn":
            raise RuntimeError("out of shared memory\nat line 3")

    caplog.set_level(logging.WARNING)
    for _ in range(3):
        assert backend.choose(CUDA, 5000, lambda: call(trial=trial)).__name__ == "stand_in_triton"
    assert trials == ["stand_in_tcnn", "stand_in_triton"]
    assert [record.getMessage() for record in caplog.records] == [
        "tinycudann cannot compute a perceptron: it failed: RuntimeError: out of shared memory"
    ]
    with torch.no_grad():  # other kernels are compiled without gradients
        backend.choose(CUDA, 5000, lambda: call(trial=trial))
    assert len(trials) == 4


@pytest.mark.parametrize(
    ("name", "served"),
    [("tinycudann", "stand_in_tcnn"), ("triton", "stand_in_triton"), ("torch", None)],
)
def test_the_environment_decides(stand_ins, monkeypatch, name, served):
    monkeypatch.setenv(backend.VARIABLE, name)
    module = backend.choose(CUDA, 5000, call)
    assert (module and module.__name__) == served


def test_a_requested_backend_that_cannot_serve_is_an_error(stand_ins, monkeypatch):
    monkeypatch.setenv(backend.VARIABLE, "triton")
    with pytest.raises(
        ConfigError, match="triton cannot compute a perceptron: too wide; unset it to use"
    ):
        backend.choose(CUDA, 5000, lambda: call(lambda module: "too wide"))
    monkeypatch.setenv(backend.VARIABLE, "tinycudann")
    with pytest.raises(ConfigError, match="needs a CUDA device, and this is on cpu"):
        backend.choose(CPU, 5000, call)


@pytest.mark.parametrize(
    "module", [FusedMLP(2, 1, 16, 1, "relu", "none"), HashGrid(((2, 2),), 1, 4)]
)
def test_an_unknown_backend_is_an_error(monkeypatch, module):
    monkeypatch.setenv(backend.VARIABLE, "cutlass")
    with pytest.raises(ConfigError, match="expected one of auto, tinycudann, triton, torch, got"):
        module(torch.zeros(1, 2))


def test_torch_can_be_requested(monkeypatch):
    perceptron = FusedMLP(2, 1, 16, 1, "relu", "none")
    expected = perceptron(torch.ones(1, 2))
    monkeypatch.setenv(backend.VARIABLE, "torch")
    assert torch.equal(perceptron(torch.ones(1, 2)), expected)


def test_bfloat16_under_autocast():
    perceptron = FusedMLP(8, 4, 16, 2, "silu", "none")
    x = torch.randn(9, 8)
    expected = perceptron(x)
    with torch.autocast("cpu", torch.bfloat16):
        output = perceptron(x)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), expected, atol=0.02, rtol=0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="describes a machine without CUDA")
def test_info_reports_backends(capsys, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert main(["info", "--backends", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["mlp"] == report["grid"] == "torch"
    assert (report["device"], report["wanted"]) == ("cpu", "auto")
    assert report["backends"]["torch"] is None
    assert "CUDA device" in report["backends"]["triton"]
    assert main(["info", "--backends"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "tinycudann",
        "triton",
        "torch",
        "perceptrons",
        "grids",
    ]
    monkeypatch.setenv(backend.VARIABLE, "tinycudann")
    assert main(["info", "--backends"]) == 0
    assert "nothing on cpu (NVCODEC_BACKEND=tinycudann)" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["a.nvc", "--backends"]])
def test_info_needs_a_file_or_backends(arguments, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(["info", *arguments])
    assert exit_info.value.code == 2
    assert "either IN.nvc or --backends" in capsys.readouterr().err


def test_grid_layout_imports_no_torch():
    code = "import sys, nvcodec.cuda.grid_layout; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
