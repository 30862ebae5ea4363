"""What is installed, and under which names."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = SETTINGS["tool"]["setuptools"]


def test_every_package_directory_is_declared():
    on_disk = {
        ".".join([package, *init.parent.relative_to(ROOT / folder).parts])
        for package, folder in SETUPTOOLS["package-dir"].items()
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert on_disk == set(SETUPTOOLS["packages"]) - {"nvcodec.cuda"}


def test_only_one_top_level_name_is_installed():
    assert {name.split(".")[0] for name in SETUPTOOLS["packages"]} == {"nvcodec"}
    assert {name.split(".")[0] for name in SETUPTOOLS["package-dir"]} == {"nvcodec"}


@pytest.mark.parametrize("name", ["models", "entropy", "cuda"])
def test_links_are_relative(name):
    link = ROOT / "nvcodec" / name
    assert link.is_symlink()
    assert os.readlink(link) == f"../{name}"
    assert link.resolve() == (ROOT / name).resolve() and link.is_dir()


def test_cuda_is_no_regular_package():
    # An `__init__.py` there would make `import cuda` in a checkout hide NVIDIA's package.
    assert list((ROOT / "cuda").rglob("__init__.py")) == []


def test_cuda_imports_errors_only():
    # The import linter does not see `cuda/`: see .importlinter.
    allowed = ("nvcodec.errors", "nvcodec.cuda")
    for path in (ROOT / "cuda").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                if name.split(".")[0] in ("nvcodec", "models", "entropy", "benchmarks"):
                    assert name == allowed[0] or name.startswith(allowed[1]), (path, name)


def test_cuda_is_found_where_links_are_plain_files(tmp_path):
    for name in (
        "nvcodec/__init__.py",
        "nvcodec/_version.py",
        "nvcodec/errors.py",
        "cuda/grid_layout.py",
    ):
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, target)
    (tmp_path / "nvcodec" / "cuda").write_text("../cuda")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import nvcodec.cuda.grid_layout as m; "
        "print(m.__file__)"
    )
    command = [sys.executable, "-S", "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert Path(run.stdout.strip()) == tmp_path / "cuda" / "grid_layout.py", run.stderr


def test_py_typed_and_the_command_are_declared():
    assert "py.typed" in SETUPTOOLS["package-data"]["nvcodec"]
    assert SETTINGS["project"]["scripts"] == {"nvcodec": "nvcodec.cli:main"}


def test_sources_import_each_other_by_their_installed_names():
    for folder in ("models", "entropy", "cuda", "nvcodec"):
        for path in (ROOT / folder).rglob("*.py"):
            for line in path.read_text().splitlines():
                words = line.split()
                if len(words) > 1 and words[0] in ("from", "import"):
                    assert words[1].split(".")[0] not in ("models", "entropy", "cuda", ""), path
