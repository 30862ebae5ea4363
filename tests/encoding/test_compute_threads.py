"""The number of threads of an encode follows from the size of its pictures, and threads do not spin."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import nvcodec
from nvcodec.encoding import compute_threads as threads
from nvcodec.encoding.partial_file import PartialFile
from nvcodec.host.subprocesses import child, wait_without_spinning
from nvcodec.workers import process_pool

CPU = torch.device("cpu")
SMALL, LARGE = 176 * 144, 1280 * 720


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let torch compute with two threads because there are two cores, which nobody chose."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "cpu_cores", lambda: 2)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)  # as the fixture of the session has it


def test_small_pictures_take_one_thread(two_cores):
    assert threads.thread_count(SMALL, CPU) == 1
    assert threads.thread_count(LARGE, CPU) == 2
    assert threads.thread_count(SMALL, torch.device("cuda")) == 2


def test_the_choice_of_the_user_is_kept(two_cores, monkeypatch):
    monkeypatch.setattr(threads, "cpu_cores", lambda: 8)  # as after torch.set_num_threads(2)
    assert threads.thread_count(SMALL, CPU) == 2
    monkeypatch.setattr(threads, "cpu_cores", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert threads.thread_count(SMALL, CPU) == 2


def test_an_encode_computes_on_one_thread_and_records_it(
    two_cores, silent, tmp_path, settings, monkeypatch
):
    seen, identities = [], []
    opened: Callable[..., object] = PartialFile.open

    def record(self: PartialFile, identity: dict[str, Any], *, resume: bool) -> object:
        identities.append(identity)
        return opened(self, identity, resume=resume)

    monkeypatch.setattr(PartialFile, "open", record)
    nvcodec.encode(
        silent,
        tmp_path / "a.nvc",
        settings(model="nerv", parameters=2400),
        measure=False,
        on_progress=lambda progress: seen.append(torch.get_num_threads()),
    )
    assert set(seen) == {1}
    assert [identity["threads"] for identity in identities] == [1]
    assert torch.get_num_threads() == 2


def test_encodes_at_once_restore_the_number_of_the_host(two_cores):
    begun, leave = threading.Barrier(2), threading.Event()
    after = []

    def encode() -> None:
        with threads.compute_threads(SMALL, CPU):
            begun.wait(10)
            assert leave.wait(10)
        after.append(torch.get_num_threads())

    other = threading.Thread(target=encode)
    with threads.compute_threads(SMALL, CPU):
        other.start()
        begun.wait(10)
    assert torch.get_num_threads() == 2
    leave.set()
    other.join()
    assert after == [2]
    assert torch.get_num_threads() == 2


def test_threads_sleep_while_they_wait():
    environment: dict[str, str] = {}
    wait_without_spinning(environment)
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    for name, value in (("OMP_WAIT_POLICY", "ACTIVE"), ("GOMP_SPINCOUNT", "7")):
        environment = {name: value}
        wait_without_spinning(environment)
        assert environment.get(name) == value
        assert environment.get("OMP_WAIT_POLICY") != "PASSIVE"


def test_the_command_line_and_its_processes_wait_like_that(monkeypatch):
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    start = child("nvcodec", "info", "--backends")
    assert start.environment["OMP_WAIT_POLICY"] == "PASSIVE"
    plain = {name: value for name, value in start.environment.items() if name not in names}
    run = subprocess.run(
        start.command,
        env={**plain, "OMP_DISPLAY_ENV": "VERBOSE"},
        cwd=start.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    # What the library says when it is loaded: the command line was there before torch.
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in run.stderr


def test_workers_start_before_the_first_segment_is_read(monkeypatch):
    started = []

    class Process(SimpleNamespace):
        def __init__(self, place: int, environment: object) -> None:
            super().__init__(place=place, busy=False)
            started.append(place)

    monkeypatch.setattr(process_pool, "_WorkerProcess", Process)
    environment = SimpleNamespace(device="cpu", threads=1)
    for capacity, chains, expected in ((2, 5, [0, 1]), (4, 1, [0]), (2, 0, [])):
        started.clear()
        process_pool.ProcessPool(environment, capacity, chains)
        assert started == expected
