"""The identity of an encode: everything that must be equal for `--resume` to continue a file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch

from nvcodec._version import __version__
from nvcodec.config import EncoderConfig
from nvcodec.container import TokenFormat
from nvcodec.device import working_type

_HEAD_BYTES = 1 << 20


def identity(
    config: EncoderConfig,
    source: Path,
    segment_lengths: tuple[int, int],
    device: torch.device,
    tokens: TokenFormat | None,
) -> str:
    """Describe everything that decides the bytes of an encode, as JSON.

    Args:
        config: Settings of the encode.
        source: Path of the video.
        segment_lengths: Usual and largest number of frames of a segment.
        device: Device that segments are fitted on.
        tokens: Format of the stored tokens; None if the file has none.

    Returns:
        JSON text with sorted keys; equal texts mean equal bytes of the encoded file.

    Raises:
        OSError: If the source or the mask cannot be read.
    """
    settings = asdict(config)
    settings["frames"] = str(config.frames)
    settings["mask"] = config.mask and _fingerprint(config.mask)
    # `config.fitting`, added below, combines these three.
    for name in ("preset", "epochs", "fit"):
        del settings[name]
    del settings["workers"]  # the bytes do not depend on the worker pool
    # The bytes depend on the tokenizer, but not on its path.
    settings["tokenizer"] = tokens and tokens.tokenizer_id.hex()
    return json.dumps(
        {
            "source": _fingerprint(source),
            "settings": {**settings, "fitting": asdict(config.fitting)},
            "segment": list(segment_lengths),
            "device": str(device),
            "arithmetic": str(working_type(device)),
            "versions": [__version__, torch.__version__],
            "threads": torch.get_num_threads(),
        },
        sort_keys=True,
    )


def _fingerprint(path: Path) -> dict[str, object]:
    """Describe a file or folder in enough detail to detect that it was replaced."""
    if path.is_dir():
        # The files of a folder are fingerprinted too: mask files often have equal names and sizes.
        files = {file.name: _fingerprint(file) for file in sorted(path.iterdir()) if file.is_file()}
        return {"name": path.name, "files": files}
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return {
        "name": path.name,
        "size": path.stat().st_size,
        "head": hashlib.sha256(head).hexdigest(),
    }
