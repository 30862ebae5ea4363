"""Random latents of model 3, decoded by a decoder that was written from docs/bitstream.md alone."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nvcodec.entropy.latents.decoder import decode_grids
from nvcodec.entropy.latents.encoder import encode_grids
from nvcodec.media import Colour, ColourMode
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.reconstruction.latentgrid_decoder import LatentGridDecoder

CPU = torch.device("cpu")
CASES = [
    # height, width, frames, RGB, group, cell, scales, field scales
    (17, 35, 5, False, 4, 8, 3, 1),
    (18, 21, 4, True, 2, 4, 4, 2),
    (16, 26, 19, False, 16, 16, 1, 0),
    (9, 7, 1, False, 1, 2, 2, 2),
    (1, 40, 3, False, 2, 2, 0, 0),
    (37, 1, 3, False, 2, 4, 0, 0),
    (1, 1, 2, True, 8, 64, 0, 0),
]


@pytest.fixture(scope="module")
def second():
    spec = importlib.util.spec_from_file_location(
        "second_decoder", Path(__file__).with_name("second_decoder.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("predicted", [False, True])
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_symbols_and_pictures(second, make_grids, case, predicted):
    height, width, frames, rgb, group, cell, scales, field_scales = case
    colour = Colour(primaries=1, transfer=1, matrix=1, full_range=False)
    config = LatentGridConfig(
        size=(height, width),
        frames=frames,
        colour=ColourMode.RGB if rgb else ColourMode.YUV420,
        group=group,
        cell=cell,
        scales=scales,
        field_scales=field_scales,
    )
    head = {"height": height, "width": width, "yuv": int(not rgb), "matrix": 1, "full_range": 0}
    previous = before = None
    if predicted:
        first = replace(config, frames=2)
        body = encode_grids(make_grids(first, seed=width, busy=0.5), first.temporal_layers)
        previous = LatentGridDecoder(first, body, colour, CPU).reference_state()
        _, _, before = second.decode_grids(head, first.pack(), 2, body)
        config = replace(config, predicted=True)
    body = encode_grids(make_grids(config, seed=height, busy=0.5), config.temporal_layers)
    symbols, pictures, _ = second.decode_grids(head, config.pack(), frames, body, before)

    coded = decode_grids(body, config.layouts, frames, config.temporal_layers)
    expected = [
        values[..., : band.size[0], : band.size[1]]
        for kind, layout in config.layouts.items()
        for band, values in zip(layout.bands, coded.grids.symbols[kind], strict=True)
    ]
    *symbols, steps = symbols
    assert all((ours == theirs).all() for ours, theirs in zip(symbols, expected, strict=True))
    assert any(values.any() for values in symbols)
    fields = coded.steps
    assert steps.tolist() == [
        fields.base,
        fields.chroma,
        fields.motion,
        fields.mix,
        *fields.offsets,
    ]

    planes = LatentGridDecoder(config, body, colour, CPU, previous).planes(range(frames))
    errors = [
        np.abs(ours.astype(int) - theirs).ravel()
        for ours, theirs in zip(planes, map(np.stack, zip(*pictures, strict=True)), strict=True)
    ]
    errors = np.concatenate(errors)
    assert (errors <= 1).mean() >= 0.999
    assert errors.max() <= 3
