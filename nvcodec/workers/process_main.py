"""A process that fits segments for another one: `python -m nvcodec.workers.process_main`, see `processes`.

It ends when the other one closes its standard input, and that happens however the other one ends.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from multiprocessing.connection import Connection
from typing import NoReturn

from nvcodec.allocation import keep_freed_memory
from nvcodec.fitting.interface import FitProgress
from nvcodec.workers.environment import ComputeEnvironment
from nvcodec.workers.job import Job, JobFailure, JobResult, run_job


class _WithdrawnError(BaseException):
    """The job is not wanted any more. Not an `Exception`, which a fit might take for its own."""


def send(connection: Connection, message: object) -> None:
    """Send an object; arrays are not copied on the way.

    Pickled here and not by the connection, which would hand tensors over in shared memory.
    """
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    connection.send_bytes(len(buffers).to_bytes(4, "little"))
    connection.send_bytes(head)
    for buffer in buffers:
        connection.send_bytes(buffer.raw())


def receive(connection: Connection) -> object:
    """Wait for an object that the other side sends.

    Raises:
        EOFError: If the other side is gone.
        OSError: If it went amid a message.
    """
    count = int.from_bytes(connection.recv_bytes(), "little")
    head = connection.recv_bytes()
    # As arrays of bytes, or what is made of them could not be written to.
    return pickle.loads(head, buffers=[bytearray(connection.recv_bytes()) for _ in range(count)])


def _end_with_the_other() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def _result(
    connection: Connection, environment: ComputeEnvironment, job: Job
) -> JobResult | JobFailure | None:
    def report(progress: FitProgress) -> None:
        send(connection, progress)
        if connection.poll():
            receive(connection)
            raise _WithdrawnError

    try:
        return run_job(job, environment.make_fitter(), environment.config, report)
    except _WithdrawnError:
        return None
    except Exception as error:  # noqa: BLE001
        return JobFailure.of(error)


def _serve(connection: Connection) -> NoReturn:
    environment = receive(connection)
    assert isinstance(environment, ComputeEnvironment)
    while True:
        job = receive(connection)
        # Else a withdrawal that crossed the result.
        if isinstance(job, Job):
            send(connection, _result(connection, environment, job))
        del job  # its pictures are large


def main() -> None:
    """Fit what comes through the connection whose descriptor is the first argument."""
    threading.Thread(target=_end_with_the_other, daemon=True).start()
    keep_freed_memory()
    connection = Connection(int(sys.argv[1]))
    try:
        _serve(connection)
    except (EOFError, OSError):  # of the connection alone: see `_result`
        # The other side is gone, which this thread may notice before the one that waits for it.
        # Not by the usual way out, on which the interpreter would wait for that thread's lock.
        os._exit(1)


if __name__ == "__main__":
    main()
