"""The pictures of a segment of `latentgrid`, and such pictures as planes of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from nvcodec.entropy.latents.decoder import GridReader
from nvcodec.errors import BitstreamError
from nvcodec.media import Colour, ColourMode, Frames, Planes, UInt8Array
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.latentgrid.model import LatentGrid, Steps
from nvcodec.models.latentgrid.motion_compensation import Picture
from nvcodec.reconstruction.resampling import placed, resampled
from nvcodec.video import colour as conversion
from nvcodec.video.mask_filling import valid_chroma

# Frames of a group are decoded together, as far as they fit in the caches.
_BATCH_SAMPLES = 1 << 22
_LARGEST_BATCH = 32


class LatentGridDecoder:
    """Decodes a segment; see `nvcodec.reconstruction.segment_decoder.SegmentDecoder`.

    Args:
        config: Sizes and order.
        body: Of the segment's payload.
        colour: How the pictures' samples are to map to light.
        device: Where to decode.
        previous: The state of the segment before, if this one is predicted from it.

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
        reader = GridReader(body, config.layouts, config.frames, config.levels)
        steps = Steps.of(reader.coded.steps, config)
        symbols = reader.coded.grids.symbols
        before = last_picture(previous, device) if config.predicted else None
        self._model = LatentGrid(config, steps, symbols, device, before, reader.read)

    @property
    def batch(self) -> int:
        """See `SegmentDecoder`."""
        height, width = self._config.size
        return max(1, min(_LARGEST_BATCH, _BATCH_SAMPLES // (height * width)))

    def planes(self, frames: Sequence[int]) -> Planes:
        """See `SegmentDecoder`."""
        return picture_planes(self._model.planes(frames), self._config, self._colour)

    def at(self, times: Sequence[float], size: tuple[int, int]) -> Planes:
        """See `SegmentDecoder`: between frames, these are moved towards each other."""
        return resampled(placed(times, self.planes, self._between), size, self._device)

    def _between(self, times: Sequence[float]) -> Planes:
        return picture_planes(self._model.between(times), self._config, self._colour)

    def reference_state(self) -> Picture:
        """See `SegmentDecoder`: the last frame, as the model has it."""
        return self._model.planes([self._config.frames - 1])


def last_picture(previous: object, device: torch.device) -> Picture:
    """What the first frame of a predicted segment is predicted from.

    Args:
        previous: The state of the segment before.
        device: Where it is needed.

    Raises:
        BitstreamError: If it is none of this model.
    """
    if not isinstance(previous, Picture):
        raise BitstreamError("a segment is predicted from the one before it, which is not known")
    return previous.to(device)


def source_picture(frames: Frames, config: LatentGridConfig, colour: Colour) -> Picture:
    """What the model is fitted to, uint8.

    Args:
        frames: T pictures of the configuration's size.
        config: Decides the colour mode.
        colour: How the pictures' samples map to light; used for RGB only.
    """
    if config.colour is not ColourMode.RGB:
        chroma = torch.from_numpy(np.stack([frames.u, frames.v], axis=1))
        return Picture(torch.from_numpy(frames.y)[:, None], chroma)
    red, green, blue = np.moveaxis(
        conversion.rgb(frames.y, frames.u, frames.v, colour).astype(np.int16), -1, 0
    )
    # Y, Co and Cg (Malvar and Sullivan, 2003), the latter two halved to 8 bits about 128.
    luma = (red + 2 * green + blue + 2) >> 2
    orange = ((red - blue + 1) >> 1) + 128
    green = ((2 * green - red - blue + 2) >> 2) + 128
    planes = [np.clip(plane, 0, 255).astype(np.uint8) for plane in (luma, orange, green)]
    return Picture(torch.from_numpy(planes[0])[:, None], torch.from_numpy(np.stack(planes[1:], 1)))


def known_picture(frames: Frames, config: LatentGridConfig) -> Picture | None:
    """Which samples of `source_picture` are known, bool; None if all are.

    Args:
        frames: As there.
        config: As there.
    """
    if frames.valid_mask is None:
        return None
    luma = torch.from_numpy(frames.valid_mask)[:, None]
    if config.colour is ColourMode.RGB:
        return Picture(luma, luma.expand(-1, 2, -1, -1))
    chroma = torch.from_numpy(valid_chroma(frames.valid_mask))[:, None]
    return Picture(luma, chroma.expand(-1, 2, -1, -1))


def picture_planes(picture: Picture, config: LatentGridConfig, colour: Colour) -> Planes:
    """8-bit pictures from the model's planes.

    Args:
        picture: B frames, uint8.
        config: Tells the colour mode.
        colour: How the pictures' samples are to map to light; used for RGB only.
    """
    luma, chroma = picture.luma[:, 0].cpu().numpy(), picture.chroma.cpu().numpy()
    if config.colour is not ColourMode.RGB:
        return luma, np.ascontiguousarray(chroma[:, 0]), np.ascontiguousarray(chroma[:, 1])
    return conversion.yuv420(_rgb(luma, chroma), colour)


def _rgb(luma: UInt8Array, chroma: UInt8Array) -> UInt8Array:
    """From Y, Co and Cg; shape (B, H, W, 3)."""
    orange, green = (chroma[:, plane].astype(np.int16) - 128 for plane in range(2))
    rest = luma - green
    pixels = np.stack([rest + orange, luma + green, rest - orange], axis=-1)
    levels: UInt8Array = np.clip(pixels, 0, 255).astype(np.uint8)
    return levels
