"""Memory allocation: keeps freed memory of fits for the next step, and reports allocation failures.

Every optimiser step frees the memory of its pictures and allocates as much again. glibc returns
such memory to the system each time, and the system clears it page by page, which takes up to a
third of a step's time.

The command line and worker processes call `keep_freed_memory`. The library does not, because the
allocator belongs to the process; a program that fits networks through the library may call it.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from nvcodec.errors import NvcodecError, OutOfMemoryError

logger = logging.getLogger(__name__)

# Parameters of `mallopt`. The second one accepts values up to `_LARGEST`.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT = 1 << 28
_LARGEST = 1 << 25
# How torch, oneDNN and C++ libraries report that they get no memory.
_FAILURES = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "could not create a memory",
    "could not create a primitive",
)


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


@contextmanager
def reporting_allocation_failures(what: str) -> Iterator[None]:
    """Turn a failed allocation of any library into one typed error; also serves as a decorator.

    Args:
        what: What needs the memory, for the message.

    Raises:
        OutOfMemoryError: If memory was refused.
    """
    try:
        yield
    except NvcodecError:
        raise
    except (MemoryError, RuntimeError) as error:
        reason = str(error)
        if not isinstance(error, MemoryError) and not any(text in reason for text in _FAILURES):
            raise
        raise OutOfMemoryError(
            f"not enough memory for {what}: {reason.splitlines()[0] if reason else 'refused'}; "
            "free some, raise the limit of the process, or ask for fewer frames at a time"
        ) from error
