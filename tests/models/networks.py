"""Networks that several tests build, and a plain implementation of their stacks."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from nvcodec.media import ColourMode
from nvcodec.models import MODELS, build, config_class
from nvcodec.models.stacks.config import StackConfig
from nvcodec.models.stacks.layers import UpsamplingStack

# Families that are stacks of convolutions.
STACK_FAMILIES = [name for name in MODELS if issubclass(config_class(name), StackConfig)]
# The same, boosted as well as not.
STACKS = STACK_FAMILIES + [f"{name}, boosted" for name in STACK_FAMILIES if name != "nirvana"]


def build_model(name: str, colour: ColourMode, size=(34, 50), budget=None, frames=4):
    """Build the network of a name in `STACKS`, with random latents."""
    name, _, boosted = name.partition(", ")
    budget = budget or (60_000 if boosted or name == "nervpp" else 7000)
    config = config_class(name).from_budget(
        budget, size=size, frames=frames, colour=colour, boosted=bool(boosted)
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = build(name, config)
        for latent in model.latents.values():
            torch.nn.init.normal_(latent)
    return model


def plain_stack(stack: UpsamplingStack, x: torch.Tensor) -> torch.Tensor:
    """Apply convolutions, pixel shuffles and activations the way the papers' authors do."""
    act = {"gelu": F.gelu, "silu": F.silu}[stack.activation]
    *stages, head = zip(stack.convolutions, stack.upscales, strict=True)
    for convolution, scale in stages:
        x = F.conv2d(
            x, convolution.weight, convolution.bias, padding=convolution.weight.shape[-1] // 2
        )
        x = act(F.pixel_shuffle(x, scale))
    weight = head[0].weight
    x = F.conv2d(x, weight, head[0].bias, padding=weight.shape[-1] // 2)
    return 0.5 * torch.tanh(x) + 0.5
