"""The program of a worker process, `python -m nvcodec.workers.process_main`, and its messages.

`nvcodec.workers.process_pool` starts it. The process ends when its standard input is closed, which
happens however the encoder ends.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import NoReturn

from nvcodec.allocation import keep_freed_memory
from nvcodec.fitting.interface import FitProgress
from nvcodec.workers.environment import ComputeEnvironment
from nvcodec.workers.job import Job, JobFailure, JobResult, run_job


class _CancelledError(BaseException):
    """Ends a cancelled job. It is no `Exception`, so that no fit can catch it."""


def send(connection: Connection, message: object) -> None:
    """Send an object to the other process, without copying its arrays.

    The object is pickled here, because the connection would pass tensors in shared memory.

    Args:
        connection: Connection to the other process.
        message: Object to send, which can be pickled.

    Raises:
        OSError: If the other process has ended.
    """
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    connection.send_bytes(len(buffers).to_bytes(4, "little"))
    connection.send_bytes(head)
    for buffer in buffers:
        connection.send_bytes(buffer.raw())


def receive(connection: Connection) -> object:
    """Wait for an object from the other process.

    Args:
        connection: Connection to the other process.

    Raises:
        EOFError: If the other process has ended.
        OSError: If it has ended in the middle of a message.
    """
    count = int.from_bytes(connection.recv_bytes(), "little")
    head = connection.recv_bytes()
    # Arrays that are unpickled from `bytes` would be read-only.
    return pickle.loads(head, buffers=[bytearray(connection.recv_bytes()) for _ in range(count)])


def _exit_with_encoder() -> None:
    """Wait until the encoder ends, and end this process."""
    sys.stdin.buffer.read()
    os._exit(1)


def _run(
    connection: Connection, environment: ComputeEnvironment, job: Job
) -> JobResult | JobFailure | None:
    """Run a job, and send its progress.

    Returns:
        The result; None if the job is cancelled.
    """

    def report(progress: FitProgress) -> None:
        send(connection, progress)
        if connection.poll():
            receive(connection)
            raise _CancelledError

    try:
        return run_job(job, environment.make_fitter(), environment.config, report)
    except _CancelledError:
        return None
    except Exception as error:  # noqa: BLE001
        return JobFailure.of(error)


def _serve(connection: Connection) -> NoReturn:
    """Receive the environment, then run jobs until the connection ends."""
    environment = receive(connection)
    assert isinstance(environment, ComputeEnvironment)
    # What a fit imports is imported while the encoder reads the first segments.
    with suppress(Exception):  # a job will meet it again, and report it
        environment.make_fitter()
    while True:
        job = receive(connection)
        # Any other message cancels a job whose result was sent meanwhile.
        if isinstance(job, Job):
            send(connection, _run(connection, environment, job))
        del job  # frees its frames


def main() -> None:
    """Run the jobs from the connection whose file descriptor is the first argument."""
    threading.Thread(target=_exit_with_encoder, daemon=True).start()
    keep_freed_memory()
    connection = Connection(int(sys.argv[1]))
    try:
        _serve(connection)
    except (EOFError, OSError):  # only from the connection: `_run` returns those of a fit
        # The encoder has ended, and this thread noticed it before the other one. A normal exit
        # would wait for the lock of standard input, which that thread holds.
        os._exit(1)


if __name__ == "__main__":
    main()
