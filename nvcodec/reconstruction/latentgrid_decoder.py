"""Decoder of segments of the `latentgrid` family, and conversion between its planes and pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from nvcodec.entropy.latents.decoder import LatentGridReader
from nvcodec.errors import BitstreamError
from nvcodec.host.settings import with_own_settings
from nvcodec.media import Colour, ColourMode, Frames, Planes, UInt8Array
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.latentgrid.model import LatentGrid, QuantisationSteps
from nvcodec.models.latentgrid.picture import Picture
from nvcodec.reconstruction.resampling import decode_times, resampled
from nvcodec.video import colour as conversion
from nvcodec.video.sources.mask_filling import valid_chroma

# Luma samples decoded at a time: frames of a GOP are decoded together as far as they fit in caches.
_BATCH_SAMPLES = 1 << 22
_LARGEST_BATCH = 32


class LatentGridDecoder:
    """Decodes a segment of the `latentgrid` family; it is a `SegmentDecoder`.

    Args:
        config: Configuration of the model: sizes and coding order.
        body: Body of the segment's payload.
        colour: Colour properties of the decoded pictures.
        device: Device that decodes.
        previous: Reference state of the segment before, if this one is predicted from it.

    Raises:
        BitstreamError: If the body is malformed.
    """

    def __init__(
        self,
        config: LatentGridConfig,
        body: bytes,
        colour: Colour,
        device: torch.device,
        previous: object = None,
    ) -> None:
        self._config, self._colour, self._device = config, colour, device
        reader = LatentGridReader(
            body,
            config.layouts,
            config.frames,
            config.temporal_layers,
            config.grid_size,
            config.cell,
        )
        steps = QuantisationSteps.of(reader.steps, config)
        before = reference_picture(previous, device) if config.predicted else None
        self._model = LatentGrid(
            config, steps, reader.grids.symbols, reader.motion, device, before, reader.read
        )

    @property
    def batch(self) -> int:
        """Number of frames to decode at a time, 1 to 32."""
        height, width = self._config.size
        return max(1, min(_LARGEST_BATCH, _BATCH_SAMPLES // (height * width)))

    @with_own_settings
    def planes(self, frames: Sequence[int]) -> Planes:
        """Decode frames and the reference frames that they need."""
        return picture_planes(self._model.planes(frames), self._config, self._colour)

    @with_own_settings
    def interpolate(self, times: Sequence[float], size: tuple[int, int]) -> Planes:
        """Decode frames, and interpolate between them by motion compensation from both sides."""
        pictures = decode_times(times, self.planes, self._between)
        return resampled(pictures, size, self._device)

    def _between(self, times: Sequence[float]) -> Planes:
        return picture_planes(self._model.interpolate(times), self._config, self._colour)

    @with_own_settings
    def reference_state(self) -> Picture:
        """Return the last frame, in the planes of the model."""
        return self._model.planes([self._config.frames - 1])


def reference_picture(previous: object, device: torch.device) -> Picture:
    """Return the reference frame of a predicted segment: the last frame of the segment before.

    Args:
        previous: Reference state of the segment before.
        device: Device to move it to.

    Raises:
        BitstreamError: If it is not the reference state of a `latentgrid` segment.
    """
    if not isinstance(previous, Picture):
        raise BitstreamError("a segment is predicted from the one before it, which is missing")
    return previous.to(device)


def source_picture(frames: Frames, config: LatentGridConfig, colour: Colour) -> Picture:
    """Convert frames to the planes that the model is fitted to.

    Args:
        frames: T pictures of the configuration's size.
        config: Configuration of the model; its colour mode is used.
        colour: Colour properties of the pictures; used for RGB only.

    Returns:
        T pictures, uint8: Y, U and V, or Y, Co and Cg for RGB.
    """
    if config.colour is not ColourMode.RGB:
        chroma = torch.from_numpy(np.stack([frames.u, frames.v], axis=1))
        return Picture(torch.from_numpy(frames.y)[:, None], chroma)
    red, green, blue = np.moveaxis(
        conversion.rgb(frames.y, frames.u, frames.v, colour).astype(np.int16), -1, 0
    )
    # Y, Co and Cg (Malvar and Sullivan, 2003). Co and Cg are halved, so that they fit 8 bits about 128.
    luma = (red + 2 * green + blue + 2) >> 2
    orange = ((red - blue + 1) >> 1) + 128
    green = ((2 * green - red - blue + 2) >> 2) + 128
    planes = [np.clip(plane, 0, 255).astype(np.uint8) for plane in (luma, orange, green)]
    return Picture(torch.from_numpy(planes[0])[:, None], torch.from_numpy(np.stack(planes[1:], 1)))


def valid_picture(frames: Frames, config: LatentGridConfig) -> Picture | None:
    """Return which samples of `source_picture` are valid, that is not masked.

    Args:
        frames: T pictures of the configuration's size.
        config: Configuration of the model; its colour mode is used.

    Returns:
        T pictures, bool; None if all samples are valid.
    """
    if frames.valid_mask is None:
        return None
    luma = torch.from_numpy(frames.valid_mask)[:, None]
    if config.colour is ColourMode.RGB:
        return Picture(luma, luma.expand(-1, 2, -1, -1))
    chroma = torch.from_numpy(valid_chroma(frames.valid_mask))[:, None]
    return Picture(luma, chroma.expand(-1, 2, -1, -1))


def picture_planes(picture: Picture, config: LatentGridConfig, colour: Colour) -> Planes:
    """Convert planes of the model to 8-bit 4:2:0 pictures.

    Args:
        picture: B pictures, uint8.
        config: Configuration of the model; its colour mode is used.
        colour: Colour properties of the result; used for RGB only.

    Returns:
        Planes y (B, H, W), u and v (B, ceil(H / 2), ceil(W / 2)), uint8.
    """
    luma, chroma = picture.luma[:, 0].cpu().numpy(), picture.chroma.cpu().numpy()
    if config.colour is not ColourMode.RGB:
        return luma, np.ascontiguousarray(chroma[:, 0]), np.ascontiguousarray(chroma[:, 1])
    return conversion.yuv420(_rgb(luma, chroma), colour)


def _rgb(luma: UInt8Array, chroma: UInt8Array) -> UInt8Array:
    """Convert Y (B, H, W), Co and Cg (B, 2, H, W) to RGB, shape (B, H, W, 3)."""
    orange, green = (chroma[:, plane].astype(np.int16) - 128 for plane in range(2))
    rest = luma - green
    pixels = np.stack([rest + orange, luma + green, rest - orange], axis=-1)
    clipped: UInt8Array = np.clip(pixels, 0, 255).astype(np.uint8)
    return clipped
