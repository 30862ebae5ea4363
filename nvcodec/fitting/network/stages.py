"""The stages of a fit: what each optimises and how it computes frames and size.

A float stage fits weights in full precision; its latents come from an encoder or are parameters
themselves. A quantised stage fits the values that the stream stores: all tensors are quantised, and
the quantisation step sizes are learned with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from nvcodec.config import FitConfig
from nvcodec.entropy.weights.joint_quantisation import JointQuantiser
from nvcodec.entropy.weights.quantisation import StateQuantiser
from nvcodec.entropy.weights.tensor_codec import QuantisedTensor, encode_tensors
from nvcodec.models.base.video_model import VideoModel
from nvcodec.models.base.windows import Window

# Distance in octaves that a quantisation step size can cover in the stage.
_STEP_SIZE_RANGE = 3.0
# The error of the coded size is corrected at the end, in at most so many encodes, down to this
# share of the target.
_CORRECTIONS = 8
_SIZE_TOLERANCE = 0.01


class ParameterGroup(NamedTuple):
    """Tensors that share a learning rate.

    Attributes:
        parameters: The tensors.
        peak: Peak learning rate; None for the one of the schedule.
    """

    parameters: list[Tensor]
    peak: float | None = None


class Stage(Protocol):
    """The interface between the training loop and a stage.

    Attributes:
        name: Display name, `"float"` or `"quantised"`.
        tensors: Tensors that the stream will store, in their present state, before quantisation.
    """

    name: str
    tensors: list[Tensor]

    def groups(self, steps: int) -> list[ParameterGroup]:
        """Return the tensors to optimise.

        Args:
            steps: Planned number of optimiser steps of the stage.
        """
        ...

    def predict(
        self, index: Tensor, samples: Tensor, window: Window | None
    ) -> tuple[Tensor, Tensor | None]:
        """Compute the outputs of the model for a batch.

        Args:
            index: Frame numbers, shape (B,).
            samples: Frames as an encoder sees them, shape (B, channels, H, W).
            window: Window to compute; None for whole frames.

        Returns:
            Outputs, shape (B, channels, H, W), and the estimated size in bits, a scalar; None in a
            float stage.
        """
        ...

    def between_epochs(self) -> None:
        """Do the work that is due once per round of epochs."""
        ...


class FloatStage:
    """A stage that fits weights in full precision.

    Args:
        model: Network to fit.
        encoder: Encoder that computes the latents; None if the latents are parameters or there are
            none.
    """

    name = "float"

    def __init__(self, model: VideoModel, encoder: nn.Module | None) -> None:
        self._model, self._encoder = model, encoder
        self.tensors = model.transmitted()

    def groups(self, steps: int) -> list[ParameterGroup]:
        """Return the weights of the model and the encoder in one group."""
        if self._encoder is None:
            return [ParameterGroup(list(self._model.parameters()))]
        # Latents are outputs of the encoder here, not parameters.
        latents = {id(latent) for latent in self._model.latents.values()}
        weights = [tensor for tensor in self._model.parameters() if id(tensor) not in latents]
        return [ParameterGroup([*weights, *self._encoder.parameters()])]

    def predict(
        self, index: Tensor, samples: Tensor, window: Window | None
    ) -> tuple[Tensor, Tensor | None]:
        """Compute the outputs of the model; a float stage has no size estimate."""
        latents = None if self._encoder is None else self._encoder(samples)
        return self._model.render(index, window, latents), None

    def between_epochs(self) -> None:
        """Do nothing."""


class QuantisedStage:
    """A stage that fits quantised tensors, and their quantisation step sizes with them.

    Args:
        model: Network in its fitted state.
        config: Configuration of the fit.
        previous_weights: Weights of the previous segment's network. If they are given, the stream
            stores differences to them, and only the differences are quantised.

    Attributes:
        quantiser: Quantiser of the tensors, with the step sizes.
    """

    name = "quantised"

    def __init__(
        self, model: VideoModel, config: FitConfig, previous_weights: Sequence[Tensor] | None = None
    ) -> None:
        self._network = _RenderModule(model)
        self.tensors = model.transmitted()
        self._previous_weights = previous_weights
        names = {id(tensor): name for name, tensor in self._network.named_parameters()}
        self._names = [names[id(tensor)] for tensor in self.tensors]
        # Networks with prediction are small and take many steps, which one joint quantiser speeds
        # up.
        quantiser = JointQuantiser if model.config.SUPPORTS_PREDICTION else StateQuantiser
        self.quantiser = quantiser(model.config.tensors(), self.tensors, config.fineness).to(
            self.tensors[0].device
        )
        self.between_epochs()

    @cached_property
    def previous_weights(self) -> Tensor:
        """Previous weights of all tensors in one vector; zeros if there are none."""
        previous_weights = self._previous_weights or [
            torch.zeros_like(tensor) for tensor in self.tensors
        ]
        return torch.cat([tensor.detach().flatten() for tensor in previous_weights])

    def groups(self, steps: int) -> list[ParameterGroup]:
        """Return the tensors, and the step sizes with a learning rate of their own."""
        peak = 2 * _STEP_SIZE_RANGE / steps  # a half cosine is half its peak on average
        return [
            ParameterGroup(self.tensors),
            ParameterGroup(list(self.quantiser.parameters()), min(peak, 0.1)),
        ]

    def predict(
        self, index: Tensor, samples: Tensor, window: Window | None
    ) -> tuple[Tensor, Tensor | None]:
        """Compute the outputs of the quantised model, and estimate its size."""
        with torch.autocast(index.device.type, enabled=False):
            values, bits = self.quantiser(self._differences())
            if self._previous_weights is not None:
                values = [
                    difference + previous
                    for difference, previous in zip(values, self._previous_weights, strict=True)
                ]
        state = dict(zip(self._names, values, strict=True))
        output: Tensor = torch.func.functional_call(self._network, state, (index, window))
        return output, bits

    def _differences(self) -> list[Tensor]:
        """Return the values that the stream will store, before quantisation."""
        if self._previous_weights is None:
            return self.tensors
        return [
            tensor - previous
            for tensor, previous in zip(self.tensors, self._previous_weights, strict=True)
        ]

    def between_epochs(self) -> None:
        """Choose the probability model that estimates the size of each tensor."""
        self.quantiser.choose_rate_models(self._differences())

    @torch.no_grad()
    def estimated_bits(self) -> float:
        """Return the size of the present state in bits, estimated as in the loss."""
        return float(self.quantiser(self._differences())[1])

    def coded_bits(self) -> int:
        """Return the size of the present state in bits, after entropy coding."""
        tensors = self.quantiser.export(self._differences())
        return 8 * len(encode_tensors(tensors, self._network.model.config.tensors()))

    def export(self, target_bits: float | None) -> list[QuantisedTensor]:
        """Return the quantised tensors that the stream stores.

        Args:
            target_bits: Target size in bits: step sizes are scaled until the coded size meets it,
                or comes as near as a few attempts allow. None keeps the step sizes of the fit.
        """
        tensors = self.quantiser.export(self._differences())
        if target_bits is None:
            return tensors
        specs = self._network.model.config.tensors()
        values = sum(spec.size for spec in specs)
        nearest, least = tensors, float("inf")
        offset = 0.0  # octaves by which step sizes are coarser than those of the fit
        # Offset and excess in bits of the smallest excess above and below the target.
        above: tuple[float, float] | None = None
        below: tuple[float, float] | None = None
        for _ in range(_CORRECTIONS):
            excess = 8 * len(encode_tensors(tensors, specs)) - target_bits
            if abs(excess) < least:
                nearest, least = tensors, abs(excess)
            if least < _SIZE_TOLERANCE * target_bits:
                break
            if excess > 0:
                above = offset, excess
            else:
                below = offset, excess
            if above and below:
                # The size is not continuous in the offset, because a fit leaves many values just
                # above half a step size. So the interpolation keeps a distance from both ends.
                part = min(max(above[1] / (above[1] - below[1]), 0.1), 0.9)
                next_offset = above[0] + part * (below[0] - above[0])
            else:
                next_offset = offset + excess / values
            self.quantiser.scale_steps(next_offset - offset)
            offset = next_offset
            tensors = self.quantiser.export(self._differences())
        return nearest


class _RenderModule(nn.Module):
    """A module whose `forward` renders a model, for calls with other weights.

    Args:
        model: Network to render.
    """

    def __init__(self, model: VideoModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, index: Tensor, window: Window | None) -> Tensor:
        return self.model.render(index, window)
