"""Some cases of the fuzz, which `python -m tests.fuzz` runs for as long as wanted."""

from __future__ import annotations

import pytest

from nvcodec.container import Reader
from tests.fuzz.__main__ import case, sources, try_case
from tests.fuzz.mutations import indexed, join, split

SEED = 19


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return sources()


@pytest.mark.parametrize("part", range(3))
def test_damaged_files(files, part):
    for number in range(10 * part, 10 * part + 10):
        name, mutations, report = try_case(files, SEED, number)
        assert not report.findings, (f"{SEED}:{number}", name, mutations, report)


def test_checksums_are_right_and_cases_repeat(files):
    for name, data in files.items():
        assert join(*split(data)) == data, name
        with Reader(indexed(*split(data))) as reader:
            assert reader.complete and not reader.verify(), name
    assert case(files, 1, 2) == case(files, 1, 2) != case(files, 1, 3)
    damaged = [case(files, 5, number)[2] for number in range(40)]
    intact = sum(not _checksum_faults(data) for data in damaged)
    assert intact > 20


def _checksum_faults(data: bytes) -> bool:
    try:
        with Reader(data) as reader:
            return any(damage.kind.name == "CHECKSUM" for damage in reader.verify())
    except ValueError:
        return False
