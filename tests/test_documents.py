"""Documents: what they name exists, and their lines are short."""

from __future__ import annotations

import re
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = 120
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
NAMES = sorted(set(re.findall(r"`(nvcodec[\w.]*:[\w.]+)`", GLOSSARY)))
FOLDERS = "nvcodec|models|entropy|cuda|benchmarks|tests|docs"


def documents() -> list[Path]:
    command = ["git", "ls-files", "*.md"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        pytest.skip("not a git checkout: the documents cannot be listed")
    return [ROOT / name for name in run.stdout.split() if not (ROOT / name).is_symlink()]


def test_lines_are_short():
    for path in documents():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            # Rows of tables cannot be wrapped, and neither can what numbers are filled in by.
            if len(line) > COLUMNS and not line.startswith("|") and "<!--" not in line:
                raise AssertionError(f"{path.relative_to(ROOT)}:{number}: {len(line)} columns")


def test_files_that_documents_name_exist():
    for path in documents():
        text = path.read_text(encoding="utf-8")
        # Commands under tables are those of the commit named beside them.
        text = re.sub(r"<!-- table:.*?<!-- end -->", "", text, flags=re.DOTALL)
        for name in re.findall(rf"`((?:{FOLDERS})/[\w/.-]+\.\w+|(?:{FOLDERS})/[\w/]*/)`", text):
            if "/x/" not in name:  # stands for a new family
                assert (ROOT / name).exists(), f"{path.relative_to(ROOT)} names {name}"
        for name in re.findall(r"python -m (benchmarks[\w.]*)", text):
            place = ROOT / name.replace(".", "/")
            assert place.is_dir() or place.with_suffix(".py").is_file(), (path, name)


@pytest.mark.parametrize("name", NAMES)
def test_terms_of_the_glossary_are_those_of_the_code(name):
    module, _, attributes = name.partition(":")
    found = import_module(module)
    for attribute in attributes.split("."):
        fields = getattr(found, "__dataclass_fields__", {})
        annotated = getattr(found, "__annotations__", {})
        if hasattr(found, attribute):
            found = getattr(found, attribute)
        elif attribute in fields or attribute in annotated:
            found = None
        else:
            # Attributes that only instances have are documented on the class.
            assert re.search(rf"^\s+{attribute}: ", found.__doc__ or "", re.MULTILINE), name
