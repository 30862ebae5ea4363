"""The codec of FSQ indices of tokens."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from nvcodec.entropy.tokens import codec
from nvcodec.entropy.tokens.codec import decode_tokens, encode_tokens
from nvcodec.entropy.tokens.parameters import CodingParameters, choose_parameters
from nvcodec.entropy.tokens.tables import CLASSES, MAX_CHANGE, scale_indices, token_tables
from nvcodec.errors import BitstreamError, TruncatedStreamError

LEVELS = (8, 8, 8, 5, 5, 5)
RAW = float(np.log2(LEVELS).sum())
SHAPES = [(1, 1, 1), (1, 5, 4), (2, 1, 1), (3, 1, 7), (4, 6, 1), (10, 4, 5)]


@pytest.mark.parametrize("kind", ["smooth", "random", "still"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_round_trip(make_fsq_indices, shape, kind):
    digits = make_fsq_indices(shape, LEVELS, kind)
    message = encode_tokens(digits, LEVELS)
    found, bits = decode_tokens(message, shape, LEVELS)
    assert found.dtype == np.uint8 and found.flags.c_contiguous and (found == digits).all()
    assert bits.dtype == np.float32 and bits.shape == shape and (bits >= 0).all()
    again, _ = decode_tokens(message + bytes(5), shape, LEVELS)
    assert (again == digits).all()


def test_bits_add_up_to_the_message(make_fsq_indices):
    for kind in ("smooth", "random"):
        digits = make_fsq_indices((9, 8, 9), LEVELS, kind)
        message = encode_tokens(digits, LEVELS)
        _, bits = decode_tokens(message, digits.shape[:3], LEVELS)
        parameters, changes = choose_parameters(digits, LEVELS)
        tables = token_tables(LEVELS)
        scales = tables.bits_of(tables.of_changes[parameters.spread])[changes + MAX_CHANGE].sum()
        # Four bytes of parameters; the coder's state adds 31 to 63 bits to the information.
        assert 0 <= 8 * len(message) - 32 - scales - bits.sum() <= 70


def test_expected_indices_cost_little(make_fsq_indices):
    shape = (33, 9, 11)
    tokens = np.prod(shape)
    size = {
        kind: 8 * len(encode_tokens(make_fsq_indices(shape, LEVELS, kind), LEVELS)) / tokens
        for kind in ("smooth", "random", "still")
    }
    assert size["smooth"] < 0.5 * RAW
    assert RAW <= size["random"] < 1.02 * RAW
    first = len(encode_tokens(make_fsq_indices((1, 9, 11), LEVELS, "still"), LEVELS))
    assert size["still"] < 8 * (first + 16) / tokens


def test_a_change_in_one_corner_is_paid_for_there(make_fsq_indices):
    digits = make_fsq_indices((17, 9, 11), LEVELS, "still")
    rng = np.random.default_rng(1)
    digits[:, :3, :3] = rng.integers(0, 5, (17, 3, 3, 6))
    _, bits = decode_tokens(encode_tokens(digits, LEVELS), (17, 9, 11), LEVELS)
    assert bits[1:, :3, :3].mean() > 20 * bits[1:, 5:, 5:].mean()


def test_other_parameters_are_not_better(make_fsq_indices):
    digits = make_fsq_indices((4, 5, 6), LEVELS, "smooth")
    chosen_size = len(encode_tokens(digits, LEVELS))
    best, changes = choose_parameters(digits, LEVELS)
    simple = [
        CodingParameters((first, last, between), (first_weight, weight, weight), 0)
        for first in (3, 6, 9)
        for last in (3, 6, 9)
        for between in (2, 4, 7)
        for first_weight in (2, 4)
        for weight in (0, 2, 4)
    ]
    no_changes = np.zeros_like(changes)
    assert chosen_size < min(
        len(codec._encode_with(digits, LEVELS, parameters, no_changes)) for parameters in simple
    )
    for place in np.ndindex(changes.shape):
        for by in (-1, 1):
            other = changes.copy()
            other[place] += by
            if abs(other[place]) <= MAX_CHANGE:
                # The coder's last word may be saved or not.
                assert chosen_size <= len(codec._encode_with(digits, LEVELS, best, other)) + 4


def test_scales_differ_by_kind_digit_and_class():
    changes = np.zeros((2, 2, CLASSES), np.int32)
    assert (scale_indices([3, 0], changes) == [[np.arange(3, 13)] * 2, [np.arange(10)] * 2]).all()
    changes[1, 0, 1], changes[1, 1, 0] = -1, 2
    expected = [[0, 0, 1, *range(2, 9)], [2, 2, 3, *range(4, 11)]]
    assert (scale_indices([3, 0], changes)[1] == expected).all()
    assert (
        scale_indices([15, 0], changes).max() == 15
        and scale_indices([0, 0], changes - 4).min() == 0
    )


def test_damaged_messages_decode_to_something_or_are_refused(make_fsq_indices):
    shape = (6, 4, 5)
    message = encode_tokens(make_fsq_indices(shape, LEVELS, "smooth"), LEVELS)
    rng = np.random.default_rng(0)
    refused = 0
    damaged = [message[:size] for size in range(0, len(message), 3)]
    for _ in range(150):
        bytes_ = bytearray(message)
        for place in rng.integers(0, len(bytes_), rng.integers(1, 4)):
            bytes_[place] ^= 1 << rng.integers(8)
        damaged.append(bytes(bytes_))
    damaged += [rng.bytes(size) for size in (4, 12, 40, 400)]
    for variant in damaged:
        try:
            found, bits = decode_tokens(variant, shape, LEVELS)
        except BitstreamError:
            refused += 1
        else:
            assert (found < LEVELS).all() and np.isfinite(bits).all()
    assert 0 < refused < len(damaged)


def test_a_short_variantcannot_ask_for_much_memory():
    with pytest.raises(TruncatedStreamError, match="cannot hold 1073741824 of them"):
        decode_tokens(bytes(100), (1 << 14, 1 << 8, 1 << 8), LEVELS)
    still = np.zeros((60, 16, 32, 6), np.uint8)
    message = encode_tokens(still, LEVELS)
    assert len(message) * 256 >= 60 * 16 * 32
    with pytest.raises(TruncatedStreamError):
        decode_tokens(message[: 60 * 2 - 1], (60, 16, 32), LEVELS)


@pytest.mark.parametrize("head", [b"\x55\x05\x05\x84", b"\x05\x05\x05\x90", b"\x05\x05\x05\x04"])
def test_parameters_out_of_range(head):
    with pytest.raises(BitstreamError, match="weights to 4, then a byte from 128 to 143"):
        decode_tokens(head + bytes(20), (1, 1, 1), LEVELS)


def test_no_torch():
    code = (
        "import sys, nvcodec.entropy.tokens.codec as d, numpy as np\n"
        "m = d.encode_tokens(np.ones((2, 2, 2, 6), np.uint8), (8, 8, 8, 5, 5, 5))\n"
        "assert d.decode_tokens(m, (2, 2, 2), (8, 8, 8, 5, 5, 5))[0].all()\n"
        "assert not {'torch', 'compressai'} & set(sys.modules), 'torch'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
