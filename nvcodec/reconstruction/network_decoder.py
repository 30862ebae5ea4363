"""Decoder of segments that are coded as the weights of a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch

from nvcodec.device import working_type
from nvcodec.host.settings import with_own_settings
from nvcodec.media import Colour, Planes, UInt8Array
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.models.ngp.point_synthesis import PointSynthesis
from nvcodec.models.synthesis import synthesis
from nvcodec.reconstruction.network_payload import NetworkState, decode_network
from nvcodec.reconstruction.resampling import CrossFade, decode_times, joined, resampled
from nvcodec.reconstruction.sample_layout import picture_planes

# Samples of the padded picture decoded at a time: enough to keep every core busy.
_BATCH_SAMPLES = 1 << 20
_LARGEST_BATCH = 32
# Values of a layer's output for all of these frames together.
_BATCH_VALUES = 1 << 26


class NetworkDecoder:
    """Decodes a segment by running its network; it is a `SegmentDecoder`.

    Args:
        name: Name of the model family.
        config: Configuration of the network.
        body: Body of the segment's payload.
        colour: Colour properties of the decoded pictures.
        device: Device that runs the network.
        previous: Reference state of the segment before, if this one is predicted from it.
        fsq_indices: FSQ indices of the segment's tokens, shape (t, h, w, 6), if the network is
            conditioned on them.

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
        self._pictures_at: Callable[[Sequence[float]], Planes]
        if model.CONTINUOUS:
            self._pictures_at = partial(decode_times, whole=self.planes, between=self._between)
        else:
            self._pictures_at = CrossFade(self.planes, self.batch)

    @property
    def batch(self) -> int:
        """Number of frames to decode at a time, 1 to 32."""
        height, width = self._config.padded
        samples, values = height * width, self._config.largest_tensor
        return max(1, min(_LARGEST_BATCH, _BATCH_SAMPLES // samples, _BATCH_VALUES // values))

    @with_own_settings
    def planes(self, frames: Sequence[int]) -> Planes:
        """Run the network for frames."""
        levels = self._synthesis.levels(torch.tensor(frames, dtype=torch.int64))
        return picture_planes(levels, self._config, self._colour)

    @with_own_settings
    def interpolate(self, times: Sequence[float], size: tuple[int, int]) -> Planes:
        """Decode frames, and interpolate between them.

        Between frames, a network that is continuous in time is evaluated at the time itself; for
        other networks the two frames are cross-faded. A network of points is evaluated at the
        requested size, pictures of other networks are resampled.
        """
        if isinstance(self._synthesis, PointSynthesis) and tuple(size) != self._config.size:
            return self._evaluate_points(self._synthesis, times, size)
        parts = [
            self._pictures_at(times[start : start + self.batch])
            for start in range(0, len(times), self.batch)
        ]
        return resampled(joined(parts), size, self._device)

    def _evaluate_points(
        self, points: PointSynthesis, times: Sequence[float], size: tuple[int, int]
    ) -> Planes:
        luma, *chroma = points.decode_at_size(torch.tensor(times, dtype=torch.float32), size)
        if not chroma:
            return picture_planes(luma, self._config, self._colour)
        y, u, v = (plane.cpu().numpy() for plane in (luma, *chroma[0].unbind(1)))
        return y, u, v

    def _between(self, times: Sequence[float]) -> Planes:
        levels = self._synthesis.levels(torch.tensor(times, dtype=torch.float32))
        return picture_planes(levels, self._config, self._colour)

    def reference_state(self) -> NetworkState | None:
        """Return the network; None for families without predicted segments."""
        return self._state
