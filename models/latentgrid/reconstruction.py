"""The last step of decoding a `latentgrid` frame, shared by the decoder and the encoder.

What leaves here is a decoded frame, and the reference of later ones. The encoder codes every frame
against these very frames, so an in-loop filter belongs here and nowhere else.
"""

from __future__ import annotations

from nvcodec.models.latentgrid.picture import Picture
from nvcodec.models.latentgrid.subband_arrays import round_to_uint8

GREY = 128.0
"""Prediction of every sample of a frame that has no reference."""


def reconstruct(predicted: Picture | None, residual: Picture) -> Picture:
    """Reconstruct frames from their prediction and their residual.

    Args:
        predicted: Motion-compensated prediction, float, one frame each; None without references.
        residual: Decoded residual of the same frames, float.

    Returns:
        Decoded frames, uint8.
    """
    return Picture(
        round_to_uint8(residual.luma + (GREY if predicted is None else predicted.luma)),
        round_to_uint8(residual.chroma + (GREY if predicted is None else predicted.chroma)),
    )
