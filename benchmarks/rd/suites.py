"""The suites: which clips, at which sizes and rates.

`broad` has two halves. Settings are chosen on the clips of the one, and results are judged on those
of the other, which nothing was chosen on. The halves were fixed before the first experiment, and a
clip never changes sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Half = Literal["development", "judged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteClip:
    """A clip of a suite.

    Attributes:
        name: Short name, for people and files.
        file: Name of the video file.
        rates: Target sizes of the whole file in bits per pixel, lowest first. At these, x264 medium
            reaches about 28 to 38 dB of luma PSNR, or 30 to 42 dB where little moves.
        resize: Width and height; None for the file's own.
        start: Number of the first frame.
        frames: Number of frames; None for all that follow.
        half: Half of the suite `broad` that the clip belongs to; None in other suites.
    """

    name: str
    file: str
    rates: tuple[float, ...]
    resize: tuple[int, int] | None = None
    start: int = 0
    frames: int | None = None
    half: Half | None = None


_SMALL = (
    SuiteClip(
        name="bunny",
        file="bigbuckbunny.mp4",
        resize=(320, 176),
        rates=(0.015, 0.03, 0.07, 0.14),
    ),
    SuiteClip(name="carphone", file="carphone_pristine.mp4", rates=(0.02, 0.035, 0.065, 0.12)),
    SuiteClip(name="bikes", file="bikes.mp4", resize=(320, 136), rates=(0.02, 0.036, 0.065, 0.115)),
    SuiteClip(
        name="basketballpass",
        file="basketballpass_416x240_50fps_100f.mkv",
        rates=(0.02, 0.04, 0.08, 0.16),
    ),
    SuiteClip(
        name="foreman",
        file="foreman_cif_300f_lossy38dB.264",
        resize=(176, 144),
        frames=120,
        rates=(0.033, 0.06, 0.12, 0.26),
    ),
    SuiteClip(name="akiyo", file="akiyo_cif_30fps_21f.mkv", rates=(0.01, 0.02, 0.04, 0.08)),
)
_LARGE = (
    SuiteClip(
        name="coastguard", file="coastguard_cif_30fps_21f.mkv", rates=(0.06, 0.13, 0.28, 0.55)
    ),
    SuiteClip(name="mobile", file="mobile_cif_30f_pcm.264", rates=(0.1, 0.2, 0.4, 0.75)),
    SuiteClip(name="calendar", file="vid4_calendar_720x576_41f.mkv", rates=(0.06, 0.12, 0.25, 0.5)),
    SuiteClip(name="bmx", file="davis_bmx-trees_854x480_80f.mkv", rates=(0.04, 0.09, 0.2, 0.4)),
    SuiteClip(
        name="steel",
        file="tears-of-steel-battle_70s.webm",
        frames=240,
        rates=(0.01, 0.018, 0.03, 0.05),
    ),
    SuiteClip(name="flower", file="flower.mp4", rates=(0.003, 0.006, 0.012, 0.024)),
    SuiteClip(name="bunny720", file="bigbuckbunny.mp4", rates=(0.005, 0.01, 0.02, 0.04)),
)
_BROAD = (
    SuiteClip(
        name="bunny",
        file="bigbuckbunny.mp4",
        resize=(320, 176),
        frames=72,
        half="development",
        rates=(0.018, 0.035, 0.065, 0.14),
    ),
    SuiteClip(
        name="carphone",
        file="carphone_pristine.mp4",
        frames=72,
        half="development",
        rates=(0.019, 0.032, 0.056, 0.1),
    ),
    SuiteClip(
        name="bikes",
        file="bikes.mp4",
        resize=(320, 136),
        frames=72,
        half="development",
        rates=(0.026, 0.042, 0.067, 0.11),
    ),
    SuiteClip(
        name="basketballpass",
        file="basketballpass_416x240_50fps_100f.mkv",
        frames=60,
        half="development",
        rates=(0.0135, 0.024, 0.044, 0.08),
    ),
    SuiteClip(
        name="foreman",
        file="foreman_cif_300f_lossy38dB.264",
        frames=60,
        half="development",
        rates=(0.019, 0.034, 0.06, 0.12),
    ),
    SuiteClip(
        name="akiyo",
        file="akiyo_cif_30fps_21f.mkv",
        half="development",
        rates=(0.01, 0.02, 0.04, 0.08),
    ),
    SuiteClip(
        name="juggle",
        file="05_default_juggle.mp4",
        resize=(480, 270),
        frames=60,
        half="development",
        rates=(0.013, 0.026, 0.05, 0.09),
    ),
    SuiteClip(
        name="friday",
        file="friday.mp4",
        resize=(320, 240),
        frames=60,
        half="development",
        rates=(0.0145, 0.026, 0.044, 0.08),
    ),
    SuiteClip(
        name="bmx",
        file="davis_bmx-trees_854x480_80f.mkv",
        resize=(426, 240),
        frames=48,
        half="judged",
        rates=(0.045, 0.08, 0.15, 0.28),
    ),
    SuiteClip(
        name="steel",
        file="tears-of-steel-battle_70s.webm",
        resize=(432, 180),
        frames=72,
        half="judged",
        rates=(0.025, 0.045, 0.08, 0.14),
    ),
    SuiteClip(
        name="street",
        file="street_1080p_54f.264",
        resize=(480, 270),
        half="judged",
        rates=(0.03, 0.06, 0.12, 0.24),
    ),
    SuiteClip(
        name="flower",
        file="flower.mp4",
        resize=(480, 270),
        frames=60,
        half="judged",
        rates=(0.0095, 0.015, 0.024, 0.043),
    ),
    SuiteClip(
        name="mobile",
        file="mobile_cif_30f_pcm.264",
        half="judged",
        rates=(0.042, 0.074, 0.14, 0.28),
    ),
    SuiteClip(
        name="coastguard",
        file="coastguard_cif_30fps_21f.mkv",
        half="judged",
        rates=(0.02, 0.048, 0.12, 0.28),
    ),
    SuiteClip(
        name="screen",
        file="screen_pdf_1024x768_50f.264",
        resize=(480, 360),
        half="judged",
        rates=(0.023, 0.045, 0.074, 0.11),
    ),
    SuiteClip(
        name="nasa",
        file="nasa_13013.mp4",
        frames=60,
        half="judged",
        rates=(0.0038, 0.006, 0.01, 0.016),
    ),
    SuiteClip(
        name="calendar",
        file="vid4_calendar_720x576_41f.mkv",
        resize=(360, 288),
        half="judged",
        rates=(0.029, 0.056, 0.11, 0.22),
    ),
    SuiteClip(
        name="city",
        file="cityCC0.mpg",
        resize=(480, 270),
        frames=60,
        half="judged",
        rates=(0.022, 0.043, 0.085, 0.18),
    ),
    SuiteClip(
        name="phone",
        file="sample_edit_list.mp4",
        resize=(270, 480),
        frames=60,
        half="judged",
        rates=(0.0135, 0.025, 0.05, 0.1),
    ),
    SuiteClip(
        name="roadtrip",
        file="roadtrip-vp92-10bit.webm",
        half="judged",
        rates=(0.016, 0.03, 0.057, 0.1),
    ),
)
SUITES = {"small": _SMALL, "full": (*_SMALL, *_LARGE), "broad": _BROAD}


def choose_clips(suite: str, only: Sequence[str] | None) -> tuple[SuiteClip, ...]:
    """Return the clips of a suite.

    Args:
        suite: Name of the suite.
        only: Names of the clips to return; None for all.

    Raises:
        SystemExit: If a name is not in the suite.
    """
    clips = {clip.name: clip for clip in SUITES[suite]}
    unknown = sorted(set(only or ()) - set(clips))
    if unknown:
        raise SystemExit(f"{', '.join(unknown)}: not in the suite, which has {', '.join(clips)}")
    return tuple(clip for name, clip in clips.items() if not only or name in only)
