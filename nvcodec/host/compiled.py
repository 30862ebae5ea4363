"""Loops that numba compiles to machine code. They run outside of Python's lock, beside other threads.

A module of such loops is imported by the function that needs it, and never with the package:

    if is_available():
        with LOADING:
            from nvcodec.some.loops import count

Its functions are decorated with `compiled` and their types, and are compiled by that import: once, then
numba keeps the machine code beside the source or in the user's cache. What one function calls belongs
to its module, above it: numba notices no changes in others. Without numba, callers take another way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from threading import RLock
from typing import TypeVar, cast

from nvcodec.host.forking import hold_over_fork

_Function = TypeVar("_Function", bound=Callable[..., object])

# Held while loops are compiled or loaded, so that no process is forked meanwhile: the locks of numba
# and of Python's imports would stay locked in it.
LOADING = RLock()
hold_over_fork(LOADING)


@cache
def is_available() -> bool:
    """Return whether loops can be compiled: numba is there, and works with this NumPy."""
    with LOADING:
        try:
            import numba
        except ImportError:
            return False
        return not getattr(numba.config, "DISABLE_JIT", False)


def compiled(*signatures: str) -> Callable[[_Function], _Function]:
    """Return a decorator that compiles a function. Results do not depend on who compiles it.

    Indices are not checked, and integers wrap around. Arithmetic of an int64 and a uint64 gives a
    float64, so that types have to be made equal before.

    Args:
        signatures: Types of the arguments and the result in the words of numba, such as
            `"int64(int16[:, ::1], uint8[::1])"`; `::1` means contiguous. None for a function that
            only compiled functions call.
    """

    def decorate(function: _Function) -> _Function:
        from numba import njit

        if not signatures:  # it is compiled, and kept, with the functions that call it
            return cast("_Function", njit(nogil=True)(function))
        types = list(signatures)
        with LOADING:
            try:
                return cast("_Function", njit(types, nogil=True, cache=True)(function))
            except Exception:  # noqa: BLE001  # no folder to keep it in, a full or damaged disk
                return cast("_Function", njit(types, nogil=True)(function))

    return decorate
