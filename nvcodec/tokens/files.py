"""Tokens in files that others read: safetensors, NumPy's, and rows of JSON.

`.safetensors` holds all that is known of them, `.npy` the ids alone, `.jsonl` a row for every video,
as data sets for language models have it. All are written beside their names and renamed.
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
from nvcodec.tokens.atomic_write import check_target, whole_file
from nvcodec.tokens.sequence import Tokens

SUFFIXES = (".safetensors", ".npy", ".jsonl")
_FORMAT = "nvcodec tokens 1"
# Names of tensors in the file, of fields of `Tokens`, and their types.
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
    """Where tokens are to be saved, refused before any work if they cannot be.

    Raises:
        ConfigError: If the name ends in none of `SUFFIXES`.
        OutputExistsError: If it exists and may not go.
        VideoError: If it is a folder, or its folder is missing.
    """
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{target}: expected a name that ends in {', '.join(SUFFIXES)}")
    check_target(target, overwrite=overwrite)
    return target


def save(
    path: str | os.PathLike[str], tokens: Tokens, *, video_id: str = "", overwrite: bool = False
) -> None:
    """Write the tokens of a video.

    Args:
        path: Ends in `.safetensors`, `.npy` or `.jsonl`.
        tokens: What is written.
        video_id: Whatever the video is known by, for `.safetensors` and `.jsonl`.
        overwrite: Replace the file, if it exists.

    Raises:
        ConfigError: If the name ends in something else.
        OutputExistsError: If it exists and may not go.
        VideoError: If it cannot be written.
    """
    target = check_name(path, overwrite=overwrite)
    suffix = target.suffix.lower()
    if suffix == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, tokens.ids.reshape(tokens.grid) if tokens.whole else tokens.ids)
        content = buffer.getvalue()
    elif suffix == ".jsonl":
        content = (json.dumps(row_of(tokens, video_id)) + "\n").encode()
    else:
        content = _packed(tokens, video_id)
    whole_file(target, content, overwrite=overwrite)


def row_of(tokens: Tokens, video_id: str) -> dict[str, Any]:
    """A row of a data set.

    Returns:
        `video_id`; `token_ids` and `timestamps` in seconds, one for each token; `grid_thw`, the
        grid that the tokens are of or were taken from; `tokenizer_id`.
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
    """Write rows of a data set to a `.jsonl` file; see `row_of`.

    Raises:
        ConfigError: If the name ends in something else.
        OutputExistsError: If it exists and may not go.
        VideoError: If it cannot be written.
    """
    target = check_name(path, overwrite=overwrite)
    if target.suffix.lower() != ".jsonl":
        raise ConfigError(f"{target}: expected a name that ends in .jsonl for rows")
    lines = [json.dumps(row) + "\n" for row in rows]
    whole_file(target, "".join(lines).encode(), overwrite=overwrite)


def load(path: str | os.PathLike[str]) -> Tokens:
    """The tokens of a `.safetensors` file.

    Raises:
        ConfigError: If it cannot be read, or holds something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            names = set(file.keys())
            if about.get("format") != _FORMAT:
                raise ConfigError(
                    f"{path}: expected a file of the format {_FORMAT!r}, found "
                    f"{about.get('format')!r}"
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
            grid=_numbers(about["grid_thw"], 3),
            size=_numbers(about["size"], 2),
            tokenizer_id=about["tokenizer_id"],
            method=about["method"],
            note=about["note"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: its tensors or metadata are damaged: {error}") from error


def load_ids(path: str | os.PathLike[str]) -> npt.NDArray[np.uint16]:
    """The ids of an `.npy` file, shape (t, h, w) for a grid, (N,) otherwise.

    Raises:
        ConfigError: If it cannot be read, or holds something else.
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
    """The rows of a `.jsonl` file; see `row_of`.

    Raises:
        ConfigError: If it cannot be read, or a row is something else.
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
        if not all(type(one) is int and 0 <= one < IDS for one in ids):
            raise ConfigError(f"{path}, row {number}: ids are integers, 0 to {IDS - 1}")
        if len(row["timestamps"]) != len(ids):
            raise ConfigError(
                f"{path}, row {number}: expected a timestamp for every token, found "
                f"{len(row['timestamps'])} for {len(ids)}"
            )
        rows.append(row)
    return rows


def _packed(tokens: Tokens, video_id: str) -> bytes:
    from safetensors.numpy import save as packed

    tensors = {name: np.ascontiguousarray(getattr(tokens, field)) for name, field, _ in _TENSORS}
    about = {
        "format": _FORMAT,
        "video_id": video_id,
        "tokenizer_id": tokens.tokenizer_id,
        "method": tokens.method,
        "note": tokens.note,
        "grid_thw": json.dumps(tokens.grid),
        "size": json.dumps(tokens.size),
    }
    content: bytes = packed(tensors, metadata=about)
    return content


def _numbers(text: str, count: int) -> Any:
    numbers = json.loads(text)
    if len(numbers) != count or not all(type(one) is int and one > 0 for one in numbers):
        raise ValueError(f"expected {count} positive numbers, found {text}")
    return tuple(numbers)


def _check_ids(path: str | os.PathLike[str], ids: npt.NDArray[np.uint16]) -> None:
    if ids.size and ids.max() >= IDS:
        raise ConfigError(f"{path}: ids are 0 to {IDS - 1}, found {int(ids.max())}")
