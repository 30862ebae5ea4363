"""Compiled loops and the plain decoder of latents: the same symbols and errors, whatever the bytes."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nvcodec.entropy.coder.probability_tables import SCALES
from nvcodec.entropy.latents import band_decoder, encoder
from nvcodec.entropy.latents.band_context import band_contexts
from nvcodec.entropy.latents.band_decoder import PlainBandDecoder
from nvcodec.entropy.latents.compiled_band_decoder import CompiledBandDecoder, _tables
from nvcodec.entropy.latents.encoder import encode_grids
from nvcodec.entropy.latents.symbols import laplace_table
from nvcodec.errors import BitstreamError
from nvcodec.host import compiled
from nvcodec.media import ColourMode
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.latentgrid.subbands import SubbandLayout, count_scales
from tests.fixtures.latents import assert_same, decoded, make_config, open_latents


def outcome(body, config, kind):
    """Return symbols and neighbour sums as far as a kind of decoder gets, and its error."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(band_decoder, "is_available", lambda: kind is CompiledBandDecoder)
        reader = open_latents(body, config)
        assert type(reader._decoder) is kind
        error = None
        try:
            reader.read(config.temporal_layers[-1].depth)
        except BitstreamError as raised:
            error = str(raised)
    grids = reader.grids
    return error, reader._depths_read, grids.symbols, grids.neighbour_sums


def assert_equal(body, config):
    """Check that both decoders agree on a payload; return their error."""
    error, depths, *ours = outcome(body, config, CompiledBandDecoder)
    plain_error, plain_depths, *theirs = outcome(body, config, PlainBandDecoder)
    assert (error, depths) == (plain_error, plain_depths)
    # Where a band is refused, the compiled loops may have stored some of it.
    frames = sorted(
        frame
        for layer in config.temporal_layers
        if error is None or layer.depth < depths
        for frame in layer.frames
    )
    for our_arrays, their_arrays in zip(ours, theirs, strict=True):
        for kind, bands in their_arrays.items():
            for mine, other in zip(our_arrays[kind], bands, strict=True):
                assert np.array_equal(mine[frames], other[frames])
    return error


def random_config(chance):
    """Return a random configuration of little area."""
    size = tuple(int(side) for side in chance.integers(1, 70, 2))
    cell = int(chance.choice([4, 8, 16, 32]))
    frames = int(chance.integers(1, 20))
    return LatentGridConfig(
        size=size,
        frames=frames,
        colour=list(ColourMode)[chance.integers(len(ColourMode))],
        group=int(chance.choice([1, 2, 4, 8, 16])),
        cell=cell,
        scales=count_scales(size, int(chance.integers(0, 6))),
        predicted=bool(chance.integers(2)),
    )


@pytest.mark.parametrize("seed", range(24))
def test_both_decode_what_was_encoded(make_grids, seed):
    chance = np.random.default_rng(seed)
    config = random_config(chance)
    largest = int(chance.choice([1, 3, 6, 200, 1023]))
    coded = make_grids(config, seed, busy=float(chance.choice([0.02, 0.3, 1.0])), largest=largest)
    body = encode_grids(coded, config.temporal_layers)
    assert assert_equal(body, config) is None
    assert_same(decoded(body, config), coded)


@pytest.mark.parametrize("seed", range(12))
def test_both_agree_on_hostile_messages(make_grids, monkeypatch, seed):
    chance = np.random.default_rng(100 + seed)
    config = random_config(chance)
    coded = make_grids(config, seed, busy=0.5, largest=int(chance.choice([1, 6, 1000])))
    whole = encoder._message

    def hostile(*arguments):
        message = bytearray(whole(*arguments))
        match int(chance.integers(5)):
            case 0:
                return chance.bytes(int(chance.integers(0, 3000)))
            case 1:
                return bytes(message[: chance.integers(len(message) + 1)])
            case 2:
                return b"\xff" * len(message)
            case 3:
                return bytes(4) + b"\1" + bytes(len(message))
        for place in chance.integers(0, max(len(message), 1), 3 * bool(message)):
            message[place] ^= int(chance.integers(1, 256))
        return bytes(message)

    monkeypatch.setattr(encoder, "_message", hostile)
    errors = set()
    for _ in range(12):
        body = encode_grids(coded, config.temporal_layers)
        try:
            errors.add(assert_equal(body, config))
        except BitstreamError as error:  # refused before any symbol
            assert "coefficients in" in str(error)
    assert errors


def test_errors_are_the_same(make_grids, monkeypatch):
    config = make_config((40, 40), 5)
    coded = make_grids(config, seed=3, busy=1.0, largest=1000)
    whole = encoder._message
    found = []
    for message in (
        lambda *_: bytes(4000),
        lambda *arguments: whole(*arguments)[:301],
        lambda *_: b"\xff" * 9,
        lambda *_: b"",
    ):
        monkeypatch.setattr(encoder, "_message", message)
        found.append(assert_equal(encode_grids(coded, config.temporal_layers), config))
    assert "4000 bytes begins with an invalid state" in found[0]
    assert "301 bytes ends before its symbols" in found[1]
    assert "9 bytes ends before its symbols" in found[2]
    assert found[3] == "segment payload: a message holds more than 64 symbols a byte"


def test_threads_decode_what_one_does(make_grids):
    config = make_config((48, 64), 9)
    bodies = {seed: make_grids(config, seed) for seed in range(6)}
    with ThreadPoolExecutor(4) as pool:
        results = {
            seed: pool.submit(decoded, encode_grids(coded, config.temporal_layers), config)
            for seed, coded in bodies.items()
        }
        for seed, coded in bodies.items():
            assert_same(results[seed].result(), coded)


@pytest.mark.parametrize("bits", [1, 2, 5, 11])
def test_tables_are_those_of_the_plain_decoder(bits):
    bound = (1 << bits) - 1
    cumulative, lengths = _tables(bound)
    for scale in range(0, SCALES, 7):
        table = laplace_table(scale, bound)
        assert cumulative[scale].tolist() == table.cumulative[:-1]
        assert np.array_equal(lengths[scale], table.bits)


def test_all_positions_have_their_place_in_other_bands():
    for height in (*range(2, 40), 255, 1023):
        for width in (2, 3, 5, 7, 8, 31, 64, 1021):
            size = height, width
            scales = count_scales(size, 10)
            luma = SubbandLayout(size, scales, 1)
            half = -(-height // 2), -(-width // 2)
            chroma = SubbandLayout(half, count_scales(half, max(scales - 1, 0)), 2)
            band_contexts(luma, None)  # it checks them
            band_contexts(chroma, luma)


def test_layers_beyond_the_segment_are_refused(make_grids):
    config, longer = make_config(frames=2), make_config(frames=9)
    decoder = CompiledBandDecoder(make_grids(config).grids)
    for layer in longer.temporal_layers[1:]:
        with pytest.raises(AssertionError, match="of 2 frames"):
            decoder.decode(layer, 1, [9] * len(layer.frames))


def test_numba_is_imported_only_for_latents():
    code = (
        "import nvcodec.encoding.encoder, nvcodec.reconstruction.segment_decoder, sys; "
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert compiled.is_available()
