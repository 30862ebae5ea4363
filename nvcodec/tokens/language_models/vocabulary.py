"""Tokens as words of a language model: 64,000 strings such as `<|visual token 000123|>`.

The strings and their layout, a picture between marks with an end after every row, are those of Emu3
(Wang et al., 2024). A language model with this vocabulary can read and write tokens.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from nvcodec.errors import ConfigError
from nvcodec.tokenizer.token_ids import IDS

ROW_END, FRAME_END = "<|extra_200|>", "<|extra_201|>"
START, BEGIN, END = "<|image start|>", "<|image token|>", "<|image end|>"
MARKS = (START, BEGIN, ROW_END, FRAME_END, END)
"""Words that mark the layout around the ids."""

_STRING = re.compile(r"<\|visual token (\d{6})\|>")
_VIDEO = re.compile(
    rf"{re.escape(START)}((?:\d+\*)?\d+\*\d+){re.escape(BEGIN)}(.*?){re.escape(END)}", re.DOTALL
)


def strings_of(ids: npt.NDArray[np.integer[Any]]) -> list[str]:
    """Return the string of every id.

    Args:
        ids: Token ids of any shape.

    Returns:
        Strings in the order of the flattened array.

    Raises:
        ConfigError: If an id is out of range.
    """
    _check(ids)
    return [f"<|visual token {number:06d}|>" for number in ids.reshape(-1).tolist()]


def ids_of(text: str) -> npt.NDArray[np.uint16]:
    """Parse a text of strings of ids, the inverse of `"".join(strings_of(ids))`.

    Args:
        text: Text that consists of strings of ids only.

    Returns:
        Token ids, shape (N,).

    Raises:
        ConfigError: If the text holds anything else, or an id is out of range.
    """
    numbers, place = [], 0
    for match in _STRING.finditer(text):
        if match.start() != place:
            break
        numbers.append(int(match[1]))
        place = match.end()
    if place != len(text):
        raise ConfigError(
            f"expected '<|visual token 000000|>' and its like, got {text[place : place + 30]!r} at "
            f"character {place}"
        )
    ids = np.array(numbers, np.int64)
    _check(ids)
    return ids.astype(np.uint16)


def picture_text(ids: npt.NDArray[np.integer[Any]]) -> str:
    """Write the text of a video: its shape, then its rows and frames with end marks.

    Args:
        ids: Token ids, shape (t, h, w), or (h, w) for a picture.

    Returns:
        The text of Emu3 for a picture, with the shape `h*w`; for a video, the shape is `t*h*w`.

    Raises:
        ConfigError: If the shape is different, or an id is out of range.
    """
    if ids.ndim not in (2, 3) or not ids.size:
        raise ConfigError(f"expected ids of shape (t, h, w) or (h, w), got {ids.shape}")
    rows = np.array(strings_of(ids), dtype=object).reshape(-1, *ids.shape[-2:])
    frames = [
        "".join("".join(row) + ROW_END for row in frame) + FRAME_END for frame in rows.tolist()
    ]
    shape = "*".join(map(str, ids.shape))
    return f"{START}{shape}{BEGIN}{''.join(frames)}{END}"


def picture_ids(text: str) -> npt.NDArray[np.uint16]:
    """Parse the first picture or video in a text of `picture_text` or a language model.

    Args:
        text: Any text that contains a picture or video.

    Returns:
        Token ids, shape (t, h, w) or (h, w), as the text says.

    Raises:
        ConfigError: If there is no picture or video, or its ids do not match its shape.
    """
    match = _VIDEO.search(text)
    if match is None:
        raise ConfigError(f"expected {START}H*W{BEGIN}...{END}, found none in the text")
    shape = tuple(map(int, match[1].split("*")))
    frames = match[2].split(FRAME_END)
    if frames.pop() or len(frames) != (shape[0] if len(shape) == 3 else 1):
        raise ConfigError(f"expected {match[1]} ids, got {len(frames)} frames that end as such")
    pictures = []
    for frame in frames:
        rows = frame.split(ROW_END)
        last = rows.pop()
        lines = [ids_of(row) for row in rows]
        if last or len(lines) != shape[-2] or any(len(line) != shape[-1] for line in lines):
            lengths = sorted({len(line) for line in lines})
            raise ConfigError(f"expected {match[1]} ids, got {len(lines)} rows of {lengths}")
        pictures.append(np.stack(lines))
    return np.stack(pictures).reshape(shape)


class VisualVocabulary:
    """Words of a Hugging Face tokenizer that are tokens of videos; `added_to` makes it.

    Attributes:
        first: Number of the word of id 0 in the tokenizer; the other ids follow.
    """

    def __init__(self, first: int) -> None:
        self.first = first

    @classmethod
    def added_to(cls, tokenizer: Any) -> VisualVocabulary:
        """Add the words of all ids and the layout marks to a tokenizer, unless it has them.

        The embedding of the language model has to be resized:
        `model.resize_token_embeddings(len(tokenizer))`.

        Args:
            tokenizer: `PreTrainedTokenizerBase`, which is changed.

        Raises:
            ConfigError: If the words of the ids are not in a row in the tokenizer, because it had
                a part of them before.
        """
        words = strings_of(np.arange(IDS))
        # All words are added at once, because every addition rebuilds the search for words in a text.
        tokenizer.add_tokens([*MARKS, *words], special_tokens=True)
        vocabulary = tokenizer.get_vocab()
        numbers = np.array([vocabulary.get(word, -1) for word in words])
        if (numbers != numbers[0] + np.arange(IDS)).any() or numbers[0] < 0:
            raise ConfigError(
                f"expected the {IDS} words {words[0]} to {words[-1]} in a row in the tokenizer, it "
                "has some of them elsewhere; start with a tokenizer that has none"
            )
        return cls(int(numbers[0]))

    def encode(self, ids: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
        """Convert token ids to word numbers of the language model.

        Args:
            ids: Token ids of any shape.

        Returns:
            Word numbers, in the shape of `ids`.

        Raises:
            ConfigError: If an id is out of range.
        """
        _check(ids)
        return ids.astype(np.int64) + self.first

    def decode(self, numbers: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint16]:
        """Convert word numbers of the language model to token ids, the inverse of `encode`.

        Args:
            numbers: Word numbers of any shape.

        Returns:
            Token ids, in the shape of `numbers`.

        Raises:
            ConfigError: If a number is not that of a token.
        """
        ids = numbers.astype(np.int64) - self.first
        if ((ids < 0) | (ids >= IDS)).any():
            raise ConfigError(
                f"expected numbers {self.first} to {self.first + IDS - 1}, which are tokens of "
                f"videos, got {int(numbers.min())} to {int(numbers.max())}"
            )
        return ids.astype(np.uint16)


def _check(ids: npt.NDArray[np.integer[Any]]) -> None:
    if ids.size and not (ids.min() >= 0 and ids.max() < IDS):
        raise ConfigError(f"ids are 0 to {IDS - 1}, got {int(ids.min())} to {int(ids.max())}")
