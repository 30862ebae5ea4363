"""Memory between the steps of a fit.

Every step frees what it took for its pictures and takes as much again. glibc gives such memory back
to the system each time, and the system clears it page by page: up to a third of the time of a step.

How a process allocates is its owner's business: the command line and worker processes ask for this,
the library does not. A program that fits networks through the library may.
"""

from __future__ import annotations

import ctypes
import logging
from functools import cache

logger = logging.getLogger(__name__)

# Numbers of `mallopt`, and the largest threshold that it takes for the second.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT = 1 << 28
_LARGEST = 1 << 25


@cache
def keep_freed_memory() -> None:
    """Let this process keep up to 256 MiB that it has freed, in pieces of up to 32 MiB.

    Where the C library is not glibc nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    done = mallopt(_TRIM_THRESHOLD, _KEPT) and mallopt(_MMAP_THRESHOLD, _LARGEST)
    if not done:
        logger.info("freed memory is not kept: the C library refuses")
