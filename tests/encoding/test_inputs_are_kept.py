"""An encode or decode overwrites none of its inputs, under whatever name the target has."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import nvcodec
from nvcodec.errors import ConfigError
from nvcodec.tokenizer.pretrained import BUNDLED
from tests.fixtures.commands import run_here


def _refused(source: Path, target: Path, config: nvcodec.EncoderConfig, kept: Path) -> None:
    content, names = kept.read_bytes(), sorted(target.parent.iterdir())
    for options in ({}, {"overwrite": True}, {"overwrite": True, "resume": True}):
        with pytest.raises(ConfigError, match="itself; expected another name"):
            nvcodec.encode(source, target, config, measure=False, **options)
        assert kept.read_bytes() == content
        assert sorted(target.parent.iterdir()) == names


def test_the_partial_file_of_another_encode_is_a_source(stream, tmp_path, settings, monkeypatch):
    source = tmp_path / "X.nvc.partial"
    shutil.copy(stream, source)
    _refused(source, tmp_path / "X.nvc", settings(), source)
    monkeypatch.chdir(tmp_path)
    _refused(Path("X.nvc.partial"), Path("..") / tmp_path.name / "X.nvc", settings(), source)
    (tmp_path / "soft.nvc").symlink_to("X.nvc")
    _refused(source, tmp_path / "soft.nvc", settings(), source)
    os.link(source, tmp_path / "Y.nvc.partial")
    _refused(source, tmp_path / "Y.nvc", settings(), source)
    os.link(source, tmp_path / "Z.nvc.partial.json")
    _refused(source, tmp_path / "Z.nvc", settings(), source)


def test_the_source_itself(clip, tmp_path, settings):
    source = tmp_path / "clip.mp4"
    shutil.copy(clip, source)
    (tmp_path / "soft.mp4").symlink_to(source)
    os.link(source, tmp_path / "hard.mp4")
    for name in ("clip.mp4", "soft.mp4", "hard.mp4"):
        _refused(source, tmp_path / name, settings(), source)
    pictures = tmp_path / "pictures"
    nvcodec.decode(BUNDLED.parents[2] / "tests/golden/v1/nerv-yuv420/stream.nvc", pictures)
    picture = min(pictures.glob("*.png"))
    _refused(pictures, picture, settings(), picture)
    (tmp_path / "soft.png").symlink_to(picture)
    _refused(pictures, tmp_path / "soft.png", settings(), picture)


def test_an_output_in_the_folder_of_its_source(stream, tmp_path, settings, interrupt):
    """What an encode writes beside the images is not read, nor are other files that come and go."""
    folder, target = tmp_path / "pictures", tmp_path / "pictures" / "out.nvc"
    nvcodec.decode(stream, folder)
    images = {path: path.read_bytes() for path in folder.iterdir()}
    nvcodec.encode(folder, tmp_path / "whole.nvc", settings(), measure=False)
    interrupt(folder, target, settings(), 2)
    (folder / ".DS_Store").write_bytes(b"of a file manager")
    nvcodec.encode(folder, target, settings(), resume=True, measure=False)
    assert target.read_bytes() == (tmp_path / "whole.nvc").read_bytes()
    nvcodec.encode(folder, target, settings(), overwrite=True, measure=False)
    tokens = ["tokens", folder, "-o", folder / "out.npy", "-y"]
    assert [run_here(tokens).returncode for _ in range(2)] == [0, 0]
    assert all(path.read_bytes() == content for path, content in images.items())
    (folder / "link.npy").symlink_to(min(folder.glob("*.png")))
    assert "itself" in run_here([*tokens[:3], folder / "link.npy", "-y"]).stderr


def test_mask_and_tokenizer(clip, tmp_path, settings):
    mask = tmp_path / "mask.png"
    shutil.copy(clip, mask)
    _refused(clip, mask, settings(mask=mask), mask)
    tokenizer = tmp_path / "tokenizer"
    shutil.copytree(next(BUNDLED.glob("*/config.json")).parent, tokenizer)
    config = settings(model="nerv", latents="both", tokenizer=str(tokenizer))
    for file in sorted(tokenizer.iterdir()):
        _refused(clip, file, config, file)


def test_decode_and_tokens(stream, tmp_path):
    source = tmp_path / "a.y4m"
    shutil.copy(stream, source)
    (tmp_path / "soft.y4m").symlink_to("a.y4m")
    for target in (source, tmp_path / "soft.y4m"):
        with pytest.raises(ConfigError, match="itself"):
            nvcodec.decode(source, target, overwrite=True)
    source = source.rename(tmp_path / "a.npy")
    result = run_here(["tokens", source, "-o", source, "-y"])
    assert result.returncode == 1 and "itself" in result.stderr
    assert source.read_bytes() == stream.read_bytes()
