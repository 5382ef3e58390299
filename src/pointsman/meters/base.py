"""An energy meter is a counter of joules that only grows, like the one in a meter cupboard."""

from __future__ import annotations

from typing import Protocol


class Meter(Protocol):
    """A counter of joules.

    Attributes:
        name: a short word for tables, e.g. `nvml`, `rapl`, `cpu_time`.
        modelled: True if the joules follow from other quantities by stated constants (invariant 7).
        description: one sentence: what is measured, the constants, what is subtracted.
    """

    name: str
    modelled: bool
    description: str

    def read_j(self) -> float:
        """Joules since the meter was made; never falls. Raises MissingError if it went away."""
        ...

    def close(self) -> None:
        """Stop sampling threads and release devices."""
        ...
