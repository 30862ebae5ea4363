"""Damaged and hostile payloads of latents: a `BitstreamError` or symbols, and little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from nvcodec.entropy.latents import encoder
from nvcodec.entropy.latents.context_model import LatentSymbols
from nvcodec.entropy.latents.decoder import decode_grids
from nvcodec.entropy.latents.encoder import CodedGrids, encode_grids
from nvcodec.errors import BitstreamError
from nvcodec.models.latentgrid.gop import TemporalLayer
from nvcodec.models.latentgrid.step_sizes import StepIndices
from tests.fixtures.latents import STEPS, assert_same, decoded, empty_latents, make_config


@pytest.fixture(scope="module")
def sample(make_grids):
    config = make_config((18, 22), 2)
    return config, encode_grids(make_grids(config, seed=5, busy=0.2), config.temporal_layers)


def test_every_truncation_is_refused(sample):
    config, body = sample
    for length in range(len(body)):
        with pytest.raises(BitstreamError):
            decoded(body[:length], config)
    with pytest.raises(BitstreamError):
        decoded(body + b"\0", config)


def test_flipped_bytes_are_refused_or_decode(sample):
    config, body = sample
    rng = np.random.default_rng(0)
    refused = survived = 0
    header = 50  # bytes, and a few more
    places = [*range(header), *range(header), *rng.integers(header, len(body), 60)]
    for place in places:
        broken = bytearray(body)
        broken[place] ^= int(rng.integers(1, 256))
        try:
            found = decoded(bytes(broken), config)
        except BitstreamError:
            refused += 1
            continue
        survived += 1
        for bands in found.grids.symbols.values():
            assert max(int(np.abs(band).max()) for band in bands) <= 2047
    assert refused > 20
    assert survived > 60


def test_random_messages(make_grids, monkeypatch):
    config = make_config((40, 40), 5)
    coded = make_grids(config, seed=3, busy=0.5)
    rng = np.random.default_rng(1)
    outcomes = set()
    fills = [lambda n: bytes(n), lambda n: b"\xff" * n, lambda n: rng.bytes(n)]
    for length in (0, 1, 7, 8, 9, 50, 2000):
        for fill in fills:
            monkeypatch.setattr(encoder, "_message", lambda *_, n=length, fill=fill: fill(n))
            body = encode_grids(coded, config.temporal_layers)
            try:
                decoded(body, config)
                outcomes.add("decoded")
            except BitstreamError as error:
                outcomes.add(str(error).split(" bytes ")[-1])
    assert {"decoded", "begins with an invalid state"} <= outcomes
    assert "segment payload: a message holds more than 64 symbols a byte" in outcomes


def test_a_message_that_ends_early_is_noticed(make_grids, monkeypatch):
    config = make_config((64, 64), 1)
    coded = make_grids(config, seed=3, busy=1.0, largest=1000)
    whole = encoder._message
    monkeypatch.setattr(encoder, "_message", lambda *args: whole(*args)[:400])
    with pytest.raises(BitstreamError, match="400 bytes ends before its symbols"):
        decoded(encode_grids(coded, config.temporal_layers), config)


def test_a_tiny_payload_that_claims_much_is_refused_at_once(sample):
    _, body = sample
    config = make_config((8192, 8192), 4)
    levels = tuple(TemporalLayer((t,), ((),), 0) for t in range(65536))
    tracemalloc.start()
    try:
        for frames in (1, 65536):
            with pytest.raises(BitstreamError, match="coefficients in"):
                decode_grids(body[:100], config.layouts, frames, levels[:frames])
        with pytest.raises(BitstreamError, match="coefficients in"):
            decode_grids(bytes(1 << 22), config.layouts, 65536, levels)
        assert tracemalloc.get_traced_memory()[1] < 30 << 20
    finally:
        tracemalloc.stop()


def test_payloads_that_pass_the_first_check_take_little_memory():
    # As many frames as the bytes allow, all of them empty.
    config = make_config((64, 64), 1, most=5)
    body = encode_grids(empty_latents(config), config.temporal_layers)
    frames = 65536 * len(body) // sum(layout.values for layout in config.layouts.values())
    many = make_config((64, 64), frames, most=5)
    rng = np.random.default_rng(0)
    tracemalloc.start()
    try:
        for _ in range(30):
            with pytest.raises(BitstreamError):
                decoded(rng.bytes(len(body)), many)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_extents_out_of_range_are_refused(make_grids, monkeypatch):
    config = make_config(frames=2)
    coded = make_grids(config, seed=1)
    body = encode_grids(coded, config.temporal_layers)
    assert_same(decoded(body, config), coded)
    for wrong in (-1, 5):
        monkeypatch.setattr(LatentSymbols, "extents", lambda *_, wrong=wrong: [wrong])
        monkeypatch.setattr(encoder, "_message", lambda *_: b"")
        with pytest.raises(BitstreamError, match="extents of motion out of range"):
            decoded(encode_grids(coded, config.temporal_layers), config)


@pytest.mark.parametrize("wrong", [0, 12])
def test_ranges_out_of_range_are_refused(make_grids, monkeypatch, wrong):
    config = make_config(frames=3)
    body = encode_grids(make_grids(config, seed=1), config.temporal_layers)
    count = len(encoder._lengths(decoded(body, config).grids, [config.temporal_layers]))
    monkeypatch.setattr(encoder, "_lengths", lambda *_: np.full(2 * count, wrong, np.int32))
    monkeypatch.setattr(encoder, "_message", lambda *_: b"")
    with pytest.raises(BitstreamError, match="ranges of symbols out of range"):
        decoded(encode_grids(empty_latents(config), config.temporal_layers), config)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"base": 4096}, "steps out of range"),
        ({"chroma": 64}, "steps out of range"),
        ({"offsets": (0, 0, 0, 0, 0, 0, 0, -65)}, "steps out of range"),
    ],
)
def test_steps_out_of_range_are_refused(change, named):
    config = make_config()
    coded = empty_latents(config)
    fields = {name: getattr(STEPS, name) for name in StepIndices.__dataclass_fields__}
    body = encode_grids(
        CodedGrids(StepIndices(**fields | change), coded.grids), config.temporal_layers
    )
    with pytest.raises(BitstreamError, match=named):
        decoded(body, config)
    # The outermost values that are allowed.
    for edge in ({"base": 4095, "chroma": 63}, {"base": 0, "offsets": (-64,) * 8, "mix": 255}):
        steps = StepIndices(**fields | edge)
        body = encode_grids(CodedGrids(steps, coded.grids), config.temporal_layers)
        assert decoded(body, config).steps == steps
