"""The compute environment that all workers of an encode must share."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace

import torch

from nvcodec._version import __version__
from nvcodec.config import EncoderConfig
from nvcodec.device import working_type
from nvcodec.errors import ConfigError
from nvcodec.fitting.factory import make_fitter
from nvcodec.fitting.interface import SegmentFitter
from nvcodec.tokenizer.segment_tokens import tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeEnvironment:
    """What workers must have in common, or the bytes would depend on who fitted a segment.

    Attributes:
        config: Of the encode.
        device: Where to compute.
        threads: Of torch.
        arithmetic: The type convolutions run in.
        versions: Of nvcodec and torch.
        tokenizer: Id of the one that makes tokens; empty if there are to be none.
    """

    config: EncoderConfig
    device: str
    threads: int
    arithmetic: str
    versions: tuple[str, str]
    tokenizer: str

    @classmethod
    def current(cls, config: EncoderConfig, device: torch.device) -> ComputeEnvironment:
        """That of this process.

        Raises:
            ConfigError: If there is no such tokenizer.
        """
        tokens = config.latents != "private"
        return cls(
            config=config,
            device=str(device),
            threads=torch.get_num_threads(),
            arithmetic=str(working_type(device)),
            versions=(__version__, torch.__version__),
            tokenizer=tokenizer(config.tokenizer).tokenizer_id if tokens else "",
        )

    def make_fitter(self) -> SegmentFitter:
        """Compute like that from now on, in this process.

        Raises:
            ConfigError: If this machine or what is installed on it cannot.
        """
        torch.set_num_threads(self.threads)
        device = torch.device(self.device)
        own = replace(ComputeEnvironment.current(self.config, device), threads=self.threads)
        if own != self:
            raise ConfigError(
                f"{socket.gethostname()} computes in {own.arithmetic} with nvcodec and torch "
                f"{own.versions}; expected {self.arithmetic} and {self.versions} as where the "
                "encode was started"
                + (f", and the tokenizer {self.tokenizer}" if self.tokenizer else "")
            )
        return make_fitter(self.config, device)
