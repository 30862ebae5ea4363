"""Encoders of `.mp4` and `.mkv` output, and their settings.

B-frames are disabled in all of them: frames then leave the encoder in display order.
"""

from __future__ import annotations

import av

from nvcodec.errors import ConfigError, VideoError

WITHOUT_ASPECT = ("libvpx-vp9", "ffv1")
"""Encoders whose streams do not tell players the sample aspect ratio."""

# Encoder -> (default CRF, options). The default is nearly transparent.
_ENCODERS: dict[str, tuple[int, dict[str, str]]] = {
    "libx264": (12, {"preset": "medium", "bf": "0"}),
    "libx265": (12, {"preset": "medium", "x265-params": "log-level=none:bframes=0"}),
    "libvpx-vp9": (8, {"b": "0", "row-mt": "1", "cpu-used": "3", "auto-alt-ref": "0"}),
    "ffv1": (0, {"level": "3"}),
}
_ODD_SIZES = ("libvpx-vp9", "ffv1")


def default_encoder(width: int, height: int) -> str:
    """Return the encoder for a picture size: libx264, but for odd sizes.

    Args:
        width: Picture width, samples.
        height: Picture height, samples.
    """
    return "libvpx-vp9" if width % 2 or height % 2 else "libx264"


def encoder_options(encoder: str, quality: int | None, size: tuple[int, int]) -> dict[str, str]:
    """Return the options of an encoder, after checking that it can store the video.

    Args:
        encoder: Name of the encoder.
        quality: CRF, lower is better; None is nearly transparent.
        size: Width and height of the pictures, samples.

    Raises:
        ConfigError: If the encoder is unknown, or cannot store this size.
        VideoError: If this libav build has no such encoder.
    """
    width, height = size
    if encoder not in _ENCODERS:
        raise ConfigError(f"encoder: expected one of {', '.join(_ENCODERS)}; found {encoder}")
    if (width % 2 or height % 2) and encoder not in _ODD_SIZES:
        raise ConfigError(
            f"{encoder} cannot store {width}x{height} in 4:2:0, whose sides must be even; "
            f"use {' or '.join(_ODD_SIZES)}"
        )
    if encoder not in av.codecs_available:
        raise VideoError(f"this libav build has no encoder {encoder}")
    default, options = _ENCODERS[encoder]
    if encoder == "ffv1":
        return dict(options)
    return {**options, "crf": str(default if quality is None else quality)}
