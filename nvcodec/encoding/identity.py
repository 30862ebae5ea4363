"""The identity of an encode: everything that must be equal for `--resume` to continue a file."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from nvcodec._version import __version__
from nvcodec.config import EncoderConfig
from nvcodec.container import TokenFormat
from nvcodec.device import working_type
from nvcodec.encoding.fingerprint import fingerprint

# Variables by which users choose the kernels of oneDNN, MKL and OpenBLAS, which may round differently.
_KERNEL_VARIABLES = (
    "ONEDNN_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "OPENBLAS_CORETYPE",
)
_VECTOR_UNITS = ("sse4", "avx", "fma", "f16c", "amx", "asimd", "sve", "sme", "bf16", "i8mm")
# What the fields of an identity are called in messages; other fields have names of their own.
_WORDS = {
    "source": "the source",
    "settings.mask": "the mask",
    "settings.tokenizer": "the tokenizer",
    "settings.frames": "the range of frames",
    "segment": "the usual and largest number of frames of a segment",
    "arithmetic": "the type of numbers",
    "processor": "the processor",
    "versions.build": "the build of torch",
}


def identity(
    config: EncoderConfig,
    source: Path,
    segment_lengths: tuple[int, int],
    device: torch.device,
    tokens: TokenFormat | None,
) -> dict[str, Any]:
    """Describe everything that decides the bytes of an encode.

    Args:
        config: Settings of the encode.
        source: Path of the video.
        segment_lengths: Usual and largest number of frames of a segment.
        device: Device that segments are fitted on.
        tokens: Format of the stored tokens; None if the file has none.

    Returns:
        A dictionary that is the same after a round trip through JSON. Equal ones mean equal bytes
        of the encoded file.

    Raises:
        OSError: If the source or the mask cannot be read.
    """
    settings = asdict(config)
    settings["frames"] = str(config.frames)
    settings["mask"] = config.mask and fingerprint(Path(config.mask))
    # `config.fitting`, added below, combines these three.
    for name in ("preset", "epochs", "fit"):
        del settings[name]
    del settings["workers"]  # the bytes do not depend on the worker pool
    # The bytes depend on the tokenizer, but not on its path.
    settings["tokenizer"] = tokens and tokens.tokenizer_id.hex()
    fields = {
        "source": fingerprint(source, part=config.frames is not None),
        "settings": {**settings, "fitting": asdict(config.fitting)},
        "segment": list(segment_lengths),
        "device": str(device),
        "arithmetic": str(working_type(device)),
        "threads": torch.get_num_threads(),
        "processor": _processor(),
        "versions": _versions(),
        "environment": {name: os.environ.get(name) for name in _KERNEL_VARIABLES},
    }
    described: dict[str, Any] = json.loads(json.dumps(fields))
    return described


def describe_differences(stored: dict[str, Any], now: dict[str, Any]) -> str:
    """Say in words how two identities differ.

    Args:
        stored: Identity of the interrupted encode.
        now: Identity of the encode that is to resume it.

    Returns:
        A clause per field that differs; empty if the identities are equal.
    """
    then, here = dict(_leaves(stored)), dict(_leaves(now))
    clauses = []
    for field in dict.fromkeys([*then, *here]):
        old, new = then.get(field), here.get(field)
        if old == new and (field in then) == (field in here):
            continue
        words = _WORDS.get(field) or field.rpartition(".")[2].replace("_", " ")
        if isinstance(old, dict) or isinstance(new, dict):  # fingerprints
            clauses.append(f"{words} has another content")
        else:
            clauses.append(f"{words} was {_shown(old)}, now it is {_shown(new)}")
    return ", ".join(clauses)


def _leaves(fields: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return the fields of an identity by their paths; fingerprints are kept whole."""
    leaves: list[tuple[str, Any]] = []
    for name, value in fields.items():
        field = prefix + name
        if isinstance(value, dict) and field not in ("source", "settings.mask"):
            leaves += _leaves(value, f"{field}.")
        else:
            leaves.append((field, value))
    return leaves


def _shown(value: object) -> str:
    return "not set" if value is None else str(value)


def _versions() -> dict[str, Any]:
    """Return the versions of everything that decodes, transforms or multiplies numbers."""
    build = torch.__config__.show()
    onednn = re.search(r"(?:MKL-DNN|oneDNN) (v\S+)", build)
    mkl = re.search(r"Math Kernel Library Version (\S+)", build)
    return {
        "nvcodec": __version__,
        "torch": torch.__version__,
        "oneDNN": onednn and onednn[1],
        "MKL": mkl and mkl[1],
        "build": hashlib.sha256(build.encode()).hexdigest()[:16],
        "numpy": np.__version__,
        "PyAV": av.__version__,
        **{name: ".".join(map(str, number)) for name, number in av.library_versions.items()},
    }


def _processor() -> str:
    """Describe the processor: architecture, kernels of torch, maker and vector units.

    oneDNN and MKL choose their kernels by maker and vector units, at a finer grain than torch.
    """
    words = [platform.machine(), torch.backends.cpu.get_cpu_capability()]
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return " ".join([*words, platform.processor()])
    fields: dict[str, str] = {}
    for line in text.partition("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    units = (fields.get("flags") or fields.get("features") or "").split()
    known = sorted(unit for unit in units if unit.startswith(_VECTOR_UNITS))
    return " ".join([*words, fields.get("vendor_id", ""), *known])
