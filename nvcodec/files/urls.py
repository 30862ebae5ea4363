"""Refusal of URLs where a file is expected, in a sentence that says how to use them all the same."""

from __future__ import annotations

import os
import re
import shlex

from nvcodec.errors import VideoError

_ADVICE = {
    "file": "give the name alone",
    "fd": "give - for standard input",
    "pipe": "give - for standard input",
}
_WEB = ("ftp", "http", "https")
# Protocols of libav that take something else than a place behind the colon.
_WRAPPERS = ("async", "cache", "concat", "concatf", "crypto", "data", "subfile")


def refuse_url(name: str | os.PathLike[str], *, output: bool = False) -> None:
    """Raise an error if a name is a URL; a file whose name looks like one is a file.

    Args:
        name: Name of an input or output, as a text or a path.
        output: Whether it is that of an output.

    Raises:
        VideoError: If there is no such file and the name begins with a protocol.
    """
    text = os.fspath(name)
    scheme, _, rest = text.partition(":")
    scheme = scheme.lower()
    # One letter is a drive of Windows. `Path` makes one slash of two.
    known = scheme in _ADVICE or scheme in _WRAPPERS
    is_url = rest and re.fullmatch(r"[a-z][a-z0-9+.-]+", scheme) and (known or rest[0] == "/")
    if not is_url or os.path.lexists(text):
        return
    if not known:
        text = re.sub(":/+", "://", text, count=1)
    if output:
        raise VideoError(
            f"{text}: expected a file to write, found a URL; to pipe it on, write to -"
        )
    advice = _ADVICE.get(scheme)
    if advice is None:
        url = shlex.quote(text)
        client = f"curl -L {url}" if scheme in _WEB else f"ffmpeg -i {url} -c copy -f matroska -"
        advice = f"download it first, or pipe it in and give - as its name: {client} | nvcodec ..."
    raise VideoError(f"{text}: expected a file, which is read several times, found a URL; {advice}")
