"""What a segment may be predicted from: the one before it, as a decoder has it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nvcodec.fitting.interface import CodedSegment
from nvcodec.media import Colour
from nvcodec.reconstruction.segment_decoder import make_segment_decoder


@dataclass(frozen=True, slots=True)
class ReferenceChain:
    """The segments of a file that lead up to the next one.

    What the encoder predicts from is decoded from what is stored, so that it is the same whether
    that was fitted just now, by another process or by a run that was interrupted.

    Attributes:
        state: Of the segment before those that are coded; None if the first of them stands alone.
        coded: One or more, the last being the one before the next.
    """

    state: object
    coded: tuple[CodedSegment, ...]

    def decode_state(self, model: str, colour: Colour, device: torch.device) -> object:
        """The state of the last one.

        Args:
            model: Name of the family.
            colour: How the pictures' samples map to light.
            device: Where to decode.
        """
        state = self.state
        for coded in self.coded:
            pictures = make_segment_decoder(
                model, coded.config, coded.body, colour, device, state, coded.fsq_indices
            )
            state = pictures.reference_state()
        return state
