"""Write the annex of docs/bitstream.md: the default context networks of model 3 in decimal numbers.

Run `python -m benchmarks.training.context_annex` after every change of
`entropy/latents/default_weights.py`; a test compares the two.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence

import numpy as np

from benchmarks.harness.record import ROOT
from nvcodec.entropy.latents.context_network import HIDDEN, INPUTS
from nvcodec.entropy.latents.default_weights import SCALES, WEIGHTS
from nvcodec.models.latentgrid.subbands import PlaneKind

ANNEX = ROOT / "docs" / "latentgrid-defaults.txt"
_CHANNELS = {PlaneKind.LUMA: 1, PlaneKind.CHROMA: 2}
_INTRODUCTION = """\
# The default context networks of model 3, an annex of bitstream.md (section 20). Normative.
#
# For each kind a line "kind", with its number, that of the channels, and that of the scales N' that
# the biases are for. Then the list of numbers, in order: hidden weights (20 x 16), linear weights
# (20), output weights (16), biases (1 + 3 N' bands x channels). Lines with # are comments.
#
# Made by benchmarks/training/context_annex.py; not to be changed by hand.
"""


def annex() -> str:
    """Return the text of the annex.

    Raises:
        ValueError: If a network does not have as many numbers as expected.
    """
    text = _INTRODUCTION
    for kind in PlaneKind:
        channels, scales = _CHANNELS[kind], SCALES[kind.name]
        numbers = np.frombuffer(bytes.fromhex(WEIGHTS[kind.name]), np.int8).tolist()
        counts = {
            "hidden": INPUTS * HIDDEN,
            "linear": INPUTS,
            "output": HIDDEN,
            "biases": (1 + 3 * scales) * channels,
        }
        if sum(counts.values()) != len(numbers):
            raise ValueError(f"{kind.name}: expected {sum(counts.values())}, got {len(numbers)}")
        text += f"\nkind {kind.value} channels {channels} scales {scales}\n"
        for name, count in counts.items():
            part, numbers = numbers[:count], numbers[count:]
            lines = textwrap.wrap(" ".join(map(str, part)), 99)
            text += f"# {name}\n" + "\n".join(lines) + "\n"
    return text


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training.context_annex",
        description=(__doc__ or "").partition("\n")[0],
    )
    parser.parse_args(argv)
    ANNEX.write_text(annex())


if __name__ == "__main__":
    main()
