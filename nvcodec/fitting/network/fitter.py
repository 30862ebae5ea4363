"""The fitter of networks: chooses the network of a segment, and runs its fits.

A segment takes one fit, several for a target PSNR, or one with several quantised stages for a
ladder. A fit itself is in `nvcodec.fitting.network.fit`.
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
from nvcodec.host.settings import own_random_numbers
from nvcodec.models import build
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.models.base.video_model import VideoModel
from nvcodec.reconstruction.memory_limits import memory_excess
from nvcodec.reconstruction.network_payload import NetworkState, encode_network, set_tokens
from nvcodec.reconstruction.sample_layout import model_samples, valid_samples
from nvcodec.reconstruction.segment_decoder import luma_psnr, make_segment_decoder

# Share of the squared error of a plain colour. If the previous segment's network has less error,
# the segment shows the same shot.
_SAME_SHOT = 0.5
_LEAST_ERROR = 1e-9


class NetworkFitter(BaseFitter):
    """The fitter of the families that are networks.

    Args:
        config: Settings of the encode.
        family_config: Configuration class of the model family.
        device: Device to compute on.

    Attributes:
        batched_step: Function that computes steps together with those of other fits, which a pool
            sets if it fits several segments at a time; else None. See `FitRequest`.
    """

    def __init__(
        self, config: EncoderConfig, family_config: type[NetworkConfig], device: torch.device
    ) -> None:
        super().__init__()
        self.config, self.family_config, self.device = config, family_config, device
        self.batched_step: StepFunction | None = None

    def fit(self, task: FitTask) -> list[CodedSegment]:
        """Fit a network to a segment, and quantise it for each output file."""
        if self.config.ladder is not None:
            return self._fit_ladder(task, [size for size in task.bits if size is not None])
        (bits,) = task.bits
        if self.config.psnr is not None and bits is not None:
            return [self._fit_to_psnr(task, PsnrSearch(self.config.psnr, bits))]
        return [self._fit_once(task, bits, task.seconds)]

    def _fit_to_psnr(self, task: FitTask, search: PsnrSearch) -> CodedSegment:
        """Fit a segment repeatedly until it has the target PSNR, and return the nearest fit."""
        fits: list[CodedSegment] = []
        began = time.monotonic()
        while True:
            seconds = None
            if task.seconds is not None:
                left = max(task.seconds - (time.monotonic() - began), 0.0)
                seconds = left / (MOST_FITS - len(fits))
            coded = self._fit_once(task, search.bits, seconds)
            fits.append(coded)
            decoder = make_segment_decoder(
                self.config.model,
                coded.config,
                coded.body,
                task.colour,
                self.device,
                task.previous[0],
                task.fsq_indices,
            )
            # Where nothing moves there may be no bytes at all.
            if search.update(8 * max(len(coded.body), 1), luma_psnr(decoder, task.frames)):
                break
        if not search.reached:
            self._warn(
                f"segment {task.number}: {self.config.psnr:g} dB was not reached in "
                f"{len(fits)} fits; the nearest, {search.nearest:.2f} dB, is kept"
            )
        return fits[search.best]

    def _fit_once(self, task: FitTask, bits: float | None, seconds: float | None) -> CodedSegment:
        """Fit a segment once, predicted from the previous segment if that shows the same shot.

        Args:
            task: Segment to fit.
            bits: Target size of the payload in bits, if there is one.
            seconds: Time limit of the fit in seconds, None for no limit.
        """
        (previous,) = task.previous
        network, previous_weights, previous_error = None, None, inf
        if isinstance(previous, NetworkState):
            network = replace(previous.config, frames=len(task.frames), predicted=True)
            previous_weights = [
                tensor.to(self.device) for tensor in previous.expand_to(len(task.frames))
            ]
            first_share, previous_error = self._errors(network, previous_weights, task)
            if first_share >= _SAME_SHOT:
                network, previous_weights = None, None
        if network is None:
            network = self._network_config(task, bits)
        request = self._request(network, task, previous_weights, seconds)
        outcome = fit(request, target_bits=bits, lmbda=self.config.lmbda)
        coded = self._coded_segment(network, outcome, task)
        if previous_weights is not None and self.config.lmbda is not None:
            # Without differences the segment is free: store them only if they are worth their bits.
            bpp = 8 * len(coded.body) / task.pixels
            if log(previous_error) <= -log(10) * outcome.psnr / 10 + self.config.lmbda * bpp:
                return CodedSegment(config=network, body=b"")
        return coded

    @torch.no_grad()
    def _errors(
        self, network: NetworkConfig, tensors: Sequence[Tensor], task: FitTask
    ) -> tuple[float, float]:
        """Measure how well a network shows a segment that it was not fitted to.

        Args:
            network: Configuration of the network.
            tensors: Weights of the network, in the order of `network.tensors()`.
            task: Segment to compare with.

        Returns:
            Squared error in the first frame as a share of the error of a plain colour there, and
            squared error in all frames, in [0, 1]. Only valid pixels count.
        """
        model = self._fresh_model(network, task)
        model.load(tensors)
        height, width = network.native_size
        samples = model_samples(task.frames, network, task.colour)[:, :, :height, :width]
        target = samples.to(self.device) / 255
        valid_mask, first = valid_samples(task.frames, network), 1
        if valid_mask is not None:
            valid_mask = valid_mask[:, :, :height, :width].to(self.device)
            # The first frame is the first one that is not masked wholly. Those before it count too,
            # but contribute nothing.
            first += int(valid_mask.flatten(1).any(1).int().argmax())
        output = model.planes(torch.arange(len(target), device=self.device))

        def error(planes: Tensor, count: int) -> Tensor:
            mask = None if valid_mask is None else valid_mask[:count]
            squared = masked_error(planes[:count], target[:count], network.colour, mask)
            return squared.clamp_min(_LEAST_ERROR)

        plain = target[:first].mean((2, 3), keepdim=True).expand_as(target[:first])
        share = error(output, first) / error(plain, first)
        return float(share), float(error(output, len(target)))

    def _fit_ladder(self, task: FitTask, sizes: list[float]) -> list[CodedSegment]:
        """Fit a segment once, and quantise it for each size of a ladder.

        Args:
            task: Segment to fit.
            sizes: Target sizes of the payloads in bits.
        """
        network = self._network_config(task, ladder_size(sizes))
        most = most_bits(network.parameters)
        if max(sizes) > most:
            self._warn(
                f"segment {task.number}: the network that suits the ladder "
                f"cannot use {max(sizes) / 8:.0f} bytes, only {most / 8:.0f}"
            )
        request = self._request(network, task, None, task.seconds)
        outcomes = fit_sizes(request, [min(size, most) for size in sizes])
        return [self._coded_segment(network, outcome, task) for outcome in outcomes]

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
        """Return the configuration of the network for a segment.

        Args:
            task: Segment to fit.
            bits: Size in bits that determines the number of parameters, if the settings do not.
        """
        size, frames, colour = task.size, len(task.frames), self.config.colour
        options: dict[str, Any] = {"size": size, "colour": colour, "boosted": self.config.boost}
        if self.config.token_conditioned:
            options["latents"] = self.config.latents
        smallest = self.family_config.smallest(frames=frames, **options)
        budget = parameters_for(self.config, bits, task.pixels, smallest.parameters)
        usual_frames = frames
        if self.family_config.GOP_LENGTH and self.config.segment is None:
            # A GOP is longer only in a still shot. It has the network of a GOP of usual length,
            # except for the head.
            usual_frames = min(self.family_config.GOP_LENGTH, frames)
            budget = budget * usual_frames // frames
        try:
            network = self.family_config.from_budget(budget, frames=usual_frames, **options)
        except ConfigError:
            if self.config.parameters is not None:
                raise
            self._warn(
                f"a segment's size has no room for even the smallest network of "
                f"{self.config.model}, which is used here and where else needed"
            )
            return smallest
        network = replace(network, frames=frames)
        _check_limits(network, predicts=self.family_config.SUPPORTS_PREDICTION)
        return network

    def _fresh_model(self, network: NetworkConfig, task: FitTask) -> VideoModel:
        """Return a network with random weights, which follow from the seed of the segment."""
        with own_random_numbers(task.seed):
            model = build(self.config.model, network)
        if network.takes_tokens:
            assert task.fsq_indices is not None
            set_tokens(model, task.fsq_indices)
        return model.to(self.device)

    def _coded_segment(self, network: NetworkConfig, outcome: Fit, task: FitTask) -> CodedSegment:
        """Return the coded segment of a fit, and record its epochs and warnings."""
        self.epochs = max(self.epochs, outcome.epochs)
        if outcome.recoveries:
            self._warn(
                f"segment {task.number}: the fit collapsed {outcome.recoveries} times and "
                "went on from its best state; another --seed may do better"
            )
        return CodedSegment(config=network, body=encode_network(outcome.tensors, network))


def _check_limits(network: NetworkConfig, *, predicts: bool) -> None:
    """Check that a decoder will accept the network.

    Args:
        network: The network, not predicted.
        predicts: Whether the next segment may be predicted from it.

    Raises:
        ConfigError: If it would take too much memory to decode.
    """
    excess = memory_excess(replace(network, predicted=predicts))
    if excess is not None:
        raise ConfigError(f"{excess}; choose a smaller size, fewer parameters or another model")
