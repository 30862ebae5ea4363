"""Names of networks in measurements: a model family, boosted or not. No torch."""

from __future__ import annotations

from dataclasses import dataclass

_BOOST = "boost"


@dataclass(frozen=True, slots=True, order=True)
class Variant:
    """A model family, boosted or not.

    Attributes:
        model: Name of the family, or of a reference encoder beside the families.
        boosted: Whether every block is conditioned on time.
    """

    model: str
    boosted: bool = False

    @classmethod
    def parse(cls, text: str) -> Variant:
        """Parse a name as `str` writes it.

        Args:
            text: `hnerv` or `hnerv+boost`, for example.

        Raises:
            SystemExit: If the name has an ending other than `+boost`.
        """
        model, plus, added = text.partition("+")
        if plus and added != _BOOST:
            raise SystemExit(f"expected MODEL or MODEL+{_BOOST}, got {text!r}")
        return cls(model, bool(plus))

    def __str__(self) -> str:
        """Return the name as it is written on a command line: `hnerv`, `hnerv+boost`."""
        return f"{self.model}+{_BOOST}" if self.boosted else self.model
