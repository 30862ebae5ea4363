"""The codec of tensors: exact round trips, cheap plans, and only a `BitstreamError` for damage."""

from __future__ import annotations

import random

import numpy as np
import pytest

from nvcodec.entropy.coder.integers import (
    ByteCursor,
    IntegerArrayCoder,
    pack_varint,
    read_array,
    zigzag,
)
from nvcodec.entropy.coder.probability_tables import LARGEST_SYMBOL, DistributionFamily
from nvcodec.entropy.weights.coding_plan import cheapest_plan, residuals, restore
from nvcodec.entropy.weights.tensor_codec import (
    SYMBOLS_PER_BYTE,
    QuantisedTensor,
    decode_tensors,
    encode_tensors,
)
from nvcodec.errors import BitstreamError, TruncatedStreamError
from nvcodec.models.base.tensor_spec import TensorSpec

WEIGHT = TensorSpec("weight", (24, 6, 3, 3), group=4)
BIAS = TensorSpec("bias", (24,), group=4)
LATENT = TensorSpec("latent", (10, 4, 2, 3), channel_axis=1, latent=True)


def _laplace(shape: tuple[int, ...], scale: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.rint(rng.laplace(0, scale, shape)).clip(-2047, 2047).astype(np.int32)


def _steps(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(60, 120, count).astype(np.int32)


def _check(tensors: list[QuantisedTensor], specs: list[TensorSpec]) -> bytes:
    data = encode_tensors(tensors, specs)
    for found, given in zip(decode_tensors(data, specs), tensors, strict=True):
        assert found.symbols.dtype == np.int32
        assert (found.symbols == given.symbols).all()
        assert (found.steps == given.steps).all()
    return data


@pytest.mark.parametrize("steps", [1, 6, 24])
@pytest.mark.parametrize("scale", [0.2, 3.0, 400.0])
def test_round_trip(scale, steps):
    tensors = [
        QuantisedTensor(_laplace(WEIGHT.shape, scale), _steps(steps)),
        QuantisedTensor(_laplace(BIAS.shape, scale, 1), _steps(1)),
        QuantisedTensor(_laplace(LATENT.shape, min(scale, 100), 2), _steps(4)),
    ]
    _check(tensors, [WEIGHT, BIAS, LATENT])


def test_special_tensors():
    one = TensorSpec("one", (1,))
    for value in (0, 1, -1, LARGEST_SYMBOL, -LARGEST_SYMBOL):
        constant = np.full(WEIGHT.shape, value, np.int32)
        data = _check([QuantisedTensor(constant, _steps(24))], [WEIGHT])
        assert len(data) < 40
        _check([QuantisedTensor(np.array([value], np.int32), _steps(1))], [one])
        still = np.full(LATENT.shape, value, np.int32)
        _check([QuantisedTensor(still, _steps(1))], [LATENT])
    extremes = np.resize(np.array([-2047, 2047, 0], np.int32), WEIGHT.shape)
    _check([QuantisedTensor(extremes, _steps(1))], [WEIGHT])
    _check([QuantisedTensor(np.resize(extremes, LATENT.shape), _steps(1))], [LATENT])
    _check([QuantisedTensor(extremes, np.array([0] * 12 + [255] * 12, np.int32))], [WEIGHT])


def test_symbols_out_of_range_are_refused():
    symbols = np.zeros(BIAS.shape, np.int32)
    symbols[3] = 2048
    with pytest.raises(ValueError, match="bias"):
        encode_tensors([QuantisedTensor(symbols, _steps(1))], [BIAS])


def test_differences_in_time_are_used_where_they_are_smaller():
    drift = np.cumsum(_laplace(LATENT.shape, 0.6), axis=0, dtype=np.int32) + 500
    plan = cheapest_plan(drift, LATENT)
    assert plan.differences
    assert (restore(residuals(drift, LATENT, plan), LATENT, plan) == drift).all()
    noise = _laplace(LATENT.shape, 30)
    assert not cheapest_plan(noise, LATENT).differences
    # Weights have no time axis.
    rising = np.cumsum(np.ones(WEIGHT.shape, np.int32), axis=0, dtype=np.int32)
    assert not cheapest_plan(rising, WEIGHT).differences


def test_locations_are_used_where_channels_have_an_offset():
    large = TensorSpec("latent", (40, 4, 2, 3), channel_axis=1, latent=True)
    rng = np.random.default_rng(0)
    offsets = np.array([-700, 20, 300, 1200])[None, :, None, None]
    symbols = (rng.integers(-3, 4, large.shape) + offsets).astype(np.int32)
    plan = cheapest_plan(symbols, large)
    assert plan.locations.size == 4
    _check([QuantisedTensor(symbols, _steps(1))], [large])


def test_a_histogram_is_used_for_two_humps():
    symbols = np.where(np.arange(1296).reshape(WEIGHT.shape) % 2, 9, -9).astype(np.int32)
    plan = cheapest_plan(symbols, WEIGHT)
    assert plan.family is DistributionFamily.HISTOGRAM
    assert len(_check([QuantisedTensor(symbols, _steps(1))], [WEIGHT])) < 1296 / 8 + 40
    assert (
        cheapest_plan(_laplace(WEIGHT.shape, 2.0), WEIGHT).family
        is not DistributionFamily.HISTOGRAM
    )


def test_tables_per_channel_are_used_where_channels_differ():
    scales = np.geomspace(0.3, 300, 24)[np.random.default_rng(1).permutation(24)]
    symbols = np.rint(
        np.random.default_rng(0).laplace(0, 1, WEIGHT.shape) * scales[:, None, None, None]
    ).astype(np.int32)
    assert cheapest_plan(symbols, WEIGHT).sharing == 2
    grouped = np.rint(
        np.random.default_rng(0).laplace(0, 1, WEIGHT.shape)
        * np.repeat([0.3, 100, 2, 30, 0.5, 9], 4)[:, None, None, None]
    ).astype(np.int32)
    assert cheapest_plan(grouped, WEIGHT).sharing == 1
    assert cheapest_plan(_laplace(WEIGHT.shape, 2.0), WEIGHT).sharing == 0


def test_few_bytes_cannot_ask_for_many_symbols():
    huge = TensorSpec("huge", (10_000, 1000))
    for data in (b"", bytes(100), b"\x05\x00" + bytes(98), random.Random(0).randbytes(100)):
        with pytest.raises(BitstreamError, match="cannot hold 10000000 symbols"):
            decode_tensors(data, [huge])
    # Even a constant tensor is padded to the required size.
    wide = TensorSpec("wide", (40, 100_000))
    symbols = np.zeros(wide.shape, np.int32)
    data = encode_tensors([QuantisedTensor(symbols, _steps(1))], [wide])
    assert len(data) == -(-symbols.size // SYMBOLS_PER_BYTE)
    assert (decode_tensors(data, [wide])[0].symbols == 0).all()


def _sample() -> tuple[bytes, list[TensorSpec]]:
    specs = [WEIGHT, BIAS, LATENT]
    tensors = [
        QuantisedTensor(_laplace(WEIGHT.shape, 1.0), _steps(6)),
        QuantisedTensor(_laplace(BIAS.shape, 9.0, 1), _steps(1)),
        QuantisedTensor(np.cumsum(_laplace(LATENT.shape, 1, 2), 0, np.int32), _steps(4)),
    ]
    return encode_tensors(tensors, specs), specs


def _decodes(data: bytes, specs: list[TensorSpec]) -> bool:
    """Return whether damaged data decodes; errors other than `BitstreamError` fail the test."""
    try:
        tensors = decode_tensors(data, specs)
    except BitstreamError as error:
        assert "segment payload" in str(error)
        return False
    for tensor, spec in zip(tensors, specs, strict=True):
        assert tensor.symbols.shape == spec.shape
        assert ((tensor.steps >= 0) & (tensor.steps <= 255)).all()
    return True


def test_every_truncation():
    data, specs = _sample()
    survived = [_decodes(data[:cut], specs) for cut in range(len(data))]
    assert not any(survived[:8])  # half of the headers cannot be decoded


def test_every_flipped_byte():
    data, specs = _sample()
    survived = 0
    for position in range(len(data)):
        for value in (0x01, 0x80, 0xFF) if position < 80 else (0x55,):
            flipped = bytearray(data)
            flipped[position] ^= value
            survived += _decodes(bytes(flipped), specs)
    assert survived > 100  # rANS has no redundancy of its own: the container has CRCs


def test_garbage():
    chooser = random.Random(0)
    data, specs = _sample()
    for _ in range(300):
        _decodes(chooser.randbytes(chooser.randrange(300)), specs)
        mixed = bytearray(data)
        for _ in range(chooser.randrange(1, 9)):
            mixed[chooser.randrange(min(len(mixed), 90))] = chooser.randrange(256)
        _decodes(bytes(mixed), specs)


def test_plain_numbers():
    numbers = [0, 1, -1, 63, -64, 127, 128, -8192, 2**31 - 1, -(2**31)]
    data = b"".join(pack_varint(zigzag(number)) for number in numbers)
    cursor = ByteCursor(data)
    assert [cursor.zigzag() for _ in numbers] == numbers
    with pytest.raises(TruncatedStreamError):
        cursor.byte()
    with pytest.raises(TruncatedStreamError):
        ByteCursor(b"\x80").varint()
    with pytest.raises(BitstreamError):
        ByteCursor(b"\xff" * 6).varint()
    assert (pack_varint(0), pack_varint(127), pack_varint(300)) == (b"\0", b"\x7f", b"\xac\x02")


def test_side_information_round_trip():
    rng = np.random.default_rng(0)
    arrays = [
        np.array([5]),
        np.array([7, 7, 7]),
        np.array([0, 1, 2, 3]),
        rng.integers(-300, 300, 50),
        np.array([1000, -1000]),
        rng.integers(0, 64, 200),
    ]
    arrays = [array.astype(np.int32) for array in arrays]
    writer = IntegerArrayCoder()
    headers = b"".join(writer.append(array) for array in arrays)
    message = writer.encode()
    reader, cursor = IntegerArrayCoder(), ByteCursor(headers)
    slots = [read_array(cursor, len(array), reader) for array in arrays]
    assert slots == list(range(len(arrays)))
    assert cursor.position == len(headers)
    for found, given in zip(reader.decode(message), arrays, strict=True):
        assert found.dtype == np.int32
        assert found.tolist() == given.tolist()
