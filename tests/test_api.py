"""The public names of `nvcodec`: they resolve, are documented, and have the promised types."""

from __future__ import annotations

import inspect
from importlib.metadata import version
from pathlib import Path

import pytest

import nvcodec
from nvcodec import errors

PACKAGE = Path(nvcodec.__file__).parent


def test_all_is_sorted_and_resolves():
    upper = [name for name in nvcodec.__all__ if name.isupper()]
    classes = [name for name in nvcodec.__all__ if name[0].isupper() and not name.isupper()]
    functions = [name for name in nvcodec.__all__ if name[0].islower()]
    assert nvcodec.__all__ == sorted(upper) + sorted(classes) + sorted(functions)
    assert len(set(nvcodec.__all__)) == len(nvcodec.__all__)
    for name in nvcodec.__all__:
        assert getattr(nvcodec, name) is not None
    assert set(nvcodec.__all__) <= set(dir(nvcodec))


def test_every_public_name_is_documented():
    for name in nvcodec.__all__:
        value = getattr(nvcodec, name)
        if callable(value):
            assert inspect.getdoc(value), name


def test_the_verbs():
    assert {"encode", "decode", "open", "inspect", "compare"} <= set(nvcodec.__all__)


def test_unknown_names():
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = nvcodec.nothing_such


def test_errors_are_also_the_builtin_ones():
    public = [
        value for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ]  # fmt: skip
    assert {error.__name__ for error in public} <= set(nvcodec.__all__)
    for error in public:
        assert issubclass(error, nvcodec.NvcodecError)
    for error in (nvcodec.BitstreamError, nvcodec.ConfigError, nvcodec.VideoError):
        assert issubclass(error, ValueError)
    assert issubclass(nvcodec.OutputExistsError, FileExistsError)
    for error in (
        nvcodec.TruncatedStreamError, nvcodec.ChecksumError, nvcodec.UnsupportedVersionError
    ):  # fmt: skip
        assert issubclass(error, nvcodec.BitstreamError)


def test_types_are_shipped():
    assert (PACKAGE / "py.typed").is_file()


def test_the_version_is_that_of_the_distribution():
    assert nvcodec.__version__ == version("nvcodec-suite")
