"""Damaged and hostile payloads of latents: a `BitstreamError` or symbols, and little memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from math import prod

import numpy as np
import pytest

from nvcodec.entropy.latents import encoder
from nvcodec.entropy.latents.context_model import LatentSymbols
from nvcodec.entropy.latents.decoder import LatentGridReader
from nvcodec.entropy.latents.encoder import encode_grids
from nvcodec.entropy.motion import coder
from nvcodec.entropy.motion.coder import MotionCoder, open_message
from nvcodec.errors import BitstreamError
from nvcodec.models.latentgrid.gop import TemporalLayer
from nvcodec.models.latentgrid.motion.grids import (
    FIRST,
    LARGEST_VECTOR,
    LEVELS,
    MODES,
    NEITHER,
    SECOND,
)
from nvcodec.models.latentgrid.step_sizes import StepIndices
from tests.fixtures.latents import STEPS, assert_same, decoded, empty_latents, make_config


@pytest.fixture(scope="module")
def sample(make_grids):
    config = make_config((18, 22), 2)
    return config, encode_grids(make_grids(config, seed=5, busy=0.2), config.temporal_layers)


def assert_possible(found, config):
    """Check that the motion that was read is one that frames can have."""
    for frame, field in found.motion.items():
        two = len(config.hierarchy.references(frame)) == 2
        assert np.isin(field.modes, range(MODES) if two else (FIRST, NEITHER)).all()
        assert (field.levels < LEVELS).all()
        assert np.abs(field.vectors.astype(int)).max() <= LARGEST_VECTOR
        assert not field.vectors[np.isin(field.modes, (FIRST, NEITHER)), 1].any()
        assert not field.vectors[np.isin(field.modes, (SECOND, NEITHER)), 0].any()
        rows, columns = np.indices(field.levels.shape)
        first = rows >> field.levels << field.levels, columns >> field.levels << field.levels
        for values in (field.levels, field.modes, field.vectors):
            assert np.array_equal(values, values[first]), "all cells of a block hold the same"


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
        assert_possible(found, config)
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
    cells = config.grid_size, config.cell
    tracemalloc.start()
    try:
        for frames in (1, 65536):
            with pytest.raises(BitstreamError, match="coefficients in"):
                LatentGridReader(body[:100], config.layouts, frames, levels[:frames], *cells)
        with pytest.raises(BitstreamError, match="coefficients in"):
            LatentGridReader(bytes(1 << 22), config.layouts, 65536, levels, *cells)
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
        with pytest.raises(BitstreamError, match="extents of luma out of range"):
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
        replace(coded, steps=StepIndices(**fields | change)), config.temporal_layers
    )
    with pytest.raises(BitstreamError, match=named):
        decoded(body, config)
    # The outermost values that are allowed.
    for edge in ({"base": 4095, "chroma": 63}, {"base": 0, "offsets": (-64,) * 8}):
        steps = StepIndices(**fields | edge)
        body = encode_grids(replace(coded, steps=steps), config.temporal_layers)
        assert decoded(body, config).steps == steps


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_are_motion(make_grids, monkeypatch, seed):
    chance = np.random.default_rng(seed)
    config = make_config((70, 90), 9, cell=4, predicted=bool(seed % 2))
    coded = make_grids(config, seed)
    whole = encoder.motion_message

    def hostile(motion, cells):
        message = bytearray(whole(motion, cells))
        if not message:
            return b""
        kind = int(chance.integers(4))
        if kind == 0:
            message = bytearray(chance.bytes(int(chance.integers(8, 300))))
        elif kind == 1:
            del message[int(chance.integers(8, len(message) + 1)) :]
        elif kind == 2:
            message = bytearray(b"\xff" * len(message))
        for place in chance.integers(0, len(message), 3):
            message[place] ^= int(chance.integers(1, 256))
        message[7] |= 1
        return bytes(message)

    monkeypatch.setattr(encoder, "motion_message", hostile)
    largest = 0
    for _ in range(20):
        found = decoded(encode_grids(coded, config.temporal_layers), config)
        assert found.motion.keys() == coded.fields.keys()
        assert_possible(found, config)
        largest = max(largest, *(int(np.abs(f.vectors).max()) for f in found.motion.values()))
    assert largest > 1000


def test_motion_that_leads_far_outside_is_carried_over():
    config = make_config((40, 60), 9, cell=4)
    references = {frame: config.hierarchy.references(frame) for frame in range(9)}
    tested = MotionCoder(references, config.grid_size, config.cell)
    for layer in config.temporal_layers:
        for frame in layer.frames if layer.references[0] else ():
            # All lengths are the longest: the largest numbers that the syntax has.
            state = open_message(b"\xff" * 2000, prod(config.grid_size))
            tested.decode(frame, state)
            _, vectors = tested.carried(frame)
            assert np.abs(vectors.astype(int)).max() <= LARGEST_VECTOR


@pytest.mark.parametrize(
    "message", [bytes(100), b"\1\0\0\0" + bytes(96), b"\xff\xff\xff\x7f" + bytes(96), b"\xff" * 3]
)
def test_motion_begins_with_a_valid_state(make_grids, monkeypatch, message):
    config = make_config(frames=3)
    coded = make_grids(config)
    monkeypatch.setattr(encoder, "motion_message", lambda motion, _: message if motion else b"")
    with pytest.raises(BitstreamError, match="a message of motion begins with an invalid state"):
        decoded(encode_grids(coded, config.temporal_layers), config)


def test_the_last_bytes_of_a_message_of_motion_count(make_grids, monkeypatch):
    config = make_config((70, 90), 2)
    coded = make_grids(config, seed=2)
    # The last word reads the same with the zero bytes that follow a message.
    whole = encoder.motion_message
    found = set()
    for last in (b"", b"\0", b"\0\0", b"\0\0\0", b"\1", b"\0\1", b"\0\0\1"):
        monkeypatch.setattr(
            encoder, "motion_message", lambda *a, last=last: whole(*a)[:40] + last if a[0] else b""
        )
        reader = decoded(encode_grids(coded, config.temporal_layers), config)
        found.add(reader.motion[1].vectors.tobytes() + reader.motion[1].levels.tobytes())
    assert len(found) == 4


def test_motion_of_too_many_cells_is_refused(monkeypatch):
    config = make_config((64, 256), 9, cell=4)
    coded = empty_latents(config)
    body = encode_grids(coded, config.temporal_layers)
    assert_same(decoded(body, config), coded)
    # 1024 cells a frame: the first depth has one frame with motion, the last one four.
    monkeypatch.setattr(coder, "_CELLS_PER_BYTE", 100)
    with pytest.raises(BitstreamError, match=r"cells of motion in .* bytes; at most 100 a byte"):
        decoded(body, config)
    padded = encode_grids(coded, config.temporal_layers)
    assert len(padded) > 8 * 1024 / 100 > len(body) / 2
    assert_same(decoded(padded, config), coded)
    monkeypatch.undo()
    monkeypatch.setattr(encoder, "motion_message", lambda motion, _: bytes(0))
    with pytest.raises(BitstreamError, match="1024 cells of motion in 0 bytes; at most 4096"):
        decoded(encode_grids(coded, config.temporal_layers), config)


def test_motion_of_frames_without_references_is_refused(make_grids, monkeypatch):
    config = make_config(frames=1)
    coded = make_grids(config)
    assert_same(decoded(encode_grids(coded, config.temporal_layers), config), coded)
    monkeypatch.setattr(encoder, "motion_message", lambda *_: b"\1" * 8)
    with pytest.raises(BitstreamError, match="motion of frames without references"):
        decoded(encode_grids(coded, config.temporal_layers), config)
