"""Tokens read from a file: grids, time ranges, bytes read, foreign tokenizers and damage."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from nvcodec.container import Header, Segment, Writer
from nvcodec.errors import (
    BitstreamError,
    ChecksumError,
    ClosedError,
    ConfigError,
    NoTokensError,
    NvcodecError,
    UnsupportedVersionError,
)
from nvcodec.media import VideoInfo
from nvcodec.tokenizer.token_ids import LEVELS
from nvcodec.tokenizer.token_sections import encode_token_section, token_format
from nvcodec.tokens import TokenGrid, open_tokens

ID = "00112233445566778899aabbccddeeff"
FRAMES = (9, 6, 1)  # frames of each segment, which are 3, 3 and 1 time steps
# Frame times of each segment. The second is irregular; the duration of the last frame is unknown.
TICKS = (
    [100 + 10 * k for k in range(9)],
    [190, 200, 220, 230, 240, 260],
    [270],
)
SIZE = (100, 50)


@pytest.fixture(scope="module")
def fsq_indices(make_fsq_indices) -> np.ndarray:
    return make_fsq_indices((7, 2, 4), LEVELS, "random")


def write(fsq_indices, *, tokens: bool = True, fields=None, payload: int = 3000) -> bytes:
    """Write a file of three segments with tokens and a payload of zeros."""
    file = io.BytesIO()
    fields = fields or (token_format(ID, conditioning=False) if tokens else None)
    with Writer(file) as writer:
        writer.header(
            Header(
                video=VideoInfo(
                    width=SIZE[0],
                    height=SIZE[1],
                    time_base=Fraction(1, 100),
                    frame_rate=Fraction(10),
                ),
                model=1,
                tokens=fields,
            )
        )
        writer.metadata({"title": "a clip"})
        first = step = 0
        for count, ticks in zip(FRAMES, TICKS, strict=True):
            gaps = np.diff([*ticks, ticks[-1] + 10])
            if count == 1:
                gaps = [0]
            steps = 1 + -(-(count - 1) // 4)
            writer.segment(
                Segment(first_frame=first, pts=ticks, durations=gaps, payload=bytes(payload)),
                encode_token_section(fsq_indices[step : step + steps]) if fields else None,
            )
            first, step = first + count, step + steps
        writer.finish()
    return file.getvalue()


@pytest.fixture(scope="module")
def data(fsq_indices) -> bytes:
    return write(fsq_indices)


def test_reading_the_whole_file(data, fsq_indices):
    for part in (data, data[:-3]):  # with and without an index
        with open_tokens(part) as tokens:
            assert (tokens.tokenizer_id, tokens.latents, tokens.size) == (ID, "beside", SIZE)
            assert (tokens.frame_rate, tokens.shape, tokens.steps) == (10, (2, 4), 7)
            assert tokens.duration == Fraction(17, 10)
            assert tokens.metadata == {"title": "a clip"}
            grid = tokens.grid()
        assert isinstance(grid, TokenGrid)
        assert (grid.digits == fsq_indices).all() and (grid.bits > 0).all()
        assert (grid.size, grid.tokenizer_id, grid.cells) == (SIZE, ID, (0, 0))
        assert grid.starts.tolist() == [1.0, 1.1, 1.5, 1.9, 2.0, 2.6, 2.7]
        assert grid.ends.tolist() == [1.1, 1.5, 1.9, 2.0, 2.6, 2.7, 2.8]


@pytest.mark.parametrize(
    ("start", "end", "steps"),
    [
        (None, 1.1, [0]),
        (1.05, 1.2, [0, 1]),
        (1.9, None, [3, 4, 5, 6]),
        (2.0, 2.01, [4]),
        (2.75, 9, [6]),
        (-5, 1.01, [0]),
    ],
)
def test_time_range(data, fsq_indices, start, end, steps):
    with open_tokens(data) as tokens:
        grid = tokens.grid(start, end)
    assert (grid.digits == fsq_indices[steps]).all()


def test_empty_time_range(data):
    with open_tokens(data) as tokens:
        for start, end in ((3.0, 4.0), (None, 1.0), (2.0, 2.0)):
            with pytest.raises(ConfigError, match="no token is shown"):
                tokens.grid(start, end)


def test_only_the_requested_tokens_are_read(data, fsq_indices):
    with open_tokens(data) as tokens:
        opened = tokens.bytes_read
        tokens.grid(2.0, 2.1)
        section = tokens.bytes_read - opened
        assert tokens.token_bytes < len(data) / 10
        assert opened + section < 700 and section < tokens.token_bytes / 2 + 30
        tokens.grid()
        assert tokens.bytes_read < len(data) / 5
        assert tokens.file_bytes == len(data)
    # Sections that are not read may be damaged.
    broken = bytearray(data)
    place = data.index(b"toks")
    broken[place + 30] ^= 1
    place = data.rindex(b"SEGM")
    broken[place + 30] ^= 1
    with open_tokens(bytes(broken)) as tokens:
        assert (tokens.grid(start=1.9).digits == fsq_indices[3:]).all()


def test_without_torch(data, tmp_path):
    (tmp_path / "a.nvc").write_bytes(data)
    code = (
        "import sys, nvcodec.tokens\n"
        "with nvcodec.tokens.open_tokens('a.nvc') as tokens:\n"
        "    grid = tokens.grid()\n"
        "assert grid.indices.shape == (7, 2, 4) and grid.codes.shape == (7, 2, 4, 6)\n"
        "assert not {'torch', 'av', 'compressai'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_the_same_ids_in_another_process(data, fsq_indices, tmp_path):
    (tmp_path / "a.nvc").write_bytes(data)
    code = (
        "import sys, nvcodec.tokens as t\n"
        "sys.stdout.buffer.write(t.open_tokens('a.nvc').grid().indices.tobytes())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, cwd=tmp_path
    )
    with open_tokens(data) as tokens:
        assert tokens.grid().indices.tobytes() == run.stdout


def test_a_file_without_tokens(fsq_indices, tmp_path):
    path = tmp_path / "plain.nvc"
    path.write_bytes(write(fsq_indices, tokens=False))
    with pytest.raises(NoTokensError, match=r"plain.nvc holds no tokens: .*--via pixels"):
        open_tokens(path)
    with pytest.raises(NoTokensError, match="the file holds no tokens"):
        open_tokens(path.read_bytes())


def test_a_foreign_tokenizer(data):
    other = "f" * 32
    with open_tokens(data) as tokens:
        tokens.require(ID)
        assert tokens.grid(tokenizer_id=ID).shape == (7, 2, 4)
        for refused in (
            lambda: tokens.require(other),
            lambda: tokens.grid(tokenizer_id=other),
        ):
            with pytest.raises(ConfigError, match=f"{other}, the file's are of {ID}; .*via pixels"):
                refused()


@pytest.mark.parametrize("change", [{"levels": (8, 8)}, {"time_stride": 8}, {"space_stride": 16}])
def test_tokens_of_another_layout(fsq_indices, change):
    fields = replace(token_format(ID, conditioning=False), **change)
    with pytest.raises(UnsupportedVersionError, match="HEAD section: tokens of"):
        open_tokens(write(fsq_indices, fields=fields))


def test_damaged_tokens(data, fsq_indices):
    broken = bytearray(data)
    place = data.index(b"toks", data.index(b"SEGM"))
    broken[place + 20] ^= 1
    for part in (bytes(broken), bytes(broken[:-3])):
        with open_tokens(part) as tokens:
            with pytest.raises(ChecksumError, match="toks") as caught:
                tokens.grid()
            assert f"byte {place}" in str(caught.value)
            assert (tokens.grid(end=1.9).digits == fsq_indices[:3]).all()
            whole = tokens.grid(skip_damaged=True)
            assert (whole.digits == fsq_indices[[0, 1, 2, 6]]).all()
            tokens.grid(skip_damaged=True)
            assert len([line for line in tokens.damage if f"byte {place}: " in line]) == 1


def test_a_malformed_message(fsq_indices, monkeypatch):
    from nvcodec.entropy.tokens import codec as coding

    monkeypatch.setattr(coding.rans, "encode", lambda *rest: bytes(40))
    data = write(fsq_indices)
    place = data.index(b"SEGM")
    with open_tokens(data) as tokens:
        with pytest.raises(BitstreamError, match=rf"toks section before byte {place}: tokens: the"):
            tokens.grid()
        for _ in range(2):
            assert tokens.grid(skip_damaged=True).shape == (0, 2, 4)
        assert len(tokens.damage) == 3


def test_hostile_bytes(fsq_indices):
    data = write(fsq_indices, payload=20)
    chance = np.random.default_rng(0)
    whole = 0
    for trial in range(150):
        broken = bytearray(data)
        for place in chance.integers(0, len(data), chance.integers(1, 4)):
            broken[place] ^= 1 << chance.integers(8)
        if trial % 3 == 0:
            del broken[chance.integers(10, len(broken)) :]
        try:
            with open_tokens(bytes(broken)) as tokens:
                grid = tokens.grid(skip_damaged=True)
                whole += len(grid.digits) == 7 and (grid.digits == fsq_indices).all()
                assert len(grid.digits) in (0, 1, 3, 4, 6, 7)
        except NvcodecError as error:
            assert str(error)
    assert 5 < whole < 145


def test_other_files_are_refused(tmp_path):
    with pytest.raises(BitstreamError, match=r"not an \.nvc file"):
        open_tokens(b"something else")
    with pytest.raises(FileNotFoundError):
        open_tokens(tmp_path / "none.nvc")


def test_times_and_steps_of_all_types(data):
    with open_tokens(data) as reader:
        whole = reader.grid()
        part = reader.grid(1.5, 2.2)
        assert 0 < len(part.starts) < len(whole.starts)
        for make in (
            np.float64,
            np.array,
            Fraction,
            lambda t: torch.tensor(t, dtype=torch.float64),
        ):
            assert (reader.grid(make(1.5), make(2.2)).digits == part.digits).all()
        assert (reader.grid(-np.inf, np.float32(np.inf)).digits == whole.digits).all()
        for use in (reader.grid, lambda time: whole.during(time, 2)):
            with pytest.raises(ConfigError, match="NaN"):
                use(np.float32("nan"))
        with pytest.raises(ConfigError, match="no token is shown"):
            whole.during(Fraction(100), Fraction(200))
        mask = np.arange(7) % 3 == 0
        for steps in (mask, torch.tensor(mask), [0, 3, -1], torch.tensor([0, 3, 6])):
            assert (whole.at(steps).digits == whole.digits[[0, 3, 6]]).all()
        with pytest.raises(IndexError, match="expected 7 truth values"):
            whole.at(mask[:5])
        with pytest.raises(TypeError):
            whole.at([0.5])


def test_closed_and_pickled_readers(data, tmp_path):
    path = tmp_path / "a.nvc"
    path.write_bytes(data)
    reader = open_tokens(path)
    with pickle.loads(pickle.dumps(reader)) as again:
        assert (again.grid().digits == reader.grid().digits).all()
    reader.close()
    with pytest.raises(ClosedError):
        reader.grid()
    with pytest.raises(ClosedError):
        pickle.dumps(reader)


def test_threads_read_the_same_tokens(data):
    with open_tokens(data) as reader, ThreadPoolExecutor(4) as pool:
        right = reader.grid().digits
        grids = list(pool.map(lambda _: reader.grid().digits, range(40)))
    assert all((grid == right).all() for grid in grids)
