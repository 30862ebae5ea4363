"""NeRV++ (Ghorbel et al., 2024): NeRV with separable residual blocks."""

from nvcodec._lazy import lazy_exports

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "nvcodec.models.nervpp.model": ("NeRVPP",),
        "nvcodec.models.nervpp.config": ("NeRVPPConfig",),
    },
)
