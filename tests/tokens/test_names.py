"""The public names of `nvcodec.tokens`, and which of them need no torch."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import nvcodec.tokens


def test_all_names_resolve_and_are_documented():
    names = nvcodec.tokens.__all__
    assert len(set(names)) == len(names) and set(names) <= set(dir(nvcodec.tokens))
    for name in names:
        value = getattr(nvcodec.tokens, name)
        assert not callable(value) or inspect.getdoc(value), name
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = nvcodec.tokens.nothing_such


def test_methods_text_and_files_need_no_torch():
    code = (
        "import sys, nvcodec.tokens as t, nvcodec.tokens.files, nvcodec.tokens.timestamps\n"
        "t.METHODS, t.reduce, t.region, t.shuffle_merge, t.picture_text, t.open_tokens\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
