"""Memory allocation of a process that fits networks: keeps freed memory for the next step.

Every optimiser step frees the memory of its pictures and allocates as much again. glibc returns
such memory to the system each time, and the system clears it page by page, which takes up to a
third of a step's time.

The command line and worker processes call `keep_freed_memory`. The library does not, because the
allocator belongs to the process; a program that fits networks through the library may call it.
"""

from __future__ import annotations

import ctypes
import logging
from functools import cache

logger = logging.getLogger(__name__)

# Parameters of `mallopt`. The second one accepts values up to `_LARGEST`.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT = 1 << 28
_LARGEST = 1 << 25


@cache
def keep_freed_memory() -> None:
    """Let this process keep up to 256 MiB of freed memory, in blocks of up to 32 MiB.

    Nothing happens if the C library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    done = mallopt(_TRIM_THRESHOLD, _KEPT) and mallopt(_MMAP_THRESHOLD, _LARGEST)
    if not done:
        logger.info("freed memory is not kept: the C library refuses")
