"""The model family `latentgrid`: moving blocks and wavelet latents, coded with context networks."""

from nvcodec._lazy import lazy_exports

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "nvcodec.models.latentgrid.model": ("LatentGrid",),
        "nvcodec.models.latentgrid.config": ("LatentGridConfig",),
    },
)
