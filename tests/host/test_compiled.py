"""Compiled loops: cached or not, and absent without numba."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from nvcodec.host import compiled as module
from nvcodec.host.compiled import compiled, is_available

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
    function = compiled("int64(int16[::1])")(total)
    assert function(np.arange(5, dtype=np.int16)) == 10
    assert len(function.signatures) == 1


def test_without_a_folder_to_keep_it_in(monkeypatch):
    import numba

    asked = []

    def njit(types, *, nogil, cache=False):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return numba.jit(types, nopython=True, nogil=nogil)

    monkeypatch.setattr(numba, "njit", njit)
    assert module.compiled("int64(int16[::1])")(total)(np.ones(3, np.int16)) == 3
    assert asked == [True, False]


def test_without_numba_there_are_no_compiled_loops():
    subprocess.run([sys.executable, "-c", _NO_NUMBA], check=True, timeout=60)


def test_the_package_does_not_import_numba():
    code = "import nvcodec, nvcodec.cli, sys; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
