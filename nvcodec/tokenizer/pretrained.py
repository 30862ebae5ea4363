"""Files of a tokenizer: `config.json` and `model.safetensors` in a folder, or bundled with nvcodec."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from nvcodec.errors import ConfigError
from nvcodec.models.tokenizer.layout import SPACE_STRIDE, TIME_STRIDE
from nvcodec.tokenizer.token_ids import LEVELS

BUNDLED = Path(__file__).parent / "weights"
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
VERSION = 1
"""Version of the arithmetic around the weights. Part of the identity of a tokenizer."""

Widths = tuple[tuple[int, ...], tuple[int, ...]]
"""Widths of the layers of encoder and decoder."""

DEFAULT_WIDTHS: Widths = ((48, 64, 112, 144, 160), (160, 128, 112))
_PREFIX = "bundled:"
_KIND = "nvcodec.VideoTokenizer"
_LARGEST_WIDTH = 4096
_FORMAT = {
    "kind": _KIND,
    "version": VERSION,
    "levels": list(LEVELS),
    "temporal_compression_ratio": TIME_STRIDE,
    "spatial_compression_ratio": SPACE_STRIDE,
}


def find_folder(path: str | Path) -> Path:
    """Return the folder of a tokenizer.

    Args:
        path: Folder, or `bundled:` and a name.

    Raises:
        ConfigError: If no bundled tokenizer has that name.
    """
    if not str(path).startswith(_PREFIX):
        return Path(path)
    name = str(path).removeprefix(_PREFIX)
    names = sorted(folder.name for folder in BUNDLED.glob("*") if (folder / WEIGHTS_FILE).is_file())
    if name not in names:
        available = ", ".join(_PREFIX + bundled for bundled in names) or "none"
        raise ConfigError(f"no tokenizer {path} comes with nvcodec; there is {available}")
    return BUNDLED / name


def load_files(folder: Path) -> tuple[Widths, dict[str, Tensor]]:
    """Read the files of a tokenizer.

    Args:
        folder: Folder with both files.

    Returns:
        Widths of the layers, and the weights by name, as they are stored.

    Raises:
        ConfigError: If a file is missing or damaged, or this release does not know the format.
    """
    try:
        config = json.loads((folder / CONFIG_FILE).read_text())
        return _check_config(config), load_file(folder / WEIGHTS_FILE)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ConfigError(
            f"{folder}: expected a tokenizer, {CONFIG_FILE} and {WEIGHTS_FILE}: {error}"
        ) from error


def save_files(folder: Path, widths: Widths, weights: dict[str, Tensor]) -> None:
    """Write the files of a tokenizer.

    Args:
        folder: Existing folder to write to.
        widths: Widths of the layers.
        weights: Weights by name, on the CPU.
    """
    encoder, decoder = widths
    config = {**_FORMAT, "encoder_widths": list(encoder), "decoder_widths": list(decoder)}
    save_file(
        {name: tensor.contiguous() for name, tensor in weights.items()}, folder / WEIGHTS_FILE
    )
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=1) + "\n")


def _check_config(config: dict[str, Any]) -> Widths:
    """Check the content of `config.json`; return the widths of the layers.

    Raises:
        ValueError: If a value is not one that this release knows.
        KeyError: If a value is missing.
    """
    for name, value in _FORMAT.items():
        if config[name] != value:
            raise ValueError(f"{name} is {config[name]!r}, this release knows {value!r}")
    widths = tuple(config["encoder_widths"]), tuple(config["decoder_widths"])
    for stored, default in zip(widths, DEFAULT_WIDTHS, strict=True):
        count = len(default)
        if len(stored) != count or any(
            type(width) is not int or not 1 <= width <= _LARGEST_WIDTH for width in stored
        ):
            raise ValueError(f"expected {count} widths up to {_LARGEST_WIDTH}, got {stored}")
    return widths
