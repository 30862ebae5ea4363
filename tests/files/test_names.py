"""Names of unfinished files: found again by the next run, and never longer than a filesystem takes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nvcodec.files.names import beside


@pytest.mark.parametrize("letter", ["x", "é", "\udce9"], ids=["ASCII", "UTF-8", "other"])
def test_names_of_any_length(tmp_path, letter):
    size = len(os.fsencode(letter))
    seen = set()
    for count in (1, 236 // size, *range(239 // size, 255 // size + 1)):
        target = tmp_path / (letter * count)
        for prefix, suffix in (("", ".partial"), ("", ".partial.json"), (".", ".partial")):
            path = beside(target, prefix=prefix, suffix=suffix)
            plain = prefix + target.name + suffix
            assert path == beside(Path(target), prefix=prefix, suffix=suffix)
            assert path.parent == tmp_path and path.name.endswith(suffix)
            assert len(os.fsencode(path.name)) <= 255
            assert (path.name == plain) == (len(os.fsencode(plain)) <= 255)
            seen.add(path)
            path.write_bytes(b"")
    assert len(seen) == len(list(tmp_path.iterdir()))
    one, other = (tmp_path / ("x" * 254 + end) for end in "ab")
    assert beside(one, suffix=".partial") != beside(other, suffix=".partial")
