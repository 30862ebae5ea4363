"""The number of threads that an encode computes with, which follows from the size of its pictures.

On small pictures, threads wait for each other longer than they compute. Segments are then fitted on one
thread, and other cores serve other segments (`EncoderConfig.workers`). The number must not depend on
the worker pool, because the weights of networks depend on it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import torch

from nvcodec.device import cpu_cores
from nvcodec.host.forking import hold_over_fork

# Pixels of a picture from which on several threads are used. Most operations on fewer samples are not
# divided by torch at all.
_LEAST_PIXELS = 1 << 16
# With one of these the user states the number of threads.
_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")

_lock = Lock()
hold_over_fork(_lock)
_encodes = 0  # that run now in this process
_host_threads = 0  # number of threads of the host, while encodes run


def thread_count(pixels: int, device: torch.device) -> int:
    """Return the number of threads for an encode.

    It is that of torch, if pictures are large, or if the user has chosen it: by `OMP_NUM_THREADS`, or by
    `torch.set_num_threads` with another number than that of the cores.

    Args:
        pixels: Number of pixels of a picture.
        device: Device that computes. Only on the CPU the number depends on the size.
    """
    threads = torch.get_num_threads()
    chosen = threads != cpu_cores() or any(os.environ.get(name) for name in _VARIABLES)
    if chosen or device.type != "cpu" or pixels >= _LEAST_PIXELS:
        return threads
    return 1


@contextmanager
def compute_threads(pixels: int, device: torch.device) -> Iterator[None]:
    """Let torch compute with the number of threads for an encode, then with that of the host again.

    Args:
        pixels: Number of pixels of a picture.
        device: Device that computes.
    """
    global _encodes, _host_threads
    with _lock:
        # A thread that begins during an encode starts with the number of that encode.
        if not _encodes:
            _host_threads = torch.get_num_threads()
        before, count = torch.get_num_threads(), thread_count(pixels, device)
        _encodes += 1
        if count != before:
            torch.set_num_threads(count)
    try:
        yield
    finally:
        with _lock:
            _encodes -= 1
            if torch.get_num_threads() != _host_threads:
                torch.set_num_threads(_host_threads)
