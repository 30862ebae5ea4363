"""Names of networks in measurements: a family, boosted or not. No torch."""

from __future__ import annotations

from dataclasses import dataclass

_BOOST = "boost"


@dataclass(frozen=True, slots=True, order=True)
class Variant:
    """A family, boosted or not.

    Attributes:
        model: Name of the family, or of what stands for one in a measurement.
        boosted: Whether time conditions every block.
    """

    model: str
    boosted: bool = False

    @classmethod
    def parse(cls, text: str) -> Variant:
        """Inverse of `str`.

        Raises:
            SystemExit: If anything but `boost` is added to the family.
        """
        model, plus, added = text.partition("+")
        if plus and added != _BOOST:
            raise SystemExit(f"expected MODEL or MODEL+{_BOOST}, got {text!r}")
        return cls(model, bool(plus))

    def __str__(self) -> str:
        """As it is written on a command line: `hnerv`, `hnerv+boost`."""
        return f"{self.model}+{_BOOST}" if self.boosted else self.model
