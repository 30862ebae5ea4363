"""The fits of one segment by networks: how large a network, how often fitted, and for what size.

The fit itself is in `nvcodec.fitting.network.fit`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from math import inf, log
from typing import Any

import torch
from torch import Tensor

from nvcodec.config import EncoderConfig
from nvcodec.errors import ConfigError
from nvcodec.fitting.interface import BaseFitter, CodedSegment, FitTask
from nvcodec.fitting.network.fit import fit, fit_sizes
from nvcodec.fitting.network.losses import masked_error
from nvcodec.fitting.network.model_size import ladder_size, most_bits, parameters_for
from nvcodec.fitting.network.psnr_search import MOST_FITS, PsnrSearch
from nvcodec.fitting.network.request import Fit, FitRequest
from nvcodec.fitting.network.step import StepFunction
from nvcodec.models import build
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.models.base.video_model import VideoModel
from nvcodec.reconstruction.network_payload import NetworkState, encode_network, set_tokens
from nvcodec.reconstruction.sample_layout import model_samples, valid_samples
from nvcodec.reconstruction.segment_decoder import luma_psnr, make_segment_decoder

# Of what a plain colour leaves: with less error, a network that is handed on shows the same shot.
_SAME_SHOT = 0.5
_LEAST_ERROR = 1e-9


class NetworkFitter(BaseFitter):
    """Fits networks; see `nvcodec.fitting.interface.SegmentFitter`.

    Args:
        config: Settings of the encode.
        kind: The family's configuration class.
        device: Where to compute.

    Attributes:
        batched_step: As for `nvcodec.fitting.network.fit.fit`; to be set if several segments are fitted at a time.
    """

    def __init__(
        self, config: EncoderConfig, kind: type[NetworkConfig], device: torch.device
    ) -> None:
        super().__init__()
        self.config, self.kind, self.device = config, kind, device
        self.batched_step: StepFunction | None = None

    def fit(self, task: FitTask) -> list[CodedSegment]:
        """See `SegmentFitter`."""
        if self.config.ladder is not None:
            return self._ladder(task, [size for size in task.bits if size is not None])
        (bits,) = task.bits
        if self.config.psnr is not None and bits is not None:
            return [self._searched(task, PsnrSearch(self.config.psnr, bits))]
        return [self._once(task, bits, task.seconds)]

    def _searched(self, task: FitTask, search: PsnrSearch) -> CodedSegment:
        """Fit a segment until it is of the wanted quality."""
        tried: list[CodedSegment] = []
        began = time.monotonic()
        while True:
            seconds = None
            if task.seconds is not None:
                left = max(task.seconds - (time.monotonic() - began), 0.0)
                seconds = left / (MOST_FITS - len(tried))
            coded = self._once(task, search.bits, seconds)
            tried.append(coded)
            pictures = make_segment_decoder(
                self.config.model,
                coded.config,
                coded.body,
                task.colour,
                self.device,
                task.previous[0],
                task.fsq_indices,
            )
            # Where nothing moves there may be no bytes at all.
            if search.update(8 * max(len(coded.body), 1), luma_psnr(pictures, task.frames)):
                break
        if not search.reached:
            self._warn(
                f"segment {task.number}: {self.config.psnr:g} dB was not reached in "
                f"{len(tried)} fits; the nearest, {search.nearest:.2f} dB, is kept"
            )
        return tried[search.best]

    def _once(self, task: FitTask, bits: float | None, seconds: float | None) -> CodedSegment:
        """Fit a segment once, on top of the one before it if that shows the same shot."""
        (before,) = task.previous
        network, previous_weights, left = None, None, inf
        if isinstance(before, NetworkState):
            network = replace(before.config, frames=len(task.frames), predicted=True)
            previous_weights = [
                tensor.to(self.device) for tensor in before.expand_to(len(task.frames))
            ]
            first, left = self._errors(network, previous_weights, task)
            if first >= _SAME_SHOT:
                network, previous_weights = None, None
        if network is None:
            network = self._network_config(task, bits)
        request = self._request(network, task, previous_weights, seconds)
        outcome = fit(request, target_bits=bits, lmbda=self.config.lmbda)
        coded = self._coded(network, outcome, task)
        if previous_weights is not None and self.config.lmbda is not None:
            # Whether what the differences gain is worth their bits.
            bpp = 8 * len(coded.body) / task.pixels
            if log(left) <= -log(10) * outcome.psnr / 10 + self.config.lmbda * bpp:
                return CodedSegment(config=network, body=b"")
        return coded

    @torch.no_grad()
    def _errors(
        self, network: NetworkConfig, tensors: Sequence[Tensor], task: FitTask
    ) -> tuple[float, float]:
        """How well a network shows a segment that it was not fitted to.

        Args:
            network: Its configuration.
            tensors: Of the network.
            task: The segment.

        Returns:
            Squared error in the first picture, as a share of what a plain colour leaves there; and
            that in all of them, in [0, 1]. Of known pixels.
        """
        model = self._fresh_model(network, task)
        model.load(tensors)
        height, width = network.native_size
        samples = model_samples(task.frames, network, task.colour)[:, :, :height, :width]
        pictures = samples.to(self.device) / 255
        valid_mask, first = valid_samples(task.frames, network), 1
        if valid_mask is not None:
            valid_mask = valid_mask[:, :, :height, :width].to(self.device)
            # Up to the first picture that is not wholly hidden; those before it count for nothing.
            first += int(valid_mask.flatten(1).any(1).int().argmax())
        shown = model.planes(torch.arange(len(pictures), device=self.device))

        def error(made: Tensor, count: int) -> Tensor:
            seen = None if valid_mask is None else valid_mask[:count]
            found = masked_error(made[:count], pictures[:count], network.colour, seen)
            return found.clamp_min(_LEAST_ERROR)

        plain = pictures[:first].mean((2, 3), keepdim=True).expand_as(pictures[:first])
        share = error(shown, first) / error(plain, first)
        return float(share), float(error(shown, len(pictures)))

    def _ladder(self, task: FitTask, sizes: list[float]) -> list[CodedSegment]:
        """Fit a segment once, and quantise it for each size of a ladder."""
        network = self._network_config(task, ladder_size(sizes))
        most = most_bits(network.parameters)
        if max(sizes) > most:
            self._warn(
                f"segment {task.number}: the network that suits the ladder "
                f"cannot use {max(sizes) / 8:.0f} bytes, only {most / 8:.0f}"
            )
        request = self._request(network, task, None, task.seconds)
        outcomes = fit_sizes(request, [min(size, most) for size in sizes])
        return [self._coded(network, outcome, task) for outcome in outcomes]

    def _request(
        self,
        network: NetworkConfig,
        task: FitTask,
        previous_weights: Sequence[Tensor] | None,
        seconds: float | None,
    ) -> FitRequest:
        """Return the request for a fit of a fresh network to a segment."""
        return FitRequest(
            model=self._fresh_model(network, task),
            samples=model_samples(task.frames, network, task.colour),
            config=self.config.fitting,
            seed=task.seed,
            valid_mask=valid_samples(task.frames, network),
            previous_weights=previous_weights,
            seconds=seconds,
            on_progress=task.on_progress,
            batched_step=self.batched_step,
        )

    def _network_config(self, task: FitTask, bits: float | None) -> NetworkConfig:
        """The largest network a size has room for."""
        size, frames, colour = task.size, len(task.frames), self.config.colour
        options: dict[str, Any] = {"size": size, "colour": colour, "boosted": self.config.boost}
        if self.config.token_conditioned:
            options["latents"] = self.config.latents
        smallest = self.kind.smallest(frames=frames, **options)
        budget = parameters_for(self.config, bits, task.pixels, smallest.parameters)
        usual = frames
        if self.kind.GOP_LENGTH and self.config.segment is None:
            # A longer group stands still: it has the network of a usual one, but for the head.
            usual = min(self.kind.GOP_LENGTH, frames)
            budget = budget * usual // frames
        try:
            made = self.kind.from_budget(budget, frames=usual, **options)
            return replace(made, frames=frames)
        except ConfigError:
            if self.config.parameters is not None:
                raise
            self._warn(
                f"a segment's size has no room for even the smallest network of "
                f"{self.config.model}, which is used here and where else needed"
            )
            return smallest

    def _fresh_model(self, network: NetworkConfig, task: FitTask) -> VideoModel:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(task.seed)
            model = build(self.config.model, network)
        if network.takes_tokens:
            assert task.fsq_indices is not None
            set_tokens(model, task.fsq_indices)
        return model.to(self.device)

    def _coded(self, network: NetworkConfig, outcome: Fit, task: FitTask) -> CodedSegment:
        """Note what a fit took, and what went wrong."""
        self.epochs = max(self.epochs, outcome.epochs)
        if outcome.recoveries:
            self._warn(
                f"segment {task.number}: the fit collapsed {outcome.recoveries} times and "
                "went on from its best state; another --seed may do better"
            )
        return CodedSegment(config=network, body=encode_network(outcome.tensors, network))
