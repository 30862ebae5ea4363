"""What a decoder needs of a segment, whatever family it is coded by: its pictures.

A payload is opened by the part of the tool that knows its family, which is imported then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from nvcodec.container import Header, Segment
from nvcodec.errors import BitstreamError, UnsupportedVersionError
from nvcodec.media import Colour, Frames, Planes, UInt8Array
from nvcodec.metrics import psnr
from nvcodec.models import name_of
from nvcodec.models.base.config import ModelConfig
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.reconstruction.payload import split_payload

# Values of the largest intermediate tensor; more is refused rather than attempted.
_LARGEST_TENSOR = 1 << 29


class SegmentDecoder(Protocol):
    """The pictures of a segment, decoded when asked for."""

    @property
    def batch(self) -> int:
        """Frames worth asking for at a time, at least 1."""
        ...

    def planes(self, frames: Sequence[int]) -> Planes:
        """Decode frames.

        Args:
            frames: B numbers within the segment, counted from 0, at least one; in any order, and
                the same more than once if need be. More than `batch` cost memory, nothing else.

        Returns:
            B pictures of the size in the stream's header, in the order asked for.

        Raises:
            BitstreamError: If the body of the payload turns out to be malformed only now.
        """
        ...

    def at(self, times: Sequence[float], size: tuple[int, int]) -> Planes:
        """Pictures at any moments of the segment, at any size.

        Args:
            times: B moments in frames from the segment's first one, each from 0 to the number of
                frames less 1, fractions lying between frames; at least one, in any order.
            size: Height and width wanted, at least 1.

        Returns:
            B pictures of that size, in the order asked for. At whole times and the size in the
            stream's header they are those of `planes`.

        Raises:
            BitstreamError: If the body of the payload turns out to be malformed only now.
        """
        ...

    def reference_state(self) -> object:
        """What the next segment may be predicted from, and nothing else; its family knows it."""
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
    """The pictures of a segment.

    Args:
        stored: The segment.
        header: The stream's header.
        device: Where to decode.
        number: Of the segment, for messages.
        previous: The state of the segment before, if this one is predicted from it.
        fsq_indices: The segment's tokens, shape (t, h, w, 6), if the model is fed by them.

    Raises:
        UnsupportedVersionError: If the model is unknown.
        BitstreamError: If the payload is malformed, or would take too much memory to decode.
    """
    config, body = split_payload(stored, header)
    if config.largest_tensor > _LARGEST_TENSOR:
        raise BitstreamError(
            f"segment {number}: its network needs a tensor of {config.largest_tensor} values "
            f"for one frame; at most {_LARGEST_TENSOR} are allowed"
        )
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
    """The pictures of a segment that may not be in a file yet.

    Args:
        name: Of the model family.
        config: The model's configuration; how much memory it takes is not looked at.
        body: The payload without it.
        colour: How the pictures' samples are to map to light.
        device: Where to decode.
        previous: The state of the segment before, if this one is predicted from it.
        fsq_indices: The segment's tokens, shape (t, h, w, 6), if the model is fed by them.

    Raises:
        BitstreamError: If the body is malformed.
    """
    if isinstance(config, NetworkConfig):
        from nvcodec.reconstruction.network_decoder import NetworkDecoder

        return NetworkDecoder(name, config, body, colour, device, previous, fsq_indices)
    if isinstance(config, LatentGridConfig):
        from nvcodec.reconstruction.latentgrid_decoder import LatentGridDecoder

        return LatentGridDecoder(config, body, colour, device, previous)
    raise UnsupportedVersionError(f"this release cannot decode the model {name}")


def luma_psnr(pictures: SegmentDecoder, frames: Frames) -> float:
    """What a decoder gets of the known pixels of a coded segment, dB, mean over frames.

    Args:
        pictures: The segment, decoded.
        frames: The source's pictures of it; something must be known.
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
