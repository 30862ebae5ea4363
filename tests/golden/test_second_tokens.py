"""Messages of tokens, decoded by a decoder that was written from docs/bitstream.md alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from nvcodec.entropy.tokens.codec import _encode_with, decode_tokens, encode_tokens
from nvcodec.entropy.tokens.context_model import KINDS
from nvcodec.entropy.tokens.parameters import MAX_WEIGHT, CodingParameters
from nvcodec.entropy.tokens.tables import CLASSES, MAX_CHANGE, SCALES
from nvcodec.errors import BitstreamError
from nvcodec.tokenizer.token_ids import LEVELS

CASES = [
    # steps, rows, columns, levels
    (1, 1, 1, LEVELS),
    (2, 3, 1, LEVELS),
    (6, 4, 5, LEVELS),
    # Token grids with 64 cells or more are coded in two calls, smaller ones in one.
    (6, 8, 9, LEVELS),
    (10, 32, 2, (3, 8)),
    (10, 21, 3, (3, 8)),
    (130, 1, 1, (4,)),
    (9, 3, 4, (16, 2, 3, 7)),
    (5, 2, 3, (4,)),
    (3, 1, 6, (8, 5)),
]


@pytest.fixture(scope="module")
def second():
    path = Path(__file__).with_name("second_decoder.py")
    spec = importlib.util.spec_from_file_location("second_decoder", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ["smooth", "random", "still"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_digits(second, make_fsq_indices, case, kind):
    *shape, levels = case
    digits = make_fsq_indices(tuple(shape), levels, kind, seed=sum(shape))
    message = encode_tokens(digits, levels)
    ours, _ = decode_tokens(message, tuple(shape), levels)
    assert (ours == digits).all()
    theirs = second.part("second_tokens").decode(second.TOOLS, message, shape, levels)
    assert len(theirs) == np.prod(shape)
    assert all((digits[place] == values).all() for place, values in theirs.items())


@pytest.mark.parametrize("seed", range(12))
def test_any_parameters_and_any_message(second, seed):
    chance = np.random.default_rng(seed)
    levels = tuple(chance.integers(2, 17, chance.integers(1, 5)).tolist())
    shape = tuple(chance.integers(1, 9, 3).tolist())
    digits = chance.integers(0, levels, (*shape, len(levels))).astype(np.uint8)
    choice = CodingParameters(
        tuple(chance.integers(0, 16, KINDS).tolist()),
        tuple(chance.integers(0, MAX_WEIGHT + 1, KINDS).tolist()),
        int(chance.integers(SCALES)),
    )
    size = min(shape[0], KINDS), len(levels), CLASSES
    changes = chance.integers(-MAX_CHANGE, MAX_CHANGE + 1, size).astype(np.int32)
    changes[chance.random(size) < 0.5] = 0
    message = _encode_with(digits, levels, choice, changes)
    theirs = second.part("second_tokens").decode(second.TOOLS, message, shape, levels)
    ours, _ = decode_tokens(message, shape, levels)
    assert (ours == digits).all()
    assert all((digits[place] == values).all() for place, values in theirs.items())
    # Messages that no encoder wrote are refused, or both decoders read the same.
    noise = message[:4] + chance.bytes(4 * digits.size)
    try:
        ours, _ = decode_tokens(noise, shape, levels)
    except BitstreamError:
        return
    theirs = second.part("second_tokens").decode(second.TOOLS, noise, shape, levels)
    assert all((ours[place] == values).all() for place, values in theirs.items())


@pytest.mark.parametrize("name", ["tokens-7x9x10", "other-levels-5x8x9", "few-cells-17x5x6"])
def test_golden_messages(second, name):
    with np.load(Path(__file__).parent / "tokens" / f"{name}.npz") as stored:
        message, digits = stored["message"].tobytes(), stored["digits"]
        levels = tuple(stored["levels"].tolist())
    *shape, _ = digits.shape
    ours, _ = decode_tokens(message, tuple(shape), levels)
    assert (ours == digits).all()
    theirs = second.part("second_tokens").decode(second.TOOLS, message, shape, levels)
    assert all((digits[place] == values).all() for place, values in theirs.items())


def test_a_token_has_the_same_id(second, make_fsq_indices):
    from nvcodec.tokenizer.token_ids import pack_ids

    digits = make_fsq_indices((2, 3, 4), LEVELS, "random")
    ids = second.part("second_tokens").ids(
        {"tokens": {"levels": LEVELS}},
        {place: digits[place].tolist() for place in np.ndindex(2, 3, 4)},
    )
    assert all(pack_ids(digits)[place] == number for place, number in ids.items())
