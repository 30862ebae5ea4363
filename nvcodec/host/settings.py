"""Computation that does not depend on settings of the host program.

A host may have chosen another default type, autocast, TF32 or a default device. The codec computes as
it would in a process of its own: these settings are set when it begins and restored when it ends.
Deterministic algorithms and the number of threads are left as they are: results of the CPU do not
depend on the former, and only fits on the latter.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import wraps
from itertools import chain
from threading import Lock, RLock, local
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch

from nvcodec.host import compiled  # noqa: F401  # a fork takes locks in reverse: LOADING last
from nvcodec.host.forking import hold_over_fork

_P = ParamSpec("_P")
_R = TypeVar("_R")

_lock, _random_lock = Lock(), RLock()
hold_over_fork(_lock)
hold_over_fork(_random_lock)


class _Switch:
    """A switch of the whole process: set by the first thread that needs it, restored by the last.

    Args:
        get: Function that returns the present value.
        put: Function that sets a value.
        own: Value that the codec computes with.
    """

    def __init__(self, get: Callable[[], Any], put: Callable[[Any], None], own: Any) -> None:
        self._get, self._put, self._own = get, put, own
        self._users = 0
        self._host: Any = None  # value to restore; None if it is that of the codec

    def acquire(self) -> None:
        """Set the switch, and remember what the host has chosen last."""
        self._users += 1
        value = self._get()
        if value != self._own:
            self._host = value
            self._put(self._own)

    def release(self) -> None:
        """Restore the switch, unless others need it still or the host has set it meanwhile."""
        self.keep(self._users - 1)

    def keep(self, users: int) -> None:
        """Change the number of threads that need the switch; restore it if there are none."""
        self._users = users
        if not self._users and self._host is not None:
            if self._get() == self._own:
                self._put(self._host)
            self._host = None


def _precision(backend: str, operation: str) -> _Switch:
    """Return the switch of the precision of float32 products in an operation of a backend."""

    def get() -> str:
        value: str = torch._C._get_fp32_precision_getter(backend, operation)
        return value

    def put(value: str) -> None:
        torch._C._set_fp32_precision_setter(backend, operation, value)

    return _Switch(get, put, "ieee")


def _switches() -> dict[str, list[_Switch]]:
    """Return the switches that matter on each type of device, in the order in which they are set."""
    shared = [
        _Switch(torch.get_default_dtype, torch.set_default_dtype, torch.float32),
        _Switch(torch._C._get_mkldnn_enabled, torch._C._set_mkldnn_enabled, True),
    ]
    if hasattr(torch._C, "_get_fp32_precision_getter"):  # from PyTorch 2.9
        # Operations without a precision of their own follow that of all, so this is set first.
        cpu = [_precision("mkldnn", name) for name in ("all", "matmul", "conv")]
        cuda = [_precision("cuda", name) for name in ("all", "matmul", "conv")]
    else:
        cpu = [
            _Switch(
                torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"
            )
        ]
        cudnn = torch._C._get_cudnn_allow_tf32, torch._C._set_cudnn_allow_tf32
        cuda = [_Switch(*cudnn, False)]
    return {"cpu": [*shared, *cpu], "cuda": [*shared, *cpu, *cuda]}  # some fits use the CPU anyway


_SWITCHES = _switches()


class _Entered(local):
    """The switches of the contexts that this thread is in, as often as it has set them."""

    def __init__(self) -> None:
        self.switches: list[_Switch] = []


_entered = _Entered()


def _forget_other_threads() -> None:
    """Give up what other threads needed at the time of a fork: they do not exist in the child."""
    for switch in dict.fromkeys(chain.from_iterable(_SWITCHES.values())):
        switch.keep(_entered.switches.count(switch))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_other_threads)


@contextmanager
def own_random_numbers(seed: int = 0) -> Iterator[None]:
    """Let torch draw random numbers that follow from a seed, and restore those of the host.

    All threads draw from one generator of torch, so that only one of them is in this context.

    Args:
        seed: The seed.
    """
    with _random_lock, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


class OwnSettings:
    """Context in which this thread computes with the settings of the codec.

    Args:
        device: Type of the device that computes, `"cpu"` or `"cuda"`.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._switches = _SWITCHES[device]
        self._thread = ExitStack()

    def __enter__(self) -> None:
        with _lock:
            for switch in self._switches:
                switch.acquire()
                _entered.switches.append(switch)
        self._set_thread(self._thread)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.close()
        with _lock:
            for switch in reversed(self._switches):
                switch.release()
                _entered.switches.remove(switch)

    def _set_thread(self, stack: ExitStack) -> None:
        """Set what belongs to this thread."""
        stack.enter_context(np.errstate(all="ignore"))
        # Neither modes of the host, one of which is a default device, nor inference mode.
        contexts: list[AbstractContextManager[object]] = [torch.inference_mode(False)]
        if torch._C._len_torch_function_stack():
            contexts.append(torch._C.DisableTorchFunction())
        if torch._C._len_torch_dispatch_stack():
            contexts.append(torch._C._DisableTorchDispatch())
        for context in contexts:
            stack.enter_context(context)
        for device in _SWITCHES:
            if torch.is_autocast_enabled(device):
                torch.set_autocast_enabled(device, False)
                stack.callback(torch.set_autocast_enabled, device, True)
        if nesting := torch.autocast_increment_nesting() - 1:
            # Within autocast of the host, an autocast of the codec would not clear the cache of cast
            # weights when it ends, and the next step of a fit would compute with the weights of this
            # one.
            stack.callback(_nest_autocast, nesting)
        for _ in range(nesting + 1):
            torch.autocast_decrement_nesting()
        if _flushes_denormals(sys.float_info.min):
            torch.set_flush_denormal(False)
            stack.callback(torch.set_flush_denormal, True)


def _nest_autocast(depth: int) -> None:
    """Enter autocast so many times, as far as torch counts."""
    for _ in range(depth):
        torch.autocast_increment_nesting()


def _flushes_denormals(smallest: float) -> bool:
    """Return whether this thread takes denormal numbers for zero.

    Args:
        smallest: The smallest positive number that is not denormal.
    """
    return smallest / 2 == 0.0


def with_own_settings(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a method compute with the settings of the codec, on the `_device` of its object.

    Args:
        method: Method that is no generator: the host's code runs while a generator waits.
    """

    @wraps(method)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        device: torch.device = args[0]._device  # type: ignore[attr-defined]
        with OwnSettings(device.type):
            return method(*args, **kwargs)

    return run
