"""Choice of the compute device and of the precision of convolutions."""

from __future__ import annotations

import os

import torch

from nvcodec.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """Return the device that a name stands for.

    Args:
        name: `"auto"` (CUDA if available, else the CPU), `"cpu"`, `"cuda"` or `"cuda:N"`.

    Raises:
        ConfigError: If the name is unknown or the device is not available.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"expected a device of auto, cpu or cuda, got {name!r}") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"expected a device of auto, cpu or cuda, got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"{name}: this torch ({torch.__version__}) sees {torch.cuda.device_count()} CUDA "
            "devices; use --device cpu, or install a CUDA build of torch"
        )
    return device


def working_type(device: torch.device) -> torch.dtype:
    """Return the type convolutions run in: bfloat16 if the hardware multiplies it, else float32.

    Emulated bfloat16 would be slower than float32, so the processor is checked too.

    Args:
        device: Device that runs the convolutions.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return torch.float32  # a build without oneDNN lacks the operator below
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return torch.float32
    capability = torch.backends.cpu.get_cpu_capability()
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: capability == "AVX512")
    return torch.bfloat16 if native() else torch.float32


def cpu_cores() -> int:
    """Return the number of processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not available on every system
        return os.cpu_count() or 1
