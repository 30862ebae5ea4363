"""Messages of tokens through a decoder that was written from docs/bitstream.md alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from nvcodec.entropy.digits import decode_digits, encode_digits
from nvcodec.tokens.ids import LEVELS

CASES = [
    # steps, rows, columns, levels
    (1, 1, 1, LEVELS),
    (2, 3, 1, LEVELS),
    (6, 4, 5, LEVELS),
    # Levels of 64 tokens and more have two calls, if there are two squares.
    (6, 8, 9, LEVELS),
    (10, 16, 2, (3, 8)),
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
def test_digits(second, make_digits, case, kind):
    *shape, levels = case
    digits = make_digits(tuple(shape), levels, kind, seed=sum(shape))
    message = encode_digits(digits, levels)
    ours, _ = decode_digits(message, tuple(shape), levels)
    assert (ours == digits).all()
    theirs = second.part("second_tokens").decode(second.TOOLS, message, shape, levels)
    assert len(theirs) == np.prod(shape)
    assert all((digits[place] == values).all() for place, values in theirs.items())


def test_a_token_has_the_same_id(second, make_digits):
    from nvcodec.tokens.ids import pack_digits

    digits = make_digits((2, 3, 4), LEVELS, "random")
    ids = second.part("second_tokens").ids(
        {"tokens": {"levels": LEVELS}},
        {place: digits[place].tolist() for place in np.ndindex(2, 3, 4)},
    )
    assert all(pack_digits(digits)[place] == number for place, number in ids.items())
