"""Configuration of NeRV++ (Ghorbel et al., 2024); the network is in `nervpp.py`. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from nvcodec.models.nerv.config import NeRVConfig
from nvcodec.models.stacks.config import stage_layers
from nvcodec.models.stacks.layer_config import Layer

# The gated block is 8/3 as wide as what enters it, as in gated perceptrons elsewhere.
_WIDER, _NARROWER = 8, 3
_GATE_KERNEL = 5
_REFINE_KERNEL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NeRVPPConfig(NeRVConfig):
    """Configuration of NeRV++: the fields of NeRV's, other layers."""

    NARROWEST: ClassVar[int] = 80

    def front(self) -> tuple[Layer, ...]:
        """A gated linear layer, and one that spreads its outcome over the grid."""
        hidden = Layer(2 * self.levels, 2 * self.hidden, 0, 1, (1, 1))
        spread = Layer(self.hidden, self.widths[0] * prod(self.grid), 0, 1, (1, 1))
        return hidden, spread

    def blocks(self) -> tuple[tuple[Layer, ...], ...]:
        """The eight layers of every stage; see `nervpp.Stage`."""
        return tuple(
            stage(wide, layer) for wide, layer in zip(self.widths, stage_layers(self), strict=False)
        )


def stage(inputs: int, upsampling: Layer) -> tuple[Layer, ...]:
    """The layers of a stage.

    Args:
        inputs: Channels that enter it.
        upsampling: Its convolution in NeRV.
    """
    width, large = upsampling.made
    grid = upsampling.grid
    hidden = _WIDER * width // _NARROWER
    return (
        Layer(inputs, width, 1, 1, grid),
        Layer(width, 2 * hidden, 1, 1, grid),
        Layer(width, width, _GATE_KERNEL, 1, grid, groups=width),
        Layer(hidden, width, 1, 1, grid),
        Layer(width, upsampling.outputs, upsampling.kernel, upsampling.upscale, grid),
        Layer(width, width, _REFINE_KERNEL, 1, large, groups=width),
        Layer(width, width, 1, 1, large),
        Layer(width, width, 1, 1, large),
    )
