"""The pictures of a segment that a network is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch

from nvcodec.device import working_type
from nvcodec.media import Colour, Planes, UInt8Array
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.models.ngp.point_synthesis import PointSynthesis
from nvcodec.models.synthesis import synthesis
from nvcodec.reconstruction.network_payload import NetworkState, decode_network
from nvcodec.reconstruction.resampling import CrossFade, joined, placed, resampled
from nvcodec.reconstruction.sample_layout import picture_planes

# Samples decoded at a time, counted on the model's own grid: enough to keep every core busy.
_BATCH_SAMPLES = 1 << 20
_LARGEST_BATCH = 32


class NetworkDecoder:
    """Runs a segment's network; see `nvcodec.reconstruction.segment_decoder.SegmentDecoder`.

    Args:
        name: Of the model family.
        config: The network's configuration.
        body: Of the segment's payload.
        colour: How the pictures' samples are to map to light.
        device: Where to run it.
        previous: The state of the segment before, if this one is coded on top of it.
        fsq_indices: The segment's tokens, shape (t, h, w, 6), if the network decodes them.

    Raises:
        BitstreamError: If the body is malformed.
    """

    def __init__(
        self,
        name: str,
        config: NetworkConfig,
        body: bytes,
        colour: Colour,
        device: torch.device,
        previous: object = None,
        fsq_indices: UInt8Array | None = None,
    ) -> None:
        self._config, self._colour, self._device = config, colour, device
        model = decode_network(body, config, name, previous, fsq_indices)
        self._state = None
        if config.SUPPORTS_PREDICTION:
            self._state = NetworkState(config, [tensor.clone() for tensor in model.transmitted()])
        self._synthesis = synthesis(model.to(device), working_type(device))
        self._moments: Callable[[Sequence[float]], Planes]
        if model.CONTINUOUS:
            self._moments = partial(placed, whole=self.planes, between=self._between)
        else:
            self._moments = CrossFade(self.planes, self.batch)

    @property
    def batch(self) -> int:
        """See `SegmentDecoder`."""
        height, width = self._config.padded
        return max(1, min(_LARGEST_BATCH, _BATCH_SAMPLES // (height * width)))

    def planes(self, frames: Sequence[int]) -> Planes:
        """See `SegmentDecoder`."""
        levels = self._synthesis.levels(torch.tensor(frames, dtype=torch.int64))
        return picture_planes(levels, self._config, self._colour)

    def at(self, times: Sequence[float], size: tuple[int, int]) -> Planes:
        """See `SegmentDecoder`: between frames the network is asked, or else they are mixed.

        A network of points is asked for other sizes, too.
        """
        if isinstance(self._synthesis, PointSynthesis) and tuple(size) != self._config.size:
            return self._asked(self._synthesis, times, size)
        parts = [
            self._moments(times[start : start + self.batch])
            for start in range(0, len(times), self.batch)
        ]
        return resampled(joined(parts), size, self._device)

    def _asked(
        self, points: PointSynthesis, times: Sequence[float], size: tuple[int, int]
    ) -> Planes:
        luma, *chroma = points.sized(torch.tensor(times, dtype=torch.float32), size)
        if not chroma:
            return picture_planes(luma, self._config, self._colour)
        y, u, v = (plane.cpu().numpy() for plane in (luma, *chroma[0].unbind(1)))
        return y, u, v

    def _between(self, times: Sequence[float]) -> Planes:
        levels = self._synthesis.levels(torch.tensor(times, dtype=torch.float32))
        return picture_planes(levels, self._config, self._colour)

    def reference_state(self) -> NetworkState | None:
        """See `SegmentDecoder`: the network, for families that hand it on."""
        return self._state
