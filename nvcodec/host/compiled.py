"""Compiled loops: functions of plain Python over arrays that numba compiles where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])
E={'_match_level','_refine_level','search_tree','refine_overlapped','code_motion','_carry','predict_plane'}

def compiled(function: _Function) -> _Function:
    """Compile a function for integers, floats and arrays; it runs without the GIL."""
    if function.__name__ in E:
        return numba.njit(nogil=True, cache=True)(function)
    return numba.njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
