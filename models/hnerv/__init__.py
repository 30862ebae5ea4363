"""HNeRV (Chen et al., CVPR 2023): a small embedding per frame, decoded by convolutions."""

from nvcodec._lazy import lazy_exports

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "nvcodec.models.hnerv.model": ("HNeRV", "from_reference"),
        "nvcodec.models.hnerv.config": ("HNeRVConfig",),
    },
)
