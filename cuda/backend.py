"""Which backend computes, and why not another: tiny-cuda-nn, our Triton kernels, or plain torch."""

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

# In the order in which `auto` asks them. Every module of a kind has the same function.
_MODULES: dict[str, dict[Kind, str]] = {
    "tinycudann": {"mlp": "nvcodec.cuda.tcnn_mlp", "grid": "nvcodec.cuda.tcnn_grid"},
    "triton": {"mlp": "nvcodec.cuda.triton_mlp", "grid": "nvcodec.cuda.triton_grid"},
    "torch": {"mlp": "nvcodec.cuda.torch_mlp", "grid": "nvcodec.cuda.torch_grid"},
}

# For fewer points, packing parameters takes longer than what it saves: the few frames of a batch
# that a time branch is asked for. Not measured yet.
_FEWEST = 1024

# Why a backend failed at what it should have been able to do, by backend and call site.
_failures: dict[Hashable, str | None] = {}


@dataclass(frozen=True)
class Call:
    """A call site, as backends are asked about it.

    Attributes:
        kind: What is to be computed.
        what: The same for readers of a message.
        key: Tells it from calls that a backend may treat differently.
        refusal: From a module of this kind: why it cannot serve, or None.
        trial: Has a module compute something small, so that what cannot be compiled fails here.
    """

    kind: Kind
    what: str
    key: Hashable
    refusal: Callable[[ModuleType], str | None]
    trial: Callable[[ModuleType], None]


def wanted() -> str:
    """The backend that the environment asks for, or `"auto"`.

    Raises:
        ConfigError: If it names none.
    """
    name = os.environ.get(VARIABLE, "auto")
    if name != "auto" and name not in _MODULES:
        raise ConfigError(f"{VARIABLE}: expected one of auto, {', '.join(_MODULES)}, got {name!r}")
    return name


def missing(name: str, device: torch.device) -> str | None:
    """Why a backend cannot be had on a device, or None.

    Args:
        name: tinycudann, triton or torch.
        device: To compute on.
    """
    if name == "torch":
        return None
    if device.type != "cuda" and not (name == "triton" and _interpreted()):
        return f"needs a CUDA device, and this is on {device.type}"
    return _import_failure(name)


def choose(device: torch.device, points: int, call: Callable[[], Call]) -> ModuleType | None:
    """The module that serves a call.

    Args:
        device: To compute on.
        points: How many there are; few are left to torch, unless a backend is asked for.
        call: Describes it; not asked where torch is all there is.

    Returns:
        A module of this kind; None for plain torch.

    Raises:
        ConfigError: If the environment asks for an unknown backend, or one that cannot serve.
    """
    name = wanted()
    if name == "torch" or (name == "auto" and (device.type != "cuda" or points < _FEWEST)):
        return None
    made = call()
    for one in _MODULES if name == "auto" else (name,):
        if one == "torch":
            return None
        reason = missing(one, device) or _failure(one, device, made)
        if reason is None:
            return import_module(_MODULES[one][made.kind])
    raise ConfigError(
        f"{VARIABLE}={name} cannot compute {made.what}: {reason}; left at auto, another backend does"
    )


@dataclass(frozen=True)
class Report:
    """What `nvcodec info --backends` tells.

    Attributes:
        device: What models are computed on by default.
        wanted: What the environment asks for.
        backends: By name, why it cannot be had here; None where it can.
        mlp: What computes perceptrons that every backend could; None if what is wanted cannot.
        grid: The same of grids.
    """

    device: str
    wanted: str
    backends: dict[str, str | None]
    mlp: str | None
    grid: str | None


def report() -> Report:
    """What there is on this machine.

    Raises:
        ConfigError: If the environment asks for an unknown backend.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = wanted()
    backends = {one: missing(one, device) for one in _MODULES}
    if name == "auto" and device.type != "cuda":
        used: str | None = "torch"
    else:
        asked = _MODULES if name == "auto" else (name,)
        used = next((one for one in asked if backends[one] is None), None)
    return Report(device.type, name, backends, used, used)


def _failure(name: str, device: torch.device, call: Call) -> str | None:
    """Why a backend that is there does not serve a call; trials are made once."""
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
            logger.warning("%s cannot compute %s: %s", name, call.what, _failures[key])
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
