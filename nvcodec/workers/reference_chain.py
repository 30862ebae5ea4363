"""The reference chain of a segment: the coded segments that its reference state is decoded from."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nvcodec.fitting.interface import CodedSegment
from nvcodec.media import Colour
from nvcodec.reconstruction.segment_decoder import make_segment_decoder


@dataclass(frozen=True, slots=True)
class ReferenceChain:
    """The coded segments before a segment that is predicted.

    The encoder predicts from the decoded segment, as the decoder does. The reference state is then
    the same whether the segment was fitted just now, by another process, or by an interrupted run.

    Attributes:
        state: Reference state of the segment before the first of `coded`; None if the first one is
            a random access point.
        coded: Consecutive coded segments, at least one. The last one is the reference.
    """

    state: object
    coded: tuple[CodedSegment, ...]

    def decode_state(self, model: str, colour: Colour, device: torch.device) -> object:
        """Return the reference state of the last segment.

        Args:
            model: Name of the model family.
            colour: Colour space of the frames.
            device: Device to decode on.
        """
        state = self.state
        for coded in self.coded:
            decoder = make_segment_decoder(
                model, coded.config, coded.body, colour, device, state, coded.fsq_indices
            )
            state = decoder.reference_state()
        return state
