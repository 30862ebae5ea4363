"""The compute environment that all workers of an encode share."""

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
    """The settings that must be equal in all workers, so that a file does not depend on the pool.

    Attributes:
        config: Settings of the encode.
        device: Name of the device to compute on.
        threads: Number of torch threads.
        arithmetic: Name of the floating-point type that convolutions run in.
        versions: Versions of nvcodec and torch.
        tokenizer: Id of the tokenizer; empty if the files hold no tokens.
    """

    config: EncoderConfig
    device: str
    threads: int
    arithmetic: str
    versions: tuple[str, str]
    tokenizer: str

    @classmethod
    def current(cls, config: EncoderConfig, device: torch.device) -> ComputeEnvironment:
        """Return the environment of this process.

        Args:
            config: Settings of the encode.
            device: Device to compute on.

        Raises:
            ConfigError: If the tokenizer of the settings does not exist.
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
        """Set this process up as the environment says, and return a fitter.

        Raises:
            ConfigError: If this machine or its installation differs from the environment.
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
