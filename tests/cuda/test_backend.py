"""How a backend is chosen, and what is said of the others."""

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
    """Backends that import on a machine without a GPU, and no failures from before."""
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


def test_on_a_cpu_it_is_torch_and_nothing_is_asked():
    assert backend.choose(CPU, 5000, lambda: pytest.fail("asked")) is None


def test_the_first_that_serves_is_taken(stand_ins):
    assert backend.choose(CUDA, 5000, call).__name__ == "stand_in_tcnn"
    refuses = call(lambda module: "no" if module.__name__ == "stand_in_tcnn" else None)
    assert backend.choose(CUDA, 5000, lambda: refuses).__name__ == "stand_in_triton"
    assert backend.choose(CUDA, 5000, lambda: call(lambda module: "no")) is None


def test_few_points_are_left_to_torch_unless_a_backend_is_asked_for(stand_ins, monkeypatch):
    assert backend.choose(CUDA, 4, call) is None
    monkeypatch.setenv(backend.VARIABLE, "triton")
    assert backend.choose(CUDA, 4, call).__name__ == "stand_in_triton"


def test_one_that_cannot_be_imported_is_passed_over(stand_ins, monkeypatch):
    monkeypatch.setitem(sys.modules, "stand_in_tcnn", None)
    assert backend.choose(CUDA, 5000, call).__name__ == "stand_in_triton"
    assert "cannot be imported" in backend.missing("tinycudann", CUDA)


def test_what_fails_is_tried_and_told_once(stand_ins, caplog):
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
    with torch.no_grad():  # without gradients something else is compiled
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


def test_a_wish_that_cannot_be_met_is_an_error(stand_ins, monkeypatch):
    monkeypatch.setenv(backend.VARIABLE, "triton")
    with pytest.raises(
        ConfigError, match="triton cannot compute a perceptron: too wide; left at auto"
    ):
        backend.choose(CUDA, 5000, lambda: call(lambda module: "too wide"))
    monkeypatch.setenv(backend.VARIABLE, "tinycudann")
    with pytest.raises(ConfigError, match="needs a CUDA device, and this is on cpu"):
        backend.choose(CPU, 5000, call)


@pytest.mark.parametrize("part", [FusedMLP(2, 1, 16, 1, "relu", "none"), HashGrid(((2, 2),), 1, 4)])
def test_an_unknown_wish_is_an_error(monkeypatch, part):
    monkeypatch.setenv(backend.VARIABLE, "cutlass")
    with pytest.raises(ConfigError, match="expected one of auto, tinycudann, triton, torch, got"):
        part(torch.zeros(1, 2))


def test_torch_may_be_wished_for(monkeypatch):
    perceptron = FusedMLP(2, 1, 16, 1, "relu", "none")
    expected = perceptron(torch.ones(1, 2))
    monkeypatch.setenv(backend.VARIABLE, "torch")
    assert torch.equal(perceptron(torch.ones(1, 2)), expected)


def test_bfloat16_under_autocast():
    perceptron = FusedMLP(8, 4, 16, 2, "silu", "none")
    x = torch.randn(9, 8)
    expected = perceptron(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = perceptron(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, atol=0.02, rtol=0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="tells of a machine without CUDA")
def test_info_tells_of_backends(capsys, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert main(["info", "--backends", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["mlp"] == found["grid"] == "torch"
    assert (found["device"], found["wanted"]) == ("cpu", "auto")
    assert found["backends"]["torch"] is None
    assert "CUDA device" in found["backends"]["triton"]
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
    with pytest.raises(SystemExit) as left:
        main(["info", *arguments])
    assert left.value.code == 2
    assert "either IN.nvc or --backends" in capsys.readouterr().err


def test_layouts_import_no_torch():
    code = "import sys, nvcodec.cuda.grid_layout; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
