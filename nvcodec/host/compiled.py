"""Loops that numba compiles to machine code. They run outside of Python's lock, beside other threads.

A function over arrays is decorated with one of these:

    compiled_part       called by compiled functions only
    compiled            called from Python, and compiled when it is first called
    compiled_for(...)   called from Python, and compiled at once for the given types

Machine code is kept beside the source or in the user's cache. Without numba the functions are left
as they are: plain Python, with the same results.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable
from functools import cache, update_wrapper
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar, cast

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


def compiled_part(function: _Function) -> _Function:
    """Mark a function that compiled functions alone call; it is compiled and kept with them."""
    if not is_available():
        return function
    from numba import njit

    # Nobody calls it from Python. What serves that takes half of the time of compilation.
    options: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    dispatcher: Any = njit(nogil=True, **options)(function)
    dispatcher_class: Any = type(dispatcher)
    dispatcher.__class__ = _part_class(dispatcher_class)
    return cast("_Function", dispatcher)


@cache
def _part_class(dispatcher_class: type) -> type:
    """Return a class of dispatchers that refuse calls from Python, which would crash."""

    def refuse(self: Any, *_: object) -> object:
        raise TypeError(f"{self.py_func.__name__} is called by compiled functions only")

    return type("CompiledPart", (dispatcher_class,), {"__call__": refuse})


def compiled(function: _Function) -> _Function:
    """Compile a function when it is first called, for the types that it is called with.

    Indices are not checked, and integers wrap around. Arithmetic of an int64 and a uint64 gives a
    float64, so that types have to be made equal before.
    """
    if not is_available():
        return function
    dispatcher = _kept(function)

    def call(*arguments: object) -> object:
        if dispatcher.signatures:
            return dispatcher(*arguments)
        with LOADING:
            return dispatcher(*arguments)

    return cast("_Function", update_wrapper(call, function))


def compiled_for(*signatures: str) -> Callable[[_Function], _Function]:
    """Return a decorator that compiles a function at once; see `compiled`.

    Args:
        signatures: Types of the arguments and the result in the words of numba, such as
            `"int64(int16[:, ::1], uint8[::1])"`; `::1` means contiguous.
    """

    def decorate(function: _Function) -> _Function:
        if not is_available():
            return function
        with LOADING:
            dispatcher = _kept(function)
            for signature in signatures:
                dispatcher.compile(signature)
            dispatcher.disable_compile()
        return cast("_Function", dispatcher)

    return decorate


def _kept(function: Callable[..., object]) -> Any:
    """Return numba's dispatcher of a function, which keeps its machine code where it can."""
    from numba import njit

    dispatcher: Any = njit(nogil=True)(function)
    try:
        dispatcher.enable_caching()
        # numba looks at the function's own file only, and would take code from before a change in
        # another one.
        dispatcher._cache._cache_file._source_stamp = _fingerprint(function.__module__)
    except Exception:  # noqa: BLE001  # no folder to keep it in, a full or damaged disk
        return njit(nogil=True)(function)
    return dispatcher


@cache
def _fingerprint(module: str) -> str:
    """Return a digest of the file of a module and of all that it imports from here or its package.

    Machine code holds the constants and the compiled parts of other files.
    """
    packages = "|".join({module.partition(".")[0], __name__.partition(".")[0]})
    imports = re.compile(rf"^from ((?:{packages})\.[\w.]+) import".encode(), re.MULTILINE)
    digest = hashlib.sha256()
    known = {module}
    pending = [module]
    while pending:
        file = getattr(sys.modules.get(pending.pop()), "__file__", None)
        source = Path(file).read_bytes() if file else b""
        digest.update(source)
        for match in imports.findall(source):
            name = match.decode()
            if name not in known:
                known.add(name)
                pending.append(name)
    return digest.hexdigest()
