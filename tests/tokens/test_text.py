"""Times and token ids as text."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.errors import ConfigError
from nvcodec.tokens import reduce
from nvcodec.tokens.language_models.vocabulary import ids_of, picture_ids, picture_text, strings_of
from nvcodec.tokens.sequence import flatten
from nvcodec.tokens.timestamps import (
    digit_tokens,
    in_digits,
    in_minutes,
    in_seconds,
    prompt,
    relative,
    relative_tokens,
)


def test_times_relative_to_the_whole():
    assert [relative(time, 20) for time in (0, 7.5, 10, 20, 25, -1)] == [
        "<t0>", "<t37>", "<t50>", "<t99>", "<t99>", "<t0>",
    ]  # fmt: skip
    assert [relative(time, 1, 11) for time in (0.049, 0.051, 1)] == ["<t0>", "<t1>", "<t10>"]
    assert relative_tokens(3) == ["<t0>", "<t1>", "<t2>"]
    with pytest.raises(ConfigError, match="positive duration"):
        relative(1, 0)


def test_styles_of_times():
    assert in_seconds(12.46) == "<12.5 seconds>"
    assert in_minutes(65.9) == "\nFrame from 01:05:"
    assert in_minutes(6000) == "\nFrame from 100:00:"
    words = in_digits(123.44)
    assert words == "<TIME_ZERO><TIME_ONE><TIME_TWO><TIME_THREE><TIME_DOT><TIME_FOUR>"
    assert all(word + ">" in digit_tokens() for word in words.split(">")[:-1])
    for time in (10000, float("nan")):
        with pytest.raises(ConfigError, match=r"9999\.9 s"):
            in_digits(time)


def test_prompts_have_times(grid):
    tokens = reduce(grid, "pool_s", 4)
    text = tokens.prompt("lita", "#")
    assert text == "".join(f"{relative(time, grid.ends[-1])}#" for time in tokens.times)
    text = flatten(grid).prompt("smolvlm", "<v>")
    assert text == "\nFrame from 00:00:" + "<v>" * 168 + "\nFrame from 00:01:" + "<v>" * 48
    assert flatten(grid).prompt("none", "<v>") == "<v>" * 216
    assert tokens.prompt("vtg", "#").count("<TIME_DOT>") == 4
    assert prompt(tokens.times, 1000.0, "lita", "#") == "<t0>####"
    with pytest.raises(ConfigError, match=r"lita, none, qwen3, smolvlm, vtg, got 'x'"):
        tokens.prompt("x")


def test_every_id_has_a_string():
    ids = np.arange(64000).reshape(2, -1)
    strings = strings_of(ids)
    assert strings[123] == "<|visual token 000123|>" and len(set(strings)) == 64000
    np.testing.assert_array_equal(ids_of("".join(strings)), ids.reshape(-1))
    assert ids_of("").size == 0


@pytest.mark.parametrize(
    "text",
    [
        "<|visual token 064000|>",
        "<|visual token 12|>",
        "<|visual token 000001|> <|visual token 000001|>",
        "<|visual token 000001|>x",
    ],
)
def test_invalid_strings_are_refused(text):
    with pytest.raises(ConfigError, match=r"0 to 63999|expected '<\|visual token"):
        ids_of(text)


def test_the_layout_of_a_picture():
    ids = np.array([[1, 2], [3, 4]])
    word = "<|visual token 00000{}|>".format
    end, stop = "<|extra_200|>", "<|extra_201|>"
    text = picture_text(ids)
    assert text == (
        f"<|image start|>2*2<|image token|>{word(1)}{word(2)}{end}{word(3)}{word(4)}{end}{stop}"
        "<|image end|>"
    )
    np.testing.assert_array_equal(picture_ids(f"It is {text}."), ids)
    video = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(picture_ids(picture_text(video)), video)
    for damaged in (
        text.replace("2*2", "2*3"),
        text.replace("2*2", "3*2"),
        text.replace("2*2", "2*2*2"),
        text.replace(stop, ""),
        text.replace(word(3), "", 1),
        text.replace(word(3), "so", 1),
        text.replace("<|image end|>", ""),
        text.replace(end + stop, stop),
    ):
        with pytest.raises(ConfigError, match="expected"):
            picture_ids(damaged)
    with pytest.raises(ConfigError, match="shape"):
        picture_text(np.arange(3))
