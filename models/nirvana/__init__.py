"""NIRVANA (Maiya et al., CVPR 2023): a coordinate network per group of frames, predicted."""

from nvcodec._lazy import lazy_exports

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "nvcodec.models.nirvana.model": ("Nirvana",),
        "nvcodec.models.nirvana.config": ("NirvanaConfig",),
    },
)
