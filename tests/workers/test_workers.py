"""Worker pools of processes and of Ray: the same file, even if workers are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import nvcodec
from nvcodec.container import Reader
from nvcodec.errors import ConfigError, NvcodecError
from nvcodec.tokenizer.tokenizer import VideoTokenizer

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="finds processes where Linux lists them"
)


def descendants(parent: int, word: str) -> list[int]:
    """Return the descendants of a process whose command line contains a word."""
    parents, commands = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name of the process, in parentheses, may contain spaces.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                commands[int(entry.name)] = (entry / "cmdline").read_bytes().decode()
            except (OSError, UnicodeError):
                continue
            if fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])

    def below(process: int) -> bool:
        above = parents.get(process, 0)
        return above == parent or (above > 0 and below(above))

    return [process for process in parents if below(process) and word in commands[process]]


class WorkerKiller:
    """A progress callback that kills one worker at the first report, and records all reports."""

    def __init__(self, word: str) -> None:
        self.word, self.killed = word, 0
        self.seen: list[nvcodec.Progress] = []

    def __call__(self, progress: nvcodec.Progress) -> None:
        self.seen.append(progress)
        if not self.killed:
            self.killed = descendants(os.getpid(), self.word)[0]
            os.kill(self.killed, signal.SIGKILL)


@needs_proc
def test_processes_make_the_same_file(clip, tmp_path, settings, caplog, monkeypatch):
    killer = WorkerKiller("nvcodec.workers.process_main")
    VideoTokenizer.untrained((8,) * 5, (8,) * 3).save_pretrained(tmp_path / "tokenizer")
    monkeypatch.chdir(tmp_path)  # a directory that workers do not run in
    config = settings(workers=2, epochs=3, latents="both", tokenizer="tokenizer")
    nvcodec.encode(clip, tmp_path / "a.nvc", replace(config, workers=1), measure=False)
    report = nvcodec.encode(
        clip, tmp_path / "b.nvc", config, measure=False, on_progress=killer
    )  # fmt: skip
    assert (tmp_path / "a.nvc").read_bytes() == (tmp_path / "b.nvc").read_bytes()
    assert (report.segments, report.epochs, report.warnings) == (3, 4, ())
    assert killer.killed and "SIGKILL" in caplog.text and "fitted anew" in caplog.text
    # All epochs of all segments are reported, some twice for the killed worker.
    for number in range(3):
        assert {one.fit.epoch for one in killer.seen if one.segment == number} == {1, 2, 3, 4}
    assert killer.seen[-1].share == 1.0
    assert descendants(os.getpid(), "nvcodec.workers.process_main") == []


def test_what_a_worker_raises(clip, tmp_path, settings):
    with pytest.raises(ConfigError, match="too small") as raised:
        nvcodec.encode(clip, tmp_path / "a.nvc", settings(workers=2, parameters=3))
    # The cause tells where in the worker it was raised.
    assert "fitter.py" in str(raised.value.__cause__)
    assert list(tmp_path.iterdir()) == []


@needs_proc
def test_no_worker_survives_a_killed_encode(clip, encode_once, tmp_path, settings, environment):
    options = {"model": "hnerv", "epochs": 15, "segment": 2, "bpp": 3.0, "device": "cpu"}
    config, target = settings(parameters=None, **options), tmp_path / "b.nvc"
    command = [sys.executable, "-m", "nvcodec", "encode", str(clip), "-o", str(target)]
    for name, value in {**options, "workers": 2}.items():
        command += [f"--{name}", str(value)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment) as process:
        found: set[int] = set()
        while process.poll() is None and not _has_segments(target):
            found |= set(descendants(process.pid, "nvcodec.workers.process_main"))
            time.sleep(0.1)
        process.kill()
        _, errors = process.communicate()
    assert len(found) == 2, errors
    assert b"Traceback" not in errors
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{one}").exists() for one in found):
        assert time.monotonic() < deadline, "workers are left"
        time.sleep(0.02)
    nvcodec.encode(clip, target, config, measure=False, resume=True)
    assert target.read_bytes() == encode_once("workers.nvc", clip, config).read_bytes()


@needs_proc
def test_no_worker_survives_an_interrupt(clip, tmp_path, settings, interrupt):
    interrupt(clip, tmp_path / "a.nvc", settings(workers=2), 1)
    assert descendants(os.getpid(), "nvcodec.workers.process_main") == []


def _has_segments(target: Path) -> bool:
    try:
        with Reader(target.with_name(target.name + ".partial")) as reader:
            return len(reader.segments) > 0
    except (NvcodecError, OSError):
        return False


@pytest.mark.parametrize("workers", [0, -1, 1.5, "dask"])
def test_settings(settings, workers):
    with pytest.raises(ConfigError, match="workers"):
        settings(workers=workers)


def test_without_ray(clip, tmp_path, settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'nvcodec-suite\[ray\]'"):
        nvcodec.encode(clip, tmp_path / "a.nvc", settings(workers="ray"))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def ray() -> Iterator[object]:
    """A local cluster with resources for two workers."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


def test_ray_makes_the_same_file(ray, clip, tmp_path, settings, caplog, monkeypatch):
    from nvcodec.workers import ray_pool

    fitted, killed, seen = ray_pool._run_remote_job, tmp_path / "killed", []

    def once_killed(packed, job_id, mailbox):
        import os
        import signal
        from types import SimpleNamespace

        def post(*message):
            if not killed.exists():
                killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return mailbox.post.remote(*message)

        return fitted(packed, job_id, SimpleNamespace(post=SimpleNamespace(remote=post)))

    monkeypatch.setattr(ray_pool, "_run_remote_job", once_killed)
    config = settings(epochs=3)
    nvcodec.encode(clip, tmp_path / "a.nvc", config, measure=False)
    nvcodec.encode(
        clip, tmp_path / "b.nvc", replace(config, workers="ray"), measure=False,
        on_progress=seen.append,
    )  # fmt: skip
    assert (tmp_path / "a.nvc").read_bytes() == (tmp_path / "b.nvc").read_bytes()
    assert killed.exists() and "fitted anew" in caplog.text
    for number in range(3):
        assert {one.fit.epoch for one in seen if one.segment == number} >= {4}
    # The pool does not shut down a cluster that it has not started.
    assert ray.is_initialized()


@pytest.mark.parametrize(
    "options",
    [
        {"parameters": None, "bpp": 1.5},
        {"model": "nirvana", "segment": 2, "refresh": 3, "epochs": 20},
    ],
)
def test_ray_with_targets_and_chains(ray, clip, tmp_path, settings, options):
    config = settings(**options)
    nvcodec.encode(clip, tmp_path / "a.nvc", config, measure=False)
    nvcodec.encode(clip, tmp_path / "b.nvc", replace(config, workers="ray"), measure=False)
    assert (tmp_path / "a.nvc").read_bytes() == (tmp_path / "b.nvc").read_bytes()


def test_what_a_ray_worker_raises(ray, clip, tmp_path, settings):
    with pytest.raises(ConfigError, match="too small"):
        nvcodec.encode(clip, tmp_path / "a.nvc", settings(workers="ray", parameters=3))
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_without_room(ray, clip, tmp_path, settings, monkeypatch):
    import torch

    threads: Callable[[], int] = lambda: 3
    monkeypatch.setattr(torch, "get_num_threads", threads)
    with pytest.raises(ConfigError, match="has 3 CPUs"):
        nvcodec.encode(clip, tmp_path / "a.nvc", settings(workers="ray"))
