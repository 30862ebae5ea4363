"""Set-up of all tests; the fixtures that they share are plugins in `tests/fixtures`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent

# Tests and benchmarks are not installed; they are imported from the repository, after everything else.
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))
pytest_plugins = [
    "tests.fixtures.clips",
    "tests.fixtures.commands",
    "tests.fixtures.encodes",
    "tests.fixtures.latents",
    "tests.fixtures.tokens",
]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Run torch on one thread: on tiny tensors, several threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# Folders whose files take longest: they begin, so that no process is left with one at the end.
_FIRST = ("workers", "examples", "encoding", "end_to_end")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the folders of long tests first; the order within a file stays."""
    order = {folder: place for place, folder in enumerate(_FIRST)}
    items.sort(key=lambda item: order.get(item.path.parent.name, len(_FIRST)))
