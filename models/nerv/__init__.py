"""NeRV (Chen et al., NeurIPS 2021): a network from the index of a frame to the frame."""

from nvcodec._lazy import lazy_exports

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "nvcodec.models.nerv.model": ("NeRV",),
        "nvcodec.models.nerv.config": ("NeRVConfig",),
    },
)
