"""Names of unfinished files: that of the target with something added, shortened if it is too long."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

# Bytes of the longest name on common filesystems. Some announce more than they accept.
_LONGEST = 255


def beside(target: Path, *, prefix: str = "", suffix: str = "") -> Path:
    """Return the path of a file beside a target; the same one in every run.

    Args:
        target: Path of the finished file.
        prefix: Text before its name.
        suffix: Text after its name.

    Returns:
        Path with the name of the target between prefix and suffix. Where that is longer than the
        filesystem allows, the name is cut and a hash of the whole name follows.
    """
    name = f"{prefix}{target.name}{suffix}"
    longest = _longest_name(target.parent)
    if len(os.fsencode(name)) <= longest:
        return target.with_name(name)
    digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    end = f"~{digest}{suffix}"
    kept = target.name
    while kept and len(os.fsencode(prefix + kept + end)) > longest:
        kept = kept[:-1]
    return target.with_name(prefix + kept + end)


def _longest_name(folder: Path) -> int:
    """Return the length of the longest name in a folder, bytes."""
    try:
        return min(os.pathconf(folder, "PC_NAME_MAX"), _LONGEST)
    except (AttributeError, OSError, ValueError):  # not available on every system
        return _LONGEST
