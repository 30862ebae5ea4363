"""The table of model families: their numbers in the bitstream, packages and classes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from nvcodec._lazy import lazy_exports
from nvcodec.errors import ConfigError, UnsupportedVersionError
from nvcodec.media import ColourMode
from nvcodec.models.base.config import ModelConfig

if TYPE_CHECKING:
    from nvcodec.models.base.network_config import NetworkConfig
    from nvcodec.models.base.video_model import VideoModel

__all__ = [
    "DEFAULT_MODEL",
    "MODELS",
    "ColourMode",
    "Family",
    "ModelConfig",
    "build",
    "config_class",
    "family",
]


class Family(NamedTuple):
    """A row of the model table.

    Attributes:
        number: Id of the family in the bitstream.
        package: Package of the family. The network is in `<package>.model`, which imports torch and
            is imported when first needed. The configuration is in `<package>.config`, which imports
            no torch.
        model: Name of the network's class. The class of its configuration is called
            `<model>Config`; the base class of that one decides which fitter and which decoder
            serve the family.
        summary: Description of the family in one line, for `nvcodec models`.
    """

    number: int
    package: str
    model: str
    summary: str


# The numbers are part of the bitstream; never reuse one.
MODELS: dict[str, Family] = {
    "nerv": Family(
        1, "nvcodec.models.nerv", "NeRV", "frame index to frame; everything is in the weights"
    ),
    "hnerv": Family(
        2,
        "nvcodec.models.hnerv",
        "HNeRV",
        "a small embedding per frame, decoded by convolutions",
    ),
    "latentgrid": Family(
        3,
        "nvcodec.models.latentgrid",
        "LatentGrid",
        "moving blocks and multi-scale latents, found by search",
    ),
    "nervpp": Family(
        4,
        "nvcodec.models.nervpp",
        "NeRVPP",
        "NeRV with separable residual blocks and bilinear skips",
    ),
    "nirvana": Family(
        5,
        "nvcodec.models.nirvana",
        "Nirvana",
        "coordinates to a group of frames; the next group is stored as differences",
    ),
    "ngp": Family(
        6,
        "nvcodec.models.ngp",
        "NGP",
        "features of grids in space and time; any point, any moment",
    ),
}
"""The model families by name."""

DEFAULT_MODEL = "latentgrid"
"""The family that wins the rate-distortion benchmark."""


def family(name: str) -> Family:
    """Return the row of a model.

    Args:
        name: Name of the model, a key of `MODELS`.

    Raises:
        ConfigError: If there is no such model.
    """
    if name not in MODELS:
        raise ConfigError(f"expected a model among {', '.join(MODELS)}, got {name!r}")
    return MODELS[name]


def name_of(number: int) -> str:
    """Return the name that belongs to a model id of the bitstream.

    Args:
        number: Id of the model.

    Raises:
        UnsupportedVersionError: If this release does not know the id.
    """
    for name, row in MODELS.items():
        if row.number == number:
            return name
    raise UnsupportedVersionError(
        f"model id {number} is unknown to this release, which knows "
        + ", ".join(f"{row.number} ({name})" for name, row in MODELS.items())
    )


def config_class(name: str) -> type[ModelConfig]:
    """Return the configuration class of a model.

    Args:
        name: Name of the model, a key of `MODELS`.

    Raises:
        ConfigError: If there is no such model.
    """
    row = family(name)
    module = import_module(f"{row.package}.config")
    config: type[ModelConfig] = getattr(module, f"{row.model}Config")
    return config


def build(name: str, config: NetworkConfig) -> VideoModel:
    """Return the network of a configuration, with freshly initialised weights.

    Args:
        name: Name of a model whose pictures are made by a network.
        config: Configuration of the network.

    Raises:
        ConfigError: If there is no such model.
    """
    row = family(name)
    model: VideoModel = getattr(import_module(f"{row.package}.model"), row.model)(config)
    return model


# `nvcodec.models.hnerv` and the other families need no import statement of their own.
__getattr__, __dir__ = lazy_exports(__name__, {}, submodules=MODELS)
