"""Errors that nvcodec raises on purpose.

All inherit from `NvcodecError`, so one `except` clause catches every error of the library. Each
also inherits from the built-in exception that fits it, so that `except ValueError` works in code
that does not import nvcodec. A message states what was expected, what was found and how to fix it.
"""


class NvcodecError(Exception):
    """Base class of all errors that nvcodec raises on purpose."""


class ConfigError(NvcodecError, ValueError):
    """An option, or a combination of options, that cannot work."""


class VideoError(NvcodecError, ValueError):
    """A source video that cannot be read, or an output that cannot be written."""


class WorkerError(NvcodecError, RuntimeError):
    """A segment could not be fitted because each worker that tried it died."""


class OutOfMemoryError(NvcodecError, MemoryError):
    """The system refused memory that a computation needs; the message names the computation."""


class NoTokensError(NvcodecError, LookupError):
    """Tokens were requested from a file that holds none."""


class OutputExistsError(NvcodecError, FileExistsError):
    """The output exists already, and overwriting was not requested."""


class OutputBusyError(NvcodecError, BlockingIOError):
    """Another process is writing to the same output; the message says which."""


class ClosedError(NvcodecError, ValueError):
    """An `.nvc` file was read after it was closed."""


class BitstreamError(NvcodecError, ValueError):
    """Malformed `.nvc` data. The message names the section and the byte offset."""


class TruncatedStreamError(BitstreamError):
    """An `.nvc` stream that ends too early, or lacks some of its frames."""


class ChecksumError(BitstreamError):
    """A section of an `.nvc` file whose CRC-32 does not match its contents."""


class UnsupportedVersionError(BitstreamError):
    """A stream whose version, model or coder this release does not support, as the message says."""
