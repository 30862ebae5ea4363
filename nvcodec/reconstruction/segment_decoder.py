"""Interface of the decoder of a segment, and the choice of the decoder for its model family.

The module of a family's decoder is imported when a segment of that family is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from nvcodec.container import Header, Segment
from nvcodec.errors import BitstreamError, UnsupportedVersionError
from nvcodec.host.settings import OwnSettings
from nvcodec.media import Colour, Frames, Planes, UInt8Array
from nvcodec.metrics import psnr
from nvcodec.models import name_of
from nvcodec.models.base.config import ModelConfig
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.reconstruction.memory_limits import memory_excess
from nvcodec.reconstruction.payload import split_payload


class SegmentDecoder(Protocol):
    """Decoder of one segment, which decodes pictures on demand."""

    @property
    def batch(self) -> int:
        """Number of frames to decode at a time for best speed, at least 1."""
        ...

    def planes(self, frames: Sequence[int]) -> Planes:
        """Decode frames.

        Args:
            frames: B frame numbers within the segment, from 0, at least one, in any order and with
                repetitions. More than `batch` of them take more memory.

        Returns:
            B pictures of the size in the stream's header, in the order of `frames`.

        Raises:
            BitstreamError: If the body of the payload is malformed.
        """
        ...

    def interpolate(self, times: Sequence[float], size: tuple[int, int]) -> Planes:
        """Decode or interpolate pictures at any times of the segment, at any size.

        Args:
            times: B times in frames from the first frame of the segment, each from 0 to the number
                of frames less 1, at least one, in any order. Fractions lie between frames.
            size: Height and width of the pictures, samples, at least 1.

        Returns:
            B pictures of that size, in the order of `times`. At whole times and the size in the
            stream's header they are those of `planes`.

        Raises:
            BitstreamError: If the body of the payload is malformed.
        """
        ...

    def reference_state(self) -> object:
        """Return the state that the next segment may be predicted from.

        Its type depends on the model family.
        """
        ...


def open_segment_decoder(
    stored: Segment,
    header: Header,
    device: torch.device,
    *,
    number: int,
    previous: object = None,
    fsq_indices: UInt8Array | None = None,
) -> SegmentDecoder:
    """Make the decoder of a segment that a file stores.

    Args:
        stored: Segment as the file stores it.
        header: Header of the stream.
        device: Device that decodes.
        number: Number of the segment, for error messages.
        previous: Reference state of the segment before, if this one is predicted from it.
        fsq_indices: FSQ indices of the segment's tokens, shape (t, h, w, 6), if the model is
            conditioned on them.

    Raises:
        UnsupportedVersionError: If this release does not know the model.
        BitstreamError: If the payload is malformed, or would take too much memory to decode.
    """
    config, body = split_payload(stored, header)
    if (excess := memory_excess(config)) is not None:
        raise BitstreamError(f"segment {number}: {excess}")
    name, colour = name_of(header.model), header.video.colour
    return make_segment_decoder(name, config, body, colour, device, previous, fsq_indices)


def make_segment_decoder(
    name: str,
    config: ModelConfig,
    body: bytes,
    colour: Colour,
    device: torch.device,
    previous: object = None,
    fsq_indices: UInt8Array | None = None,
) -> SegmentDecoder:
    """Make the decoder of a segment from the parts of its payload.

    Args:
        name: Name of the model family.
        config: Configuration of the model. Its need for memory is not checked.
        body: Body of the segment's payload.
        colour: Colour properties of the decoded pictures.
        device: Device that decodes.
        previous: Reference state of the segment before, if this one is predicted from it.
        fsq_indices: FSQ indices of the segment's tokens, shape (t, h, w, 6), if the model is
            conditioned on them.

    Raises:
        UnsupportedVersionError: If this release cannot decode the model.
        BitstreamError: If the body is malformed.
    """
    if isinstance(config, NetworkConfig):
        from nvcodec.reconstruction.network_decoder import NetworkDecoder

        with OwnSettings(device.type):
            return NetworkDecoder(name, config, body, colour, device, previous, fsq_indices)
    if isinstance(config, LatentGridConfig):
        from nvcodec.reconstruction.latentgrid_decoder import LatentGridDecoder

        with OwnSettings(device.type):
            return LatentGridDecoder(config, body, colour, device, previous)
    raise UnsupportedVersionError(f"this release cannot decode the model {name}")


def luma_psnr(pictures: SegmentDecoder, frames: Frames) -> float:
    """Return the luma PSNR of the valid pixels of a coded segment, dB, mean over frames.

    Args:
        pictures: Decoder of the segment.
        frames: Source frames of the segment. At least one pixel must be valid; frames without a
            valid pixel do not count.
    """
    values = []
    for t in range(len(frames)):
        source = frames.y[t : t + 1]
        valid_mask = (
            np.ones_like(source, np.bool_)
            if frames.valid_mask is None
            else frames.valid_mask[t : t + 1]
        )
        if valid_mask.any():
            luma, _, _ = pictures.planes([t])
            values.append(psnr(source[valid_mask][None], luma[valid_mask][None])[0])
    return float(np.mean(values))
