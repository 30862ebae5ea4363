"""Neural video codec: encode a video as a small neural network in one file, and decode it.

```python
report = nvcodec.encode("clip.mp4", "clip.nvc")
with nvcodec.open("clip.nvc") as video:
    picture = video[17]                       # RGB, uint8, shape (H, W, 3)
    later = video.frame_at(seconds=3.2)
nvcodec.decode("clip.nvc", "clip.mkv")
```
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, BinaryIO

from nvcodec._lazy import lazy_exports
from nvcodec._version import __version__ as __version__

# An editable install does not find `cuda/` where the symbolic links beside this file were checked out
# as plain files, because `cuda/` has no `__init__.py` (its README says why). Hence this path.
if not os.path.isdir(os.path.join(__path__[0], "cuda")):
    __path__.append(os.path.dirname(__path__[0]))

if TYPE_CHECKING:
    from nvcodec.api import EncodeReport, encode, encode_ladder
    from nvcodec.config import PRESETS, EncoderConfig, FitConfig
    from nvcodec.decoding.comparison import Comparison, compare
    from nvcodec.decoding.decode_file import Decoded
    from nvcodec.decoding.decode_file import decode_file as decode
    from nvcodec.decoding.decoder import Decoder
    from nvcodec.decoding.inspection import StreamInfo, inspect
    from nvcodec.encoding.progress import Progress
    from nvcodec.errors import (
        BitstreamError,
        ChecksumError,
        ClosedError,
        ConfigError,
        NoTokensError,
        NvcodecError,
        OutOfMemoryError,
        OutputBusyError,
        OutputExistsError,
        TruncatedStreamError,
        UnsupportedVersionError,
        VideoError,
        WorkerError,
    )
    from nvcodec.media import ColourMode

__all__ = [
    "PRESETS",
    "BitstreamError",
    "ChecksumError",
    "ClosedError",
    "ColourMode",
    "Comparison",
    "ConfigError",
    "Decoded",
    "Decoder",
    "EncodeReport",
    "EncoderConfig",
    "FitConfig",
    "NoTokensError",
    "NvcodecError",
    "OutOfMemoryError",
    "OutputBusyError",
    "OutputExistsError",
    "Progress",
    "StreamInfo",
    "TruncatedStreamError",
    "UnsupportedVersionError",
    "VideoError",
    "WorkerError",
    "compare",
    "decode",
    "encode",
    "encode_ladder",
    "inspect",
    "open",
]

# Modules are imported on first use: torch takes seconds to import, and `info` does not need it.
_HOMES = {
    "nvcodec.api": ("EncodeReport", "decode", "encode", "encode_ladder"),
    "nvcodec.config": ("PRESETS", "EncoderConfig", "FitConfig"),
    "nvcodec.encoding.progress": ("Progress",),
    "nvcodec.decoding.decoder": ("Decoder",),
    "nvcodec.errors": (
        "BitstreamError",
        "ChecksumError",
        "ClosedError",
        "ConfigError",
        "NoTokensError",
        "NvcodecError",
        "OutputBusyError",
        "OutOfMemoryError",
        "OutputExistsError",
        "TruncatedStreamError",
        "UnsupportedVersionError",
        "VideoError",
        "WorkerError",
    ),
    "nvcodec.decoding.inspection": ("StreamInfo", "inspect"),
    "nvcodec.decoding.comparison": ("Comparison", "compare"),
    "nvcodec.media": ("ColourMode",),
    "nvcodec.decoding.decode_file": ("Decoded",),
}

# Subpackages that `import nvcodec` makes available as attributes.
_SUBMODULES = ("entropy", "models", "tokens", "video")

logging.getLogger(__name__).addHandler(logging.NullHandler())


def open(source: str | os.PathLike[str] | bytes | BinaryIO, *, device: str = "auto") -> Decoder:
    """Open an `.nvc` file for decoding.

    Args:
        source: Path, contents, or binary file object.
        device: Device that decodes: `"auto"` (CUDA if it is available), `"cpu"`, `"cuda"` or
            `"cuda:N"`.

    Returns:
        A `Decoder`, which supports `len`, `[i]`, `[a:b]`, `[[3, 1, 4]]`, iteration and
        `frame_at(seconds)`.

    Raises:
        BitstreamError: If the source is not an `.nvc` stream, or its header is damaged.
        ConfigError: If the device is not available.
    """
    from nvcodec.decoding.decoder import Decoder

    return Decoder(source, device=device)


__getattr__, __dir__ = lazy_exports(__name__, _HOMES, _SUBMODULES)
