"""The choice of the backend of a call: tiny-cuda-nn, our Triton kernels or plain torch."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Literal

import torch

from nvcodec.errors import ConfigError

logger = logging.getLogger(__name__)

VARIABLE = "NVCODEC_BACKEND"
Kind = Literal["mlp", "grid"]

# In the order in which `auto` tries them. The modules of a kind have the same functions.
_MODULES: dict[str, dict[Kind, str]] = {
    "tinycudann": {"mlp": "nvcodec.cuda.tcnn_mlp", "grid": "nvcodec.cuda.tcnn_grid"},
    "triton": {"mlp": "nvcodec.cuda.triton_mlp", "grid": "nvcodec.cuda.triton_grid"},
    "torch": {"mlp": "nvcodec.cuda.torch_mlp", "grid": "nvcodec.cuda.torch_grid"},
}

# With fewer points, packing the parameters takes longer than it saves. An example is the time
# branch, whose points are the few frames of a batch. The number is not measured yet.
_MIN_POINTS = 1024

# Reasons why trials failed, by backend and call; None for trials that succeeded.
_failures: dict[Hashable, str | None] = {}


@dataclass(frozen=True)
class Call:
    """Description of a call for which a backend is to be chosen.

    Attributes:
        kind: `"mlp"` for a perceptron, `"grid"` for a grid.
        description: Description of the computation for messages.
        key: Value that differs between calls that a backend may treat differently.
        refusal: Function from a module of this kind to the reason why it cannot serve, or None.
        trial: Function that has a module compute something small, so that code that cannot be
            compiled fails here.
    """

    kind: Kind
    description: str
    key: Hashable
    refusal: Callable[[ModuleType], str | None]
    trial: Callable[[ModuleType], None]


def requested() -> str:
    """Return the backend that the environment variable requests, or `"auto"`.

    Raises:
        ConfigError: If there is no backend of that name.
    """
    name = os.environ.get(VARIABLE, "auto")
    if name != "auto" and name not in _MODULES:
        raise ConfigError(f"{VARIABLE}: expected one of auto, {', '.join(_MODULES)}, got {name!r}")
    return name


def unavailable_reason(name: str, device: torch.device) -> str | None:
    """Return the reason why a backend is not available on a device, or None if it is.

    Args:
        name: `"tinycudann"`, `"triton"` or `"torch"`.
        device: Device to compute on.
    """
    if name == "torch":
        return None
    if device.type != "cuda" and not (name == "triton" and _interpreted()):
        return f"needs a CUDA device, and this is on {device.type}"
    return _import_failure(name)


def choose(device: torch.device, points: int, call: Callable[[], Call]) -> ModuleType | None:
    """Choose the module that serves a call.

    Args:
        device: Device to compute on.
        points: Number of points; torch serves few points unless another backend is requested.
        call: Function that describes the call; only called if another backend than torch may serve.

    Returns:
        A module of the kind of the call; None for plain torch.

    Raises:
        ConfigError: If the environment requests an unknown backend or one that cannot serve.
    """
    name = requested()
    if name == "torch" or (name == "auto" and (device.type != "cuda" or points < _MIN_POINTS)):
        return None
    described = call()
    for candidate in _MODULES if name == "auto" else (name,):
        if candidate == "torch":
            return None
        reason = unavailable_reason(candidate, device) or _failure(candidate, device, described)
        if reason is None:
            return import_module(_MODULES[candidate][described.kind])
    raise ConfigError(
        f"{VARIABLE}={name} cannot compute {described.description}: {reason}; unset it to use "
        "another backend"
    )


@dataclass(frozen=True)
class Report:
    """The availability of backends, which `nvcodec info --backends` prints.

    Attributes:
        device: Device on which models are computed by default.
        wanted: Backend that the environment requests, or `"auto"`.
        backends: By the name of a backend, the reason why it is not available, or None if it is.
        mlp: Backend of perceptrons that all backends can compute; None if the requested one is not
            available.
        grid: Backend of grids that all backends can compute; None if the requested one is not
            available.
    """

    device: str
    wanted: str
    backends: dict[str, str | None]
    mlp: str | None
    grid: str | None


def report() -> Report:
    """Report which backends are available on this machine.

    Raises:
        ConfigError: If the environment requests an unknown backend.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = requested()
    backends = {backend: unavailable_reason(backend, device) for backend in _MODULES}
    if name == "auto" and device.type != "cuda":
        used: str | None = "torch"
    else:
        candidates = _MODULES if name == "auto" else (name,)
        used = next((backend for backend in candidates if backends[backend] is None), None)
    return Report(device.type, name, backends, used, used)


def _failure(name: str, device: torch.device, call: Call) -> str | None:
    """Return the reason why an available backend cannot serve a call, or None if it can.

    The trial of a call is made once.
    """
    module = import_module(_MODULES[name][call.kind])
    reason = call.refusal(module)
    if reason is not None:
        return reason
    key = (name, device, torch.is_grad_enabled(), call.key)
    if key not in _failures:
        try:
            call.trial(module)
            _failures[key] = None
        except Exception as error:  # noqa: BLE001 - whatever a compiler or an extension raises
            _failures[key] = f"it failed: {_first_line(error)}"
            logger.warning("%s cannot compute %s: %s", name, call.description, _failures[key])
    return _failures[key]


@cache
def _import_failure(name: str) -> str | None:
    try:
        for module in _MODULES[name].values():
            import_module(module)
    except Exception as error:  # noqa: BLE001 - tiny-cuda-nn raises OSError where it finds no GPU
        reason = f"cannot be imported: {_first_line(error)}"
        logger.info("%s %s", name, reason)
        return reason
    return None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET", "0") == "1"
