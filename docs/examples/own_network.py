"""Your own network in the loop: fitted, quantised, entropy-coded and decoded from a real file.

A family is two classes and a row in the table of models. The configuration lists the tensors of the
file; the network makes the frames. The search for the size, the fit and the file are the library's.

    python docs/examples/own_network.py --epochs 150
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
from bundled import clip
from torch import Tensor, nn

import nvcodec
from nvcodec.models import MODELS, Family
from nvcodec.models.base.network_config import Recipe, largest_that_fits
from nvcodec.models.base.tensor_spec import TensorSpec
from nvcodec.models.stacks.blocks import BlockStack, ShuffleConv
from nvcodec.models.stacks.config import StackConfig, pack_stages, stage_layers, unpack_stages
from nvcodec.models.stacks.geometry import derive
from nvcodec.models.stacks.layer_config import LayerSpec
from nvcodec.models.stacks.model import StackModel


@dataclass(frozen=True, slots=True, kw_only=True)
class SnakeConfig(StackConfig):
    """Pack the fields that a decoder needs: strides, kernels and widths of the stages."""

    SUPPORTS_BOOST = False
    RECIPE = Recipe(learning_rate=1e-2, batch=2, warmup=0.1, warmup_start=0.1, loss="l2")

    def blocks(self):
        return tuple((layer,) for layer in stage_layers(self))

    def head(self):
        return LayerSpec(self.widths[-1], self.colour.channels, 3, 1, self.padded)

    def latents(self):
        shape = (self.frames, self.widths[0], *self.grid)
        return (TensorSpec("embeddings", shape, channel_axis=1, latent=True),)

    def pack(self):
        return pack_stages(self)

    @classmethod
    def _unpack_fields(cls, data):
        stages, _ = unpack_stages(data, 0)
        return dict(stages)

    @classmethod
    def _smallest(cls, target):
        return cls._with_width(1, target)

    @classmethod
    def _largest_within(cls, parameters, target):
        return largest_that_fits(lambda width: cls._with_width(width, target), parameters, 512)

    @classmethod
    def _with_width(cls, width, target):
        strides = derive(target.native_size, 16).strides
        widths = (max(width // 2, 1), *(max(width >> stage, 2) for stage in range(len(strides))))
        kernels = (3,) * len(strides)
        return cls(size=target.size, frames=target.frames, colour=target.colour,
                   strides=strides, kernels=kernels, widths=widths)  # fmt: skip


class SnakeBlock(ShuffleConv):
    """Convolution, pixel shuffle, then x + sin(x)**2; any module of your own could stand here."""

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        return x + torch.sin(x) ** 2


class Snake(StackModel):
    """The network: an embedding per frame, which is fitted itself, and a stack of blocks."""

    def __init__(self, config: SnakeConfig) -> None:
        super().__init__(config)
        (embeddings,) = config.latents()
        self.latents["embeddings"] = nn.Parameter(torch.randn(embeddings.shape))
        blocks = [SnakeBlock(layer) for (layer,) in config.blocks()]
        self.stack = BlockStack(blocks, config.widths[1:], config.head(), 0)

    def embed(self, index: Tensor) -> Tensor:
        return self.latents["embeddings"][index]


def register() -> None:
    """Make the family known to this process; in a package of your own these are two modules."""
    for name, content in (("config", SnakeConfig), ("model", Snake)):
        module = sys.modules.setdefault(f"snake.{name}", ModuleType(f"snake.{name}"))
        setattr(module, content.__name__, content)
    # The number stands in the file. Those of the library count up from 1.
    MODELS["snake"] = Family(240, "snake", "Snake", "embeddings, decoded with snake activations")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", nargs="?", type=Path, default=clip(), help="any video")
    parser.add_argument("--out", type=Path, default=Path("out/snake.nvc"), help="file to write")
    parser.add_argument("--frames", type=int, default=16, help="how many to encode")
    parser.add_argument("--epochs", type=int, default=60, help="passes over the frames")
    parser.add_argument("--bpp", type=float, default=0.5, help="bits per pixel of the file")
    options = parser.parse_args(argv)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    register()
    taken = slice(0, options.frames)
    config = nvcodec.EncoderConfig(
        model="snake", bpp=options.bpp, epochs=options.epochs, resize=(88, 72), frames=taken
    )
    # Measured below: the process that `encode` would start does not know the family.
    report = nvcodec.encode(options.source, options.out, config, overwrite=True, measure=False)
    found = nvcodec.compare(options.source, options.out, frames=taken)
    print(f"{options.out}: {report.parameters} values in {found.bytes} bytes")
    print(f"{found.bpp:.3f} bits per pixel, PSNR of luma {found.quality.psnr_y:.2f} dB")


if __name__ == "__main__":
    main()
