"""Every error the package raises on purpose.

All inherit from `NvcodecError`; each also inherits the builtin a caller would expect, so that
`except ValueError` keeps working in code that has never heard of nvcodec. A message says what was
expected, what was found and what to do.
"""


class NvcodecError(Exception):
    """Base of every error raised on purpose by nvcodec."""


class ConfigError(NvcodecError, ValueError):
    """A setting, or a combination of settings, that cannot work."""


class VideoError(NvcodecError, ValueError):
    """A source video that cannot be read, or an output that cannot be written."""


class WorkerError(NvcodecError, RuntimeError):
    """A segment at which one worker after the other died."""


class NoTokensError(NvcodecError, LookupError):
    """A file that was asked for its tokens and holds none."""


class OutputExistsError(NvcodecError, FileExistsError):
    """The target exists and overwriting was not asked for."""


class BitstreamError(NvcodecError, ValueError):
    """Malformed `.nvc` data. The message names the section and the byte offset."""


class TruncatedStreamError(BitstreamError):
    """The stream ends before it should."""


class ChecksumError(BitstreamError):
    """A section whose CRC-32 does not match its contents."""


class UnsupportedVersionError(BitstreamError):
    """A stream of a version, model or coder this release does not know; it is named."""
