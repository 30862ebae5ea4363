"""Compiled loops: cached or not, and absent without numba."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nvcodec.host import compiled as module
from nvcodec.host.compiled import compiled_for, is_available

_NO_NUMBA = """
import sys
sys.modules["numba"] = None
from nvcodec.host.compiled import is_available
assert not is_available()
"""


def total(values):
    result = 0
    for value in values:
        result += value
    return result


def test_a_loop_is_compiled_for_its_types():
    assert is_available()
    function = compiled_for("int64(int16[::1])")(total)
    assert function(np.arange(5, dtype=np.int16)) == 10
    assert len(function.signatures) == 1


@pytest.mark.parametrize("decorate", [module.compiled, compiled_for("int64(int16[::1])")])
def test_without_a_folder_to_keep_it_in(monkeypatch, decorate):
    from numba.core.dispatcher import Dispatcher

    def refuse(dispatcher):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(Dispatcher, "enable_caching", refuse)
    assert decorate(total)(np.ones(3, np.int16)) == 3


def test_without_numba_there_are_no_compiled_loops():
    subprocess.run([sys.executable, "-c", _NO_NUMBA], check=True, timeout=60)


def test_the_package_does_not_import_numba():
    code = "import nvcodec, nvcodec.cli, sys; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_parts_refuse_calls_from_python():
    part = module.compiled_part(total)
    with pytest.raises(TypeError, match="total is called by compiled functions only"):
        part(np.ones(3, np.int16))

    @module.compiled
    def twice(values):
        return 2 * part(values)

    assert twice(np.ones(3, np.int16)) == 6


@pytest.mark.parametrize("changed", ["part", "constants"])
def test_a_change_in_another_file_is_noticed(tmp_path, changed):
    """numba itself looks at the file of the calling function only."""
    (tmp_path / "loops").mkdir()
    for name, source in _PACKAGE.items():
        (tmp_path / "loops" / f"{name}.py").write_text(source)
    run = [sys.executable, "-c", "import loops.caller; print(loops.caller.call())"]
    options = {"cwd": tmp_path, "text": True}
    assert subprocess.check_output(run, **options) == "11\n"
    file = tmp_path / "loops" / f"{changed}.py"
    file.write_text(file.read_text().replace("1", "2"))
    expected = {"part": "12\n", "constants": "21\n"}[changed]
    assert subprocess.check_output(run, **options) == expected


def test_a_change_in_the_package_is_noticed_by_those_that_call_it(tmp_path, monkeypatch):
    """A test that compiles a part of nvcodec must not run machine code from before a change."""
    script = tmp_path / "outside.py"
    script.write_text("from nvcodec.models.latentgrid.motion.temporal import scaled\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("outside")
    before = module._fingerprint.__wrapped__("outside")
    read = Path.read_bytes

    def changed(path):
        return read(path) + (b"#" if path.name == "temporal.py" else b"")

    monkeypatch.setattr(Path, "read_bytes", changed)
    assert module._fingerprint.__wrapped__("outside") != before


_PACKAGE = {
    "constants": "CONSTANT = 10",
    "part": """
from loops.constants import CONSTANT
from nvcodec.host.compiled import compiled_part

@compiled_part
def value():
    return CONSTANT + 1
""",
    "caller": """
from loops.part import value
from nvcodec.host.compiled import compiled

@compiled
def call():
    return value()
""",
}
