"""Closed sources leave nothing behind that a forked process would have to wait for."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from nvcodec.video import open_source

_TASKS = Path("/proc/self/task")


@pytest.mark.skipif(not _TASKS.is_dir(), reason="threads are counted by what Linux says")
def test_the_threads_of_a_decoder_end_when_its_source_is_closed(carphone):
    def threads():
        return len(os.listdir(_TASKS))

    open_source(carphone, threads=3).close()  # whatever stays for good is there now
    gc.collect()
    gc.disable()
    try:
        before = threads()
        source = open_source(carphone, threads=3)
        assert threads() > before
        source.close()
        assert threads() == before
        source.close()
    finally:
        gc.enable()
