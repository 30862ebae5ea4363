"""Saving and loading of tokens in common formats: safetensors, NumPy and rows of JSON.

A `.safetensors` file holds all fields of `Tokens`. An `.npy` file holds the ids alone. A `.jsonl` file
holds a row per video, as data sets for language models do. All are written atomically.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nvcodec.errors import ConfigError
from nvcodec.tokenizer.token_ids import IDS
from nvcodec.tokens.atomic_write import check_target, write_atomically
from nvcodec.tokens.sequence import Tokens

SUFFIXES = (".safetensors", ".npy", ".jsonl")
_FORMAT = "nvcodec tokens 1"
# Name of each tensor in the file, name of the field of `Tokens`, and type.
_TENSORS = (
    ("indices", "ids", np.uint16),
    ("codes", "codes", np.float32),
    ("positions", "positions", np.float32),
    ("counts", "counts", np.int64),
    ("timestamps", "times", np.float64),
    ("spans", "spans", np.float64),
    ("bits", "bits", np.float32),
)
_ROW = {"video_id": str, "token_ids": list, "grid_thw": list, "timestamps": list,
        "tokenizer_id": str}  # fmt: skip


def check_name(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Check that tokens can be saved to a path; return the path.

    Args:
        path: File to write.
        overwrite: Whether an existing file may be replaced.

    Raises:
        ConfigError: If the name ends in none of `SUFFIXES`.
        OutputExistsError: If the file exists and may not be replaced.
        VideoError: If the path is a folder, or its folder is missing.
    """
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{target}: expected a name that ends in {', '.join(SUFFIXES)}")
    check_target(target, overwrite=overwrite)
    return target


def save(
    path: str | os.PathLike[str], tokens: Tokens, *, video_id: str = "", overwrite: bool = False
) -> None:
    """Save the tokens of a video.

    Args:
        path: File to write; its name ends in `.safetensors`, `.npy` or `.jsonl`.
        tokens: Tokens to save.
        video_id: Identifier of the video, for `.safetensors` and `.jsonl`. Bytes of a file name
            that are not UTF-8 are stored as escapes of four letters each.
        overwrite: Replace an existing file.

    Raises:
        ConfigError: If the name ends in something else.
        OutputExistsError: If the file exists and may not be replaced.
        VideoError: If the file cannot be written.
    """
    target = check_name(path, overwrite=overwrite)
    video_id = os.fsencode(video_id).decode("utf-8", "backslashreplace")
    suffix = target.suffix.lower()
    if suffix == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, tokens.ids.reshape(tokens.grid) if tokens.whole else tokens.ids)
        content = buffer.getvalue()
    elif suffix == ".jsonl":
        content = (json.dumps(row_of(tokens, video_id)) + "\n").encode()
    else:
        content = _pack(tokens, video_id)
    write_atomically(target, content, overwrite=overwrite)


def row_of(tokens: Tokens, video_id: str) -> dict[str, Any]:
    """Make the row of a data set for a video.

    Args:
        tokens: Tokens of the video.
        video_id: Identifier of the video.

    Returns:
        `video_id`; `token_ids` and `timestamps` in seconds, one per token; `grid_thw`, the time
        steps, rows and columns of the grid that the tokens come from; `tokenizer_id`.
    """
    return {
        "video_id": video_id,
        "token_ids": tokens.ids.tolist(),
        "grid_thw": list(tokens.grid),
        "timestamps": [round(time, 6) for time in tokens.times.tolist()],
        "tokenizer_id": tokens.tokenizer_id,
    }


def save_rows(
    path: str | os.PathLike[str], rows: Sequence[dict[str, Any]], *, overwrite: bool = False
) -> None:
    """Save rows of a data set to a `.jsonl` file.

    Args:
        path: File to write; its name ends in `.jsonl`.
        rows: Rows made by `row_of`, one per video.
        overwrite: Replace an existing file.

    Raises:
        ConfigError: If the name ends in something else.
        OutputExistsError: If the file exists and may not be replaced.
        VideoError: If the file cannot be written.
    """
    target = check_name(path, overwrite=overwrite)
    if target.suffix.lower() != ".jsonl":
        raise ConfigError(f"{target}: expected a name that ends in .jsonl for rows")
    lines = [json.dumps(row) + "\n" for row in rows]
    write_atomically(target, "".join(lines).encode(), overwrite=overwrite)


def load(path: str | os.PathLike[str]) -> Tokens:
    """Load the tokens of a `.safetensors` file.

    Args:
        path: File that `save` wrote.

    Raises:
        ConfigError: If the file cannot be read, or does not hold tokens.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            names = set(file.keys())
            if metadata.get("format") != _FORMAT:
                raise ConfigError(
                    f"{path}: expected a file of the format {_FORMAT!r}, found "
                    f"{metadata.get('format')!r}"
                )
            missing = [name for name, _, _ in _TENSORS if name not in names]
            if missing:
                raise ConfigError(f"{path}: holds no {', '.join(missing)}")
            tensors = {field: file.get_tensor(name) for name, field, _ in _TENSORS}
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"{path}: cannot be read as safetensors: {error}") from error
    for name, field, kind in _TENSORS:
        if tensors[field].dtype != kind:
            raise ConfigError(
                f"{path}: expected {name} of type {np.dtype(kind)}, found {tensors[field].dtype}"
            )
    _check_ids(path, tensors["ids"])
    try:
        return Tokens(
            **tensors,
            grid=_numbers(metadata["grid_thw"], 3),
            size=_numbers(metadata["size"], 2),
            tokenizer_id=metadata["tokenizer_id"],
            method=metadata["method"],
            note=metadata["note"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: its tensors or metadata are damaged: {error}") from error


def load_ids(path: str | os.PathLike[str]) -> npt.NDArray[np.uint16]:
    """Load the token ids of an `.npy` file.

    Args:
        path: File that `save` wrote.

    Returns:
        Token ids, shape (t, h, w) for a whole grid, (N,) otherwise.

    Raises:
        ConfigError: If the file cannot be read, or does not hold ids.
    """
    try:
        ids = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"{path}: cannot be read as an array of NumPy: {error}") from error
    if not isinstance(ids, np.ndarray) or ids.dtype != np.uint16 or ids.ndim not in (1, 3):
        raise ConfigError(f"{path}: expected ids of type uint16, shape (t, h, w) or (N,)")
    _check_ids(path, ids)
    return ids


def load_rows(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Load the rows of a `.jsonl` file.

    Args:
        path: File that `save` or `save_rows` wrote.

    Returns:
        A row per video, as `row_of` makes it.

    Raises:
        ConfigError: If the file cannot be read, or a row is not valid.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text: {error}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ConfigError(f"{path}, row {number}: not JSON: {error}") from error
        for name, kind in _ROW.items():
            if not isinstance(row, dict) or not isinstance(row.get(name), kind):
                raise ConfigError(f"{path}, row {number}: expected {name}, a {kind.__name__}")
        ids = row["token_ids"]
        if not all(type(number) is int and 0 <= number < IDS for number in ids):
            raise ConfigError(f"{path}, row {number}: ids are integers, 0 to {IDS - 1}")
        if len(row["timestamps"]) != len(ids):
            raise ConfigError(
                f"{path}, row {number}: expected a timestamp for every token, found "
                f"{len(row['timestamps'])} for {len(ids)}"
            )
        rows.append(row)
    return rows


def _pack(tokens: Tokens, video_id: str) -> bytes:
    """Return the content of a `.safetensors` file."""
    from safetensors.numpy import save as pack

    tensors = {name: np.ascontiguousarray(getattr(tokens, field)) for name, field, _ in _TENSORS}
    metadata = {
        "format": _FORMAT,
        "video_id": video_id,
        "tokenizer_id": tokens.tokenizer_id,
        "method": tokens.method,
        "note": tokens.note,
        "grid_thw": json.dumps(tokens.grid),
        "size": json.dumps(tokens.size),
    }
    content: bytes = pack(tensors, metadata=metadata)
    return content


def _numbers(text: str, count: int) -> Any:
    """Parse a JSON list of a number of positive integers."""
    numbers = json.loads(text)
    if len(numbers) != count or not all(type(number) is int and number > 0 for number in numbers):
        raise ValueError(f"expected {count} positive numbers, found {text}")
    return tuple(numbers)


def _check_ids(path: str | os.PathLike[str], ids: npt.NDArray[np.uint16]) -> None:
    if ids.size and ids.max() >= IDS:
        raise ConfigError(f"{path}: ids are 0 to {IDS - 1}, found {int(ids.max())}")
