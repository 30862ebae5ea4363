"""Configuration of NeRV++ (Ghorbel et al., 2024); the network is in `model.py`. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from nvcodec.models.nerv.config import NeRVConfig
from nvcodec.models.stacks.config import stage_layers
from nvcodec.models.stacks.layer_config import LayerSpec

# The gated block is 8/3 as wide as its input, which is customary in gated perceptrons.
_GATE_EXPANSION, _GATE_REDUCTION = 8, 3
_GATE_KERNEL = 5
_REFINE_KERNEL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NeRVPPConfig(NeRVConfig):
    """Configuration of NeRV++: the fields of NeRV with other layers."""

    NARROWEST: ClassVar[int] = 80

    def front(self) -> tuple[LayerSpec, ...]:
        """Return a gated linear layer and the one from its output to the grid."""
        hidden = LayerSpec(2 * self.levels, 2 * self.hidden, 0, 1, (1, 1))
        spread = LayerSpec(self.hidden, self.widths[0] * prod(self.grid), 0, 1, (1, 1))
        return hidden, spread

    def blocks(self) -> tuple[tuple[LayerSpec, ...], ...]:
        """Return the eight layers of every stage, in the order of `NeRVPPStage`."""
        return tuple(
            residual_stage_layers(inputs, layer)
            for inputs, layer in zip(self.widths, stage_layers(self), strict=False)
        )


def residual_stage_layers(inputs: int, upsampling: LayerSpec) -> tuple[LayerSpec, ...]:
    """Return the layers of a stage.

    Args:
        inputs: Input channels of the stage.
        upsampling: Convolution that NeRV has in its place.
    """
    width, large = upsampling.output_shape
    grid = upsampling.grid
    hidden = _GATE_EXPANSION * width // _GATE_REDUCTION
    return (
        LayerSpec(inputs, width, 1, 1, grid),
        LayerSpec(width, 2 * hidden, 1, 1, grid),
        LayerSpec(width, width, _GATE_KERNEL, 1, grid, groups=width),
        LayerSpec(hidden, width, 1, 1, grid),
        LayerSpec(width, upsampling.outputs, upsampling.kernel, upsampling.upscale, grid),
        LayerSpec(width, width, _REFINE_KERNEL, 1, large, groups=width),
        LayerSpec(width, width, 1, 1, large),
        LayerSpec(width, width, 1, 1, large),
    )
