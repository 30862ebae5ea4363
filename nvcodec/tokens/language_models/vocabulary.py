"""Tokens as words of a language model: 64,000 strings such as `<|visual token 000123|>`.

The strings and their layout, a picture between wrappers with an end after every row, are those of
Emu3 (Wang et al., 2024), so that a tokenizer extended in this way also reads and writes tokens.
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
"""What stands around the ids."""

_STRING = re.compile(r"<\|visual token (\d{6})\|>")
_VIDEO = re.compile(
    rf"{re.escape(START)}((?:\d+\*)?\d+\*\d+){re.escape(BEGIN)}(.*?){re.escape(END)}", re.DOTALL
)


def strings_of(ids: npt.NDArray[np.integer[Any]]) -> list[str]:
    """The string of every id, in the order of the flattened array.

    Raises:
        ConfigError: If an id is out of range.
    """
    _check(ids)
    return [f"<|visual token {number:06d}|>" for number in ids.reshape(-1).tolist()]


def ids_of(text: str) -> npt.NDArray[np.uint16]:
    """The ids whose strings a text is made of, the inverse of `"".join(strings_of(ids))`.

    Raises:
        ConfigError: If anything else is in it, or an id is out of range.
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
    """The text of a video: its shape, then rows and frames with their ends.

    Args:
        ids: Shape (t, h, w), or (h, w) for a picture.

    Returns:
        As Emu3 has it for a picture, of which the shape is `h*w`; of several it is `t*h*w`.

    Raises:
        ConfigError: If it has another shape, or an id is out of range.
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
    """The ids of a text that `picture_text` or a language model has written, the first in it.

    Returns:
        Shape (t, h, w), or (h, w), as the text says.

    Raises:
        ConfigError: If there is none, or it does not hold what its shape says.
    """
    match = _VIDEO.search(text)
    if match is None:
        raise ConfigError(f"expected {START}H*W{BEGIN}...{END}, found none in the text")
    shape = tuple(map(int, match[1].split("*")))
    frames = match[2].split(FRAME_END)
    if frames.pop() or len(frames) != (shape[0] if len(shape) == 3 else 1):
        raise ConfigError(f"expected {match[1]} ids, got {len(frames)} frames that end as such")
    found = []
    for frame in frames:
        rows = frame.split(ROW_END)
        last = rows.pop()
        lines = [ids_of(row) for row in rows]
        if last or len(lines) != shape[-2] or any(len(line) != shape[-1] for line in lines):
            lengths = sorted({len(line) for line in lines})
            raise ConfigError(f"expected {match[1]} ids, got {len(lines)} rows of {lengths}")
        found.append(np.stack(lines))
    return np.stack(found).reshape(shape)


class VisualVocabulary:
    """The words of a Hugging Face tokenizer that are tokens of videos. Made by `added_to`.

    Attributes:
        first: Number that id 0 has in the tokenizer; the others follow.
    """

    def __init__(self, first: int) -> None:
        self.first = first

    @classmethod
    def added_to(cls, tokenizer: Any) -> VisualVocabulary:
        """Add 64,000 words and what stands around them, unless that has been done.

        The embedding of the language model has to grow with it:
        `model.resize_token_embeddings(len(tokenizer))`.

        Args:
            tokenizer: A `PreTrainedTokenizerBase`; changed.

        Raises:
            ConfigError: If it has some of the words already, or puts them elsewhere.
        """
        words = strings_of(np.arange(IDS))
        # A word at a time would rebuild what finds words in a text.
        tokenizer.add_tokens([*MARKS, *words], special_tokens=True)
        known = tokenizer.get_vocab()
        numbers = np.array([known.get(word, -1) for word in words])
        if (numbers != numbers[0] + np.arange(IDS)).any() or numbers[0] < 0:
            raise ConfigError(
                f"expected the {IDS} words {words[0]} to {words[-1]} in a row in the tokenizer, it "
                "has some of them elsewhere; begin with a tokenizer that has none"
            )
        return cls(int(numbers[0]))

    def encode(self, ids: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
        """What the language model has for ids, of the same shape.

        Raises:
            ConfigError: If an id is out of range.
        """
        _check(ids)
        return ids.astype(np.int64) + self.first

    def decode(self, numbers: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint16]:
        """The ids behind numbers of the language model, of the same shape.

        Raises:
            ConfigError: If one of them is no token of a video.
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
