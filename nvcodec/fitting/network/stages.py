"""The stages of a fit: what each optimises and how it makes pictures.

A float stage works on plain weights, its latents made by an encoder or fitted themselves. The
quantised stage works on what the stream will hold: everything on its grid, steps learned along.
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

# How far a quantisation step may travel over the stage, in octaves.
_STEP_SIZE_TRAVEL = 3.0
# What a fit misses its size by is corrected at its end, but only if it is worth it.
_CORRECTIONS = 8
_SIZE_TOLERANCE = 0.01


class Group(NamedTuple):
    """Tensors that share a peak learning rate; None for the schedule's."""

    parameters: list[Tensor]
    peak: float | None = None


class Stage(Protocol):
    """What the loop needs to know of a stage.

    Attributes:
        name: For people.
        tensors: What the stream is to hold, as it is now.
    """

    name: str
    tensors: list[Tensor]

    def groups(self, steps: int) -> list[Group]:
        """What to optimise in a stage of so many steps."""
        ...

    def predict(
        self, index: Tensor, samples: Tensor, window: Window | None
    ) -> tuple[Tensor, Tensor | None]:
        """Model outputs for a batch, or a window of them, and the estimated size in bits."""
        ...

    def between_epochs(self) -> None:
        """Whatever is due once per epoch."""
        ...


class FloatStage:
    """Weights in full precision; latents come from the encoder, if the family has one."""

    name = "float"

    def __init__(self, model: VideoModel, encoder: nn.Module | None) -> None:
        self._model, self._encoder = model, encoder
        self.tensors = model.transmitted()

    def groups(self, steps: int) -> list[Group]:
        """See `Stage`."""
        if self._encoder is None:
            return [Group(list(self._model.parameters()))]
        # Latents are the encoder's outputs here, not parameters.
        latents = {id(latent) for latent in self._model.latents.values()}
        weights = [one for one in self._model.parameters() if id(one) not in latents]
        return [Group([*weights, *self._encoder.parameters()])]

    def predict(
        self, index: Tensor, samples: Tensor, window: Window | None
    ) -> tuple[Tensor, Tensor | None]:
        """See `Stage`."""
        found = None if self._encoder is None else self._encoder(samples)
        return self._model.render(index, window, found), None

    def between_epochs(self) -> None:
        """Nothing is due."""


class QuantisedStage:
    """Everything on the grids of the stream; steps are learned along.

    Attributes:
        quantiser: Of the tensors.
    """

    name = "quantised"

    def __init__(
        self, model: VideoModel, config: FitConfig, previous_weights: Sequence[Tensor] | None = None
    ) -> None:
        """Begin to quantise.

        Args:
            model: In its fitted state.
            config: Of the fit.
            previous_weights: What the stream knows already; only differences to it are quantised.
        """
        self._network = _Network(model)
        self.tensors = model.transmitted()
        self._previous_weights = previous_weights
        names = {id(tensor): name for name, tensor in self._network.named_parameters()}
        self._names = [names[id(tensor)] for tensor in self.tensors]
        # Networks that are handed on are small, and steps of theirs many.
        kind = JointQuantiser if model.config.SUPPORTS_PREDICTION else StateQuantiser
        self.quantiser = kind(model.config.tensors(), self.tensors, config.fineness).to(
            self.tensors[0].device
        )
        self.between_epochs()

    @cached_property
    def previous_weights(self) -> Tensor:
        """What the stream knows of all tensors, one behind another; zeros if it knows nothing."""
        previous_weights = self._previous_weights or [
            torch.zeros_like(tensor) for tensor in self.tensors
        ]
        return torch.cat([tensor.detach().flatten() for tensor in previous_weights])

    def groups(self, steps: int) -> list[Group]:
        """See `Stage`."""
        peak = 2 * _STEP_SIZE_TRAVEL / steps  # a half cosine is half its peak on average
        return [Group(self.tensors), Group(list(self.quantiser.parameters()), min(peak, 0.1))]

    def predict(
        self, index: Tensor, samples: Tensor, window: Window | None
    ) -> tuple[Tensor, Tensor | None]:
        """See `Stage`."""
        with torch.autocast(index.device.type, enabled=False):
            values, bits = self.quantiser(self._differences())
            if self._previous_weights is not None:
                values = [
                    one + previous_weights
                    for one, previous_weights in zip(values, self._previous_weights, strict=True)
                ]
        state = dict(zip(self._names, values, strict=True))
        output: Tensor = torch.func.functional_call(self._network, state, (index, window))
        return output, bits

    def _differences(self) -> list[Tensor]:
        """What the stream will hold, before it is quantised."""
        if self._previous_weights is None:
            return self.tensors
        return [
            one - previous_weights
            for one, previous_weights in zip(self.tensors, self._previous_weights, strict=True)
        ]

    def between_epochs(self) -> None:
        """Let every tensor's size be estimated under its best model."""
        self.quantiser.choose_rate_models(self._differences())

    @torch.no_grad()
    def estimated_bits(self) -> float:
        """The size of the present state, estimated as for the fit."""
        return float(self.quantiser(self._differences())[1])

    def coded_bits(self) -> int:
        """The size of the present state, coded."""
        tensors = self.quantiser.export(self._differences())
        return 8 * len(encode_tensors(tensors, self._network.model.config.tensors()))

    def export(self, target_bits: float | None) -> list[QuantisedTensor]:
        """What the stream will hold; with a target, quantised so that its coded size meets it."""
        tensors = self.quantiser.export(self._differences())
        if target_bits is None:
            return tensors
        specs = self._network.model.config.tensors()
        values = sum(spec.size for spec in specs)
        nearest, least = tensors, float("inf")
        offset = 0.0  # octaves by which steps are coarser than the fit left them
        above: tuple[float, float] | None = None  # offset and excess in bits, nearest to 0
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
                # A fit leaves many values just above half a step: the size falls in leaps.
                part = min(max(above[1] / (above[1] - below[1]), 0.1), 0.9)
                wanted = above[0] + part * (below[0] - above[0])
            else:
                wanted = offset + excess / values
            self.quantiser.scale_steps(wanted - offset)
            offset = wanted
            tensors = self.quantiser.export(self._differences())
        return nearest


class _Network(nn.Module):
    """A model's outputs on its padded grid, or a window of them."""

    def __init__(self, model: VideoModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, index: Tensor, window: Window | None) -> Tensor:
        return self.model.render(index, window)
