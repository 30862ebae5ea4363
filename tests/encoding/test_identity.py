"""What must be equal for an encode to be resumed, and how a difference is said."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import av
import pytest
import torch

import nvcodec
from nvcodec.encoding import fingerprint as fingerprints
from nvcodec.encoding import identity as identities
from nvcodec.encoding.fingerprint import fingerprint
from nvcodec.encoding.identity import describe_differences, identity
from nvcodec.errors import ConfigError


def _identity(source: Path, **options) -> dict:
    config = nvcodec.EncoderConfig(device="cpu", **options)
    return identity(config, source, (4, 8), torch.device("cpu"), None)


@pytest.mark.parametrize("part", [False, True])
def test_a_fingerprint_sees_the_whole_file(tmp_path, part):
    file = tmp_path / "a.mkv"
    content = bytearray(os.urandom(3 << 20))
    file.write_bytes(content)
    whole = fingerprint(file, part=part)
    os.utime(file, (1, 1))
    assert fingerprint(file, part=part) == whole
    moved = tmp_path / "folder" / "other name.mkv"
    moved.parent.mkdir()
    shutil.copyfile(file, moved)
    assert fingerprint(moved, part=part) == whole
    content[2 << 20] ^= 1
    file.write_bytes(content)
    os.utime(file, (1, 1))
    assert fingerprint(file, part=part) != whole


def test_a_part_of_a_large_file_is_sampled(tmp_path):
    file = tmp_path / "a.mkv"
    with file.open("wb") as sparse:
        sparse.truncate(100 << 20)
    sampled = fingerprint(file, part=True)
    for place in (0, 50, (100 << 20) - 1):
        with file.open("r+b") as changed:
            changed.seek(place)
            changed.write(b"x")
        assert fingerprint(file, part=True) != sampled
        with file.open("r+b") as changed:
            changed.seek(place)
            changed.write(b"\0")
    assert fingerprint(file, part=True) == sampled
    assert "sha256" in fingerprint(file)


def test_a_part_of_a_large_file_is_resumed_with_the_same_pictures_only(
    clip, make_clip, tmp_path, settings, interrupt, monkeypatch
):
    """Where only samples of a file are hashed, the pictures of stored segments are compared, too."""
    monkeypatch.setattr(fingerprints, "_SMALL", 0)
    monkeypatch.setattr(fingerprints, "_SAMPLE_BYTES", 16)  # and a change is between them
    monkeypatch.setattr(fingerprints, "_SAMPLES", 2)
    config, target = settings(frames=slice(0, 9)), tmp_path / "a.nvc"
    nvcodec.encode(clip, tmp_path / "whole.nvc", config, measure=False)
    interrupt(clip, target, config, 1)
    left = {path.name: path.read_bytes() for path in tmp_path.glob("a.nvc*")}
    real = identities.fingerprint
    monkeypatch.setattr(identities, "fingerprint", lambda path, part=False: real(clip, part=part))
    other = make_clip("other.mp4", frames=12, size=(48, 32), audio=["aac"], codec="mpeg4")
    with pytest.raises(ConfigError, match="does not hold the frames"):
        nvcodec.encode(other, target, config, resume=True)
    assert {path.name for path in tmp_path.glob("a.nvc*")} == set(left)
    nvcodec.encode(clip, target, config, resume=True, measure=False)
    assert target.read_bytes() == (tmp_path / "whole.nvc").read_bytes()


def test_a_copy_elsewhere_resumes_and_a_change_in_the_middle_does_not(
    clip, stream, tmp_path, settings, interrupt
):
    target, copy = tmp_path / "a.nvc", tmp_path / "copy" / "renamed.mp4"
    # The picture data is beyond the first MiB: a free box of 2 MiB precedes them.
    padded = tmp_path / "padded.mp4"
    free = (2 << 20).to_bytes(4, "big") + b"free" + bytes((2 << 20) - 8)
    padded.write_bytes(clip.read_bytes() + free)
    interrupt(padded, target, settings(), 1)
    copy.parent.mkdir()
    content = bytearray(padded.read_bytes())
    content[-1000] = 1
    copy.write_bytes(content)
    with pytest.raises(ConfigError, match=r"another video.*: the source has another content"):
        nvcodec.encode(copy, target, settings(), resume=True)
    shutil.copyfile(padded, copy)
    nvcodec.encode(copy, target, settings(), resume=True, measure=False)
    assert target.read_bytes() == stream.read_bytes()


def test_machine_and_libraries_are_part_of_the_identity(clip, monkeypatch):
    now = _identity(clip)
    assert now == _identity(clip)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    monkeypatch.setattr(av, "__version__", "14.0")
    monkeypatch.setattr(av, "library_versions", {**av.library_versions, "libavcodec": (1, 2, 3)})
    build = torch.__config__.show()
    monkeypatch.setattr(torch.__config__, "show", lambda: build.replace(" v3", " v9"))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    said = describe_differences(now, _identity(clip))
    for clause in (
        f"the processor was {now['processor']}, now it is",
        f"PyAV was {now['versions']['PyAV']}, now it is 14.0",
        f"libavcodec was {now['versions']['libavcodec']}, now it is 1.2.3",
        "the build of torch was",
        "ONEDNN MAX CPU ISA was not set, now it is AVX2",
    ):
        assert clause in said
    assert now["versions"]["oneDNN"] is None or "oneDNN was v3" in said
    assert torch.backends.cpu.get_cpu_capability() in _identity(clip)["processor"]


def test_differences_are_said_in_words(clip, tmp_path, settings, interrupt):
    target = tmp_path / "a.nvc"
    interrupt(clip, target, settings(), 1)
    for options, words in (
        ({"seed": 1}, "seed was 0, now it is 1;"),
        ({"epochs": 2}, "epochs was 1, now it is 2;"),
        ({"frames": slice(0, 11)}, "the range of frames was None, now it is slice(0, 11, None)"),
        ({"mask": str(clip)}, "the mask has another content"),
    ):
        config = settings(**options)
        with pytest.raises(ConfigError) as refusal:
            nvcodec.encode(clip, target, config, resume=True)
        assert words in str(refusal.value) and "sha256" not in str(refusal.value)


def test_words_are_those_of_fields(clip):
    fields = {name for name, _ in identities._leaves(_identity(clip))}
    assert set(identities._WORDS) <= fields
