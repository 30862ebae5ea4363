"""The rANS coder: golden bytes, an independent decoder, and no trust in its input."""

from __future__ import annotations

import random
import struct
import subprocess
import sys

import numpy as np
import pytest

from nvcodec.entropy.coder import rans
from nvcodec.entropy.coder.frequency_tables import FrequencyTable, TableSet
from nvcodec.entropy.coder.probability_tables import (
    TOTAL,
    DistributionFamily,
    cumulative,
    histogram,
)
from nvcodec.entropy.coder.rans import MessageDecoder
from nvcodec.errors import BitstreamError


def _tables() -> TableSet:
    tables = TableSet()
    tables.number(-4, cumulative(DistributionFamily.LAPLACE, 16, -4, 4))
    tables.number(0, cumulative(DistributionFamily.LOGISTIC, 20, 0, 7))
    tables.number(-2047, cumulative(DistributionFamily.LAPLACE, 24, -2047, 2047))
    tables.number(5, histogram([0, 63]))
    return tables


def _symbols(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return symbols drawn from their tables, and the number of each symbol's table."""
    tables = _tables()
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, 4, count).astype(np.int32)
    symbols = np.empty(count, np.int32)
    for number in range(4):
        bounds = np.array(tables.cumulatives[number][:-1])
        where = numbers == number
        drawn = np.searchsorted(bounds, rng.integers(0, TOTAL, where.sum()), side="right") - 1
        symbols[where] = drawn + tables.offsets[number]
    return symbols, numbers


def _plain_decode(data: bytes, numbers: np.ndarray, tables: TableSet) -> list[int]:
    """Decode by published rANS: 64 bits of state, 32-bit words and 16-bit frequencies."""
    words = iter(struct.unpack(f"<{len(data) // 4}I", data))
    state = next(words) | next(words) << 32
    symbols = []
    for number in numbers.tolist():
        bounds = tables.cumulatives[number]
        slot = state & 0xFFFF
        place = max(k for k in range(len(bounds) - 1) if bounds[k] <= slot < bounds[k + 1])
        frequency = bounds[place + 1] - bounds[place]
        state = frequency * (state >> 16) + slot - bounds[place]
        if state < 1 << 31:
            state = state << 32 | next(words)
        symbols.append(place + tables.offsets[number])
    return symbols


GOLDEN = [
    ([0, 1, -1, 4, -4, 0, 0, 2, -3, 0, 1, 0], [0] * 12, "a161ef2d09000000edfd1b65"),
    ([0], [0], "6a89bb4101000000"),
    ([3, 5, -100, 0, 6, 7], [1, 3, 2, 0, 3, 1], "a0b86e8eaa0000009b07615f"),
]


@pytest.mark.parametrize(("symbols", "numbers", "coded"), GOLDEN)
def test_golden_bytes(symbols, numbers, coded):
    symbols, numbers = np.array(symbols, np.int32), np.array(numbers, np.int32)
    data = rans.encode(symbols, numbers, _tables())
    assert data.hex() == coded
    assert rans.decode(data, numbers, _tables()).tolist() == symbols.tolist()


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 100, 100_000])
def test_round_trip_and_size(count):
    symbols, numbers = _symbols(count)
    tables = _tables()
    data = rans.encode(symbols, numbers, tables)
    assert (rans.decode(data, numbers, tables) == symbols).all()
    # A decoder that reads forwards has its own tables, without the coder's padding.
    assert (rans.decode(data, numbers, _tables()) == symbols).all()
    assert len(data) % 4 == 0
    shannon = 0.0
    for symbol, number in zip(symbols.tolist(), numbers.tolist(), strict=True):
        bounds = tables.cumulatives[number]
        place = symbol - tables.offsets[number]
        shannon += 16 - np.log2(bounds[place + 1] - bounds[place])
    assert shannon / 8 - 8 <= len(data) <= 1.01 * shannon / 8 + 16


@pytest.mark.parametrize("count", [1, 2, 7, 8, 500])
def test_an_independent_decoder_reads_the_same(count):
    symbols, numbers = _symbols(count, seed=count)
    data = rans.encode(symbols, numbers, _tables())
    assert _plain_decode(data, numbers, _tables()) == symbols.tolist()


def test_the_least_likely_symbols_survive():
    tables = TableSet()
    tables.number(-2047, cumulative(DistributionFamily.LAPLACE, 0, -2047, 2047))
    symbols = np.array([-2047, 2047] * 300, np.int32)
    numbers = np.zeros(600, np.int32)
    data = rans.encode(symbols, numbers, tables)
    assert (rans.decode(data, numbers, tables) == symbols).all()
    assert _plain_decode(data, numbers, tables) == symbols.tolist()


def test_garbage_decodes_to_symbols_of_the_tables():
    chooser = random.Random(0)
    _, numbers = _symbols(400)
    tables = _tables()
    highest = np.array([offset + size - 3 for offset, size in
                        zip(tables.offsets, tables.sizes, strict=True)])  # fmt: skip
    for length in (0, 1, 3, 4, 8, 9, 100, 3000):
        for data in (chooser.randbytes(length), b"\xff" * length, bytes(length)):
            symbols = rans.decode(data, numbers, tables)
            assert symbols.shape == (400,)
            assert (symbols >= np.array(tables.offsets)[numbers]).all()
            assert (symbols <= highest[numbers]).all()


@pytest.mark.parametrize("data", [b"", bytes(8), bytes(999)])
def test_nothing_behind_the_data_is_read(data):
    # Each symbol reads a word, more than 16 bits, because no encoder makes such a state.
    numbers = np.zeros(400_000, np.int32)
    tables = TableSet()
    tables.number(0, (0, 60000, TOTAL))
    assert not rans.decode(data, numbers, tables).any()


@pytest.mark.parametrize("part", [1, 7, 300, 1000])
def test_a_stream_is_decoded_in_parts(part):
    symbols, numbers = _symbols(1000)
    stream = MessageDecoder(rans.encode(symbols, numbers, _tables()), part)
    parts = [numbers[start : start + part] for start in range(0, 1000, part)]
    found = []
    for part_numbers in parts:
        found.append(stream.decode(part_numbers, _tables()))
        stream.spend(float(_tables().bits(found[-1], part_numbers).sum()))
        stream.check()
    assert (np.concatenate(found) == symbols).all()
    assert stream.decode(numbers[:0], _tables()).size == 0


@pytest.mark.parametrize("count", [256, 257, 700])
def test_a_call_may_use_any_number_of_tables(count):
    tables = TableSet([FrequencyTable(0, (0, 1 + number, TOTAL)) for number in range(count)])
    rng = np.random.default_rng(count)
    numbers = np.concatenate([np.arange(count), rng.integers(0, count, 500)]).astype(np.int32)
    symbols = rng.integers(0, 2, numbers.size).astype(np.int32)
    stream = MessageDecoder(rans.encode(symbols, numbers, tables), numbers.size)
    assert (stream.decode(numbers, tables) == symbols).all()


def test_a_stream_knows_its_end():
    symbols, numbers = _symbols(1000)
    data = rans.encode(symbols, numbers, _tables())
    for length in range(8, len(data), 40):
        stream = MessageDecoder(data[:length], 100)
        # A few symbols may be decoded from the last words before the end is detected.
        with pytest.raises(BitstreamError, match=f"{length} bytes ends before its symbols"):
            for _ in range(20):
                found = stream.decode(numbers[:100], _tables())
                stream.spend(float(_tables().bits(found, numbers[:100]).sum()))


@pytest.mark.parametrize("data", [b"", bytes(100), b"\0\0\0\x7f", b"\xff\xff\xff\x7f\0\0\0\0"])
def test_a_stream_refuses_a_state_that_no_encoder_leaves(data):
    stream = MessageDecoder(data, 5)
    with pytest.raises(BitstreamError, match="invalid state"):
        stream.decode(np.zeros(5, np.int32), _tables())


def test_a_stream_is_held_to_what_was_announced():
    symbols, numbers = _symbols(1000)
    stream = MessageDecoder(rans.encode(symbols, numbers, _tables()), 300)
    stream.decode(numbers[:300], _tables())
    with pytest.raises(AssertionError, match="at most 300 symbols were announced: 301"):
        stream.decode(numbers[300:301], _tables())


def test_information():
    tables = TableSet()
    first = FrequencyTable(-1, (0, 16384, 49152, TOTAL))
    assert [tables.add(first), tables.number(5, (0, 64, TOTAL)), tables.add(first)] == [0, 1, 0]
    symbols, numbers = np.array([-1, 0, 1, 5], np.int32), np.array([0, 0, 0, 1], np.int32)
    assert tables.bits(symbols, numbers) == pytest.approx([2, 1, 2, 10])
    assert tables.bits_of(0) == pytest.approx([2, 1, 2])
    # Tables that are added later are included.
    assert tables.number(0, (0, 1, TOTAL)) == 2
    assert tables.bits(np.array([0, 5], np.int32), np.array([2, 1], np.int32)).sum() == 26


def test_tables_are_checked_and_shared():
    tables = TableSet()
    bounds = cumulative(DistributionFamily.LAPLACE, 3, -1, 1)
    assert tables.number(-1, bounds) == 0
    assert tables.number(0, bounds) == 1
    assert tables.number(-1, bounds) == 0
    for bad in ((0, TOTAL), (1, 5, TOTAL), (0, 5, TOTAL - 1)):
        with pytest.raises(AssertionError):
            tables.number(0, bad)


def test_a_later_import_of_compressai_finds_the_same_coder():
    program = (
        "import torch, numpy as np\n"
        # Operators that torchvision's own extension declares; it is absent beside CPU builds.
        "ops = torch.library.Library('torchvision', 'FRAGMENT')\n"
        "for name in ('nms', 'qnms'):\n"
        "    ops.define(name + '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
        "from nvcodec.entropy.coder import rans\n"
        "ours = rans._coder()\n"
        "import sys\n"
        "assert 'compressai' not in sys.modules and 'torchvision' not in sys.modules\n"
        "import compressai, compressai.ans\n"
        "assert compressai.ans.RansEncoder is ours.RansEncoder\n"
        "assert type(compressai.ans.RansDecoder()) is ours.RansDecoder\n"
        "tables = rans.TableSet()\n"
        "tables.number(0, (0, 9, 65536))\n"
        "data = rans.encode(np.array([0, 1], np.int32), np.zeros(2, np.int32), tables)\n"
        "print(rans.decode(data, np.zeros(2, np.int32), tables).tolist())\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout.strip()) == (0, "[0, 1]"), run.stderr
