"""Tests of the package: installed names, links of a checkout, and imports by installed names."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nvcodec

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


@pytest.mark.skipif(sys.platform == "win32", reason="git makes no links there")
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


@pytest.fixture
def linkless(tmp_path) -> Path:
    """Copy of the sources as git writes them without symbolic links, for example on Windows."""
    for name in ("nvcodec", "models", "entropy", "cuda"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=ignored)
    for name in ("models", "entropy", "cuda"):
        link = tmp_path / "nvcodec" / name
        target = os.readlink(link) if link.is_symlink() else link.read_text()
        link.unlink()
        link.write_text(target)
    return tmp_path


def test_a_checkout_without_links_is_imported(linkless):
    names = {
        "nvcodec": "nvcodec/__init__.py",
        "nvcodec.models.hnerv.config": "models/hnerv/config.py",
        "nvcodec.entropy.coder.rans": "entropy/coder/rans.py",
        "nvcodec.cuda.grid_layout": "cuda/grid_layout.py",
    }
    code = "from importlib import import_module\n"
    code += f"for name in {list(names)}: print(import_module(name).__file__)"
    run = _run_in(linkless, "-c", code)
    found = [Path(line) for line in run.stdout.splitlines()]
    assert found == [linkless / place for place in names.values()], run.stderr


def test_a_checkout_without_links_reads_a_file(linkless):
    stream = ROOT / "tests" / "golden" / "v1" / "ngp-rgb" / "stream.nvc"
    run = _run_in(linkless, "-m", "nvcodec", "info", "--json", str(stream))
    assert run.returncode == 0, run.stderr
    summary = json.loads(run.stdout)
    assert (summary["model"], summary["bytes"]) == ("ngp", stream.stat().st_size)


def _run_in(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        check=False,
    )


def test_a_citation_is_of_this_version():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {nvcodec.__version__}\n" in citation
    assert f"\nlicense: {SETTINGS['project']['license']}\n" in citation


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
