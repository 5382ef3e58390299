"""A learner takes in what really happened, so that the next predictions are better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pointsman.types import Outcome


class Learner(Protocol):
    """Learns from what came back. Labels may come late or never."""

    def learn(self, outcomes: Sequence[Outcome]) -> None:
        """Take in outcomes; values that are None or not finite are passed over."""
        ...
