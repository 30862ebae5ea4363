"""Makes golden messages of tokens.

    python tests/golden/make_messages.py NAME T H W LEVEL [LEVEL ...]

The token grids of golden streams are too small to show everything in section 26 of
docs/bitstream.md; these messages show the rest. Like a golden stream, a message is made once, and
this script refuses to replace one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.tokens.codec import encode_tokens

FOLDER = Path(__file__).parent / "tokens"


def moving(shape: tuple[int, int, int], levels: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Return FSQ indices of moving waves, a corner that stands still, and some noise."""
    chance = np.random.default_rng(0)
    t, y, x = np.indices(shape)
    digits = []
    for place, count in enumerate(levels):
        wave = np.sin((0.4 + 0.1 * place) * x + 0.3 * y - 0.5 * t + place)
        values = (0.5 + 0.5 * wave) * (count - 1) + chance.normal(0, 0.15 * count, shape)
        values[(y < 4) & (x < 4)] = place % count
        digits.append(np.clip(np.rint(values), 0, count - 1))
    return np.stack(digits, -1).astype(np.uint8)


def main() -> None:
    name, *numbers = sys.argv[1:]
    t, h, w, *levels = map(int, numbers)
    target = FOLDER / f"{name}.npz"
    if target.exists():
        raise SystemExit(f"{target} exists, and golden messages stay what they are")
    digits = moving((t, h, w), tuple(levels))
    message = np.frombuffer(encode_tokens(digits, levels), np.uint8)
    np.savez_compressed(target, message=message, digits=digits, levels=np.array(levels))


if __name__ == "__main__":
    main()
