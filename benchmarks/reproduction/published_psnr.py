"""Published PSNR on Big Buck Bunny: RGB, float networks, 132 frames, 300 epochs.

At 1280x640: Chen et al., "HNeRV: A Hybrid Neural Representation for Videos", CVPR 2023, table 1.
At 1280x720: Zhang et al., "Boosting Neural Representations for Videos with a Conditional Decoder",
CVPR 2024, read from the figure in their repository, to about 0.05 dB. Ghorbel et al., "NeRV++",
2024, claim more than NeRV; they publish no figure for this clip.
"""

from __future__ import annotations

from itertools import pairwise

from benchmarks.harness.clips import BUNNY_CROP, BUNNY_WHOLE
from benchmarks.harness.model_variants import Variant

FRAMES, EPOCHS = 132, 300
_CROPPED = {
    "nerv": {350_000: 26.99, 750_000: 28.46, 1_500_000: 30.87, 3_000_000: 33.21},
    "hnerv": {350_000: 30.15, 750_000: 32.81, 1_500_000: 35.57, 3_000_000: 37.43},
}
_WHOLE = {
    "nerv": {1_500_000: 29.06},
    "nerv+boost": {1_500_000: 33.70},
    "hnerv": {1_500_000: 35.13},
    "hnerv+boost": {1_500_000: 37.75},
}
# PSNR in dB by network, width and height, and parameters.
PSNR = {
    (Variant.parse(name), size, parameters): value
    for size, networks in ((BUNNY_CROP, _CROPPED), (BUNNY_WHOLE, _WHOLE))
    for name, values in networks.items()
    for parameters, value in values.items()
}
# Orders of networks at equal parameters according to the papers, from worse to better.
ORDERS = tuple(
    tuple(map(Variant.parse, names))
    for names in (("nerv", "nervpp"), ("nerv", "hnerv", "hnerv+boost"), ("nerv", "nerv+boost"))
)


def agrees(order: tuple[Variant, ...], psnr: dict[Variant, float]) -> bool | None:
    """Return whether networks come out in a published order.

    Args:
        order: Networks from worse to better.
        psnr: PSNR of each network in dB.

    Returns:
        None if one of the networks is missing.
    """
    if not set(order) <= set(psnr):
        return None
    return all(psnr[worse] < psnr[better] for worse, better in pairwise(order))
