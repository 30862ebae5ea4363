"""Rows of a rate-distortion table, shared by the tests of the benchmarks."""

from __future__ import annotations

import pytest


@pytest.fixture
def row():
    """A function that makes a point of a curve."""

    def make(series: str, size: int, quality: float, *, clip: str = "one", **others):
        kind = "anchor" if series.startswith(("x26", "svt")) else "model"
        point = {
            "clip": clip,
            "series": series,
            "rate": None,
            "kind": kind,
            "settings": {},
            "frames": 10,
            "bytes": size,
            "bpp": size / 1000,
            "kbps": size / 10,
            "psnr_y": quality,
            "psnr_u": quality + 2,
            "psnr_v": quality + 2,
            "psnr_yuv": quality + 0.5,
            "psnr_rgb": quality - 2,
            "ms_ssim": 1 - 10 ** (-quality / 20),
            "encode_seconds": 2.0,
            "decode_seconds": 0.1,
            "file": "none",
            "stale": False,
        }
        point |= {"crf": 30.0, "version": "x264 - core 1"} if kind == "anchor" else {}
        point |= {} if kind == "anchor" else {"parameters": 5000, "macs_per_pixel": 1500.0}
        return point | others

    return make
