"""Saving and loading of tokens in common formats, and damaged files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from nvcodec.errors import ConfigError, OutputExistsError, VideoError
from nvcodec.tokens import reduce
from nvcodec.tokens.files import load, load_ids, load_rows, row_of, save, save_rows
from nvcodec.tokens.sequence import flatten


@pytest.mark.parametrize("budget", [20, None])
def test_all_formats_round_trip(grid, tmp_path, budget):
    tokens = flatten(grid) if budget is None else reduce(grid, "tome", budget)
    for suffix in ("safetensors", "npy", "jsonl"):
        save(tmp_path / f"a.{suffix}", tokens, video_id="a")
    back = load(tmp_path / "a.safetensors")
    for name in ("codes", "ids", "positions", "counts", "times", "spans", "bits"):
        np.testing.assert_array_equal(getattr(back, name), getattr(tokens, name))
        assert getattr(back, name).dtype == getattr(tokens, name).dtype
    for name in ("grid", "size", "tokenizer_id", "method", "note"):
        assert getattr(back, name) == getattr(tokens, name)
    ids = load_ids(tmp_path / "a.npy")
    np.testing.assert_array_equal(ids, grid.indices if budget is None else tokens.ids)
    (row,) = load_rows(tmp_path / "a.jsonl")
    assert row == row_of(tokens, "a") and row["grid_thw"] == [9, 4, 6]
    with safe_open(tmp_path / "a.safetensors", "numpy") as file:
        assert file.metadata()["video_id"] == "a"
    assert len(list(tmp_path.iterdir())) == 3


def test_existing_files_are_not_replaced(grid, tmp_path):
    target = tmp_path / "a.npy"
    target.write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match="pass -y"):
        save(target, flatten(grid))
    assert target.read_bytes() == b"precious"
    save(target, flatten(grid), overwrite=True)
    assert load_ids(target).shape == grid.shape
    with pytest.raises(ConfigError, match=r"\.safetensors, \.npy, \.jsonl"):
        save(tmp_path / "a.pt", flatten(grid))
    with pytest.raises(VideoError, match="folder does not exist"):
        save(tmp_path / "none" / "a.npy", flatten(grid))


def test_rows_of_several_videos(grid, tmp_path):
    rows = [row_of(reduce(grid, "pool_t", count), f"v{count}") for count in (3, 5)]
    save_rows(tmp_path / "set.jsonl", rows)
    assert load_rows(tmp_path / "set.jsonl") == rows
    with pytest.raises(ConfigError, match=r"ends in \.jsonl"):
        save_rows(tmp_path / "set.npy", rows)


@pytest.mark.parametrize("cut", [0, 7, 60, 700, -1])
def test_damaged_safetensors(grid, tmp_path, cut):
    path = tmp_path / "a.safetensors"
    save(path, flatten(grid))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ConfigError, match="cannot be read"):
        load(path)


def test_safetensors_of_something_else(grid, tmp_path):
    path = tmp_path / "a.safetensors"
    save(path, flatten(grid))
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    wrong = [
        ({**tensors}, {**metadata, "format": "x"}, "expected a file of the format"),
        ({**tensors}, {**metadata, "grid_thw": "[1, 2]"}, "damaged"),
        ({**tensors}, {**metadata, "grid_thw": "[1, 2, 3]"}, "damaged"),
        ({**tensors}, {key: metadata[key] for key in metadata if key != "size"}, "damaged"),
        ({**tensors, "bits": tensors["bits"][:5]}, metadata, "damaged"),
        ({**tensors, "bits": tensors["bits"].astype(np.int8)}, metadata, "bits of type float32"),
        ({**tensors, "indices": tensors["indices"] * 0 + 64000}, metadata, "0 to 63999"),
        ({name: tensors[name] for name in tensors if name != "spans"}, metadata, "holds no spans"),
    ]
    for changed_tensors, changed_metadata, message in wrong:
        save_file(changed_tensors, path, changed_metadata)
        with pytest.raises(ConfigError, match=message):
            load(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.safetensors")


def test_damaged_arrays_and_rows(grid, tmp_path):
    path = tmp_path / "a.npy"
    for bad in (b"", b"\x93NUMPY\x01\x00"):
        path.write_bytes(bad)
        with pytest.raises(ConfigError, match="cannot be read"):
            load_ids(path)
    for array, message in [
        (np.zeros(3), "uint16"),
        (np.full(3, 65000, np.uint16), "0 to 63999"),
        (np.zeros((2, 2), np.uint16), "shape"),
    ]:
        np.save(path, array)
        with pytest.raises(ConfigError, match=message):
            load_ids(path)
    path = tmp_path / "a.jsonl"
    row = row_of(reduce(grid, "pool_t", 3), "a")
    for bad, message in [
        ("{", "row 2: not JSON"),
        ("[]", "row 2: expected video_id"),
        (json.dumps({**row, "token_ids": [1, 2, 64000]}), "row 2: ids are integers"),
        (json.dumps({**row, "token_ids": [1, True, 3]}), "row 2: ids are integers"),
        (json.dumps({**row, "timestamps": [1]}), "timestamp for every token, found 1 for 3"),
        (json.dumps({**row, "tokenizer_id": 3}), "expected tokenizer_id, a str"),
    ]:
        path.write_text(json.dumps(row) + "\n" + bad + "\n")
        with pytest.raises(ConfigError, match=message):
            load_rows(path)
