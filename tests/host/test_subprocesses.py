"""Python processes that nvcodec starts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nvcodec
from nvcodec.host.subprocesses import child


def test_a_child_imports_this_package_and_none_of_its_modules_by_their_own_names():
    process = child("nvcodec")
    assert Path(process.folder) == Path(nvcodec.__file__).resolve().parents[1]
    # `cuda` is also a package of NVIDIA, which torch uses if it is installed.
    text = (
        "import sys, nvcodec; from importlib.util import find_spec; print(nvcodec.__file__); "
        + (
            "print([n for n in ('cuda', 'errors', 'files') if (s := find_spec(n)) and s.origin"
            " and s.origin.startswith(nvcodec.__path__[0])])"
        )
    )
    command = [*process.command[:1], "-c", text]
    done = subprocess.run(
        command, capture_output=True, text=True, env=process.environment, cwd=process.folder,
        check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == [nvcodec.__file__, "[]"]


def test_a_copy_that_is_not_installed_starts_children_of_its_own(tmp_path):
    copy = tmp_path / "nvcodec"
    shutil.copytree(
        Path(nvcodec.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__")
    )
    text = (
        "import os, subprocess; os.environ.pop('PYTHONPATH', None); "
        "from nvcodec.host.subprocesses import child; p = child('nvcodec'); "
        "subprocess.run([p.command[0], '-c', 'import nvcodec; print(nvcodec.__file__)'],"
        " env=p.environment, cwd=p.folder, check=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.strip() == str(copy / "__init__.py")
