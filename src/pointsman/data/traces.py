"""Recorded arrivals: when requests came, and how long prompts and answers were. No texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import numpy as np

from pointsman.data.tables import read_columns
from pointsman.errors import BadRequest
from pointsman.types import Floats, Prompt, Request

BYTES_PER_TOKEN: Final = 4
_COLUMNS: Final = ("arrival_s", "input_tokens", "output_tokens")


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """N requests in the order of their arrival; arrays of shape (N,).

    Attributes:
        arrival_s: seconds from the first.
        input_tokens, output_tokens: as the source counted them.
    """

    arrival_s: Floats
    input_tokens: Floats
    output_tokens: Floats

    @classmethod
    def read(cls, path: Path) -> Self:
        """A table of traces (docs/formats.md). Raises: DataError, MissingError."""
        columns = read_columns(path, texts=(), numbers=_COLUMNS)
        return cls(*(columns[name] for name in _COLUMNS))

    def window(self, count: int, rng: np.random.Generator) -> Self:
        """So many requests in a row from a place drawn at random; all where there are no more."""
        first = int(rng.integers(0, max(1, len(self.arrival_s) - count + 1)))
        at = slice(first, first + count)
        arrival_s = self.arrival_s[at]
        return type(self)(arrival_s - arrival_s[0], self.input_tokens[at], self.output_tokens[at])

    def at_rate(self, rate_per_s: float) -> Self:
        """The same requests in the same pattern, so many a second on the mean.

        Raises: BadRequest where all came at once, so that there is no pattern to stretch.
        """
        lasts_s = float(self.arrival_s[-1])
        if not lasts_s > 0:
            raise BadRequest(
                f"all {len(self.arrival_s)} requests of the trace come at once",
                remedy="Take a longer window",
            )
        return replace(self, arrival_s=self.arrival_s * (len(self.arrival_s) / lasts_s / rate_per_s))

    def arrivals(self) -> Iterator[tuple[float, Request]]:
        """(time, request): its id is its row, its prompt has no text but its length."""
        for row, (at_s, tokens) in enumerate(
            zip(self.arrival_s.tolist(), self.input_tokens.tolist(), strict=True)
        ):
            yield at_s, Request(str(row), Prompt("", total_bytes=round(BYTES_PER_TOKEN * tokens)))
