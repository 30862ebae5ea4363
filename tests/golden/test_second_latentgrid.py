"""Random latents of model 3, decoded by a decoder that was written from docs/bitstream.md alone."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nvcodec.entropy.latents.encoder import encode_grids
from nvcodec.media import Colour, ColourMode
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.reconstruction.latentgrid_decoder import LatentGridDecoder
from tests.fixtures.latents import assert_same, decoded

CPU = torch.device("cpu")
CASES = [
    # height, width, frames, RGB, group, cell, scales
    (17, 35, 5, False, 4, 8, 3),
    (18, 21, 4, True, 2, 4, 4),
    (16, 26, 19, False, 16, 16, 1),
    (75, 46, 6, False, 4, 4, 2),
    (9, 7, 1, False, 1, 4, 2),
    (1, 40, 3, False, 2, 4, 0),
    (37, 1, 3, False, 2, 4, 0),
    (1, 1, 2, True, 8, 32, 0),
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
    height, width, frames, rgb, group, cell, scales = case
    colour = Colour(primaries=1, transfer=1, matrix=1, full_range=False)
    config = LatentGridConfig(
        size=(height, width),
        frames=frames,
        colour=ColourMode.RGB if rgb else ColourMode.YUV420,
        group=group,
        cell=cell,
        scales=scales,
    )
    head = {"height": height, "width": width, "yuv": int(not rgb), "matrix": 1, "full_range": 0}
    previous = before = None
    if predicted:
        first = replace(config, frames=2)
        body = encode_grids(make_grids(first, seed=width, busy=0.5), first.temporal_layers)
        previous = LatentGridDecoder(first, body, colour, CPU).reference_state()
        _, _, before = second.decode_grids(head, first.pack(), 2, body)
        config = replace(config, predicted=True)
    coded = make_grids(config, seed=height, busy=0.5)
    body = encode_grids(coded, config.temporal_layers)
    found, pictures, _ = second.decode_grids(head, config.pack(), frames, body, before)

    reader = decoded(body, config)
    assert_same(reader, coded)
    symbols = [
        values[..., : band.size[0], : band.size[1]]
        for kind, layout in config.layouts.items()
        for band, values in zip(layout.bands, reader.grids.symbols[kind], strict=True)
    ]
    motion = [
        values
        for _, field in sorted(reader.motion.items())
        for values in (field.levels, field.modes, field.vectors)
    ]
    assert any(values.any() for values in symbols)
    assert len(motion) == 3 * (frames - (not predicted))
    steps = np.array([reader.steps.base, reader.steps.chroma, *reader.steps.offsets])
    expected = [*symbols, *motion, steps]
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))

    planes = LatentGridDecoder(config, body, colour, CPU, previous).planes(range(frames))
    errors = [
        np.abs(ours.astype(int) - theirs).ravel()
        for ours, theirs in zip(planes, map(np.stack, zip(*pictures, strict=True)), strict=True)
    ]
    errors = np.concatenate(errors)
    assert (errors <= 1).mean() >= 0.999
    assert errors.max() <= 3
