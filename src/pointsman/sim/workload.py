"""Requests of a simulation: when they come, how long they are, and what is predicted of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from pointsman.errors import BadRequest
from pointsman.sim.engine_request import Lengths
from pointsman.sim.step_times import StepTimes
from pointsman.types import CostTable, Endpoint, Estimate, Floats, Prompt, Request

MOST_TOKENS: Final = 10_000_000
"""Of a prompt or an answer: more is taken for a slip."""

BYTES_PER_TOKEN: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """N requests in the order of their arrival; arrays of shape (N,).

    Attributes:
        arrival_s: not falling; prompt_tokens, output_tokens: what they really take.
        predicted_tokens: of the answers, in any unit that grows with them; NaN where nothing is predicted.

    Raises: BadRequest naming the row and the value that can't be used.
    """

    arrival_s: Floats
    prompt_tokens: Floats
    output_tokens: Floats
    predicted_tokens: Floats

    def __post_init__(self) -> None:
        if not len(self.arrival_s):
            raise BadRequest("there are no requests to simulate", remedy="Give a trace with rows")
        _check("arrival_s", self.arrival_s, np.inf)
        for name in ("prompt_tokens", "output_tokens"):
            _check(name, getattr(self, name), MOST_TOKENS)
        falls = np.flatnonzero(np.diff(self.arrival_s) < 0)
        if falls.size:
            row = int(falls[0]) + 1
            raise BadRequest(
                f"row {row} comes at {self.arrival_s[row]:g} s, after one at {self.arrival_s[row - 1]:g} s",
                remedy="Sort the trace by arrival_s",
            )

    def __len__(self) -> int:
        return len(self.arrival_s)

    def at(self, arrival_s: Floats) -> Self:
        """The same requests at other times."""
        return replace(self, arrival_s=arrival_s)

    def drawn(self, count: int, rng: np.random.Generator) -> Self:
        """So many of the requests at random, without repeats while there are enough, all at once."""
        at = rng.choice(len(self), count, replace=count > len(self))
        columns = (self.prompt_tokens[at], self.output_tokens[at], self.predicted_tokens[at])
        return type(self)(np.zeros(count), *columns)

    def foreseen(self) -> Self:
        """The same, predicted as they really are: the oracle."""
        return replace(self, predicted_tokens=self.output_tokens)

    def lengths(self, request: Request) -> Lengths:
        """Of a request of `arrivals`."""
        row = int(request.id)
        predicted = float(self.predicted_tokens[row])
        return Lengths(
            int(self.prompt_tokens[row]),
            int(self.output_tokens[row]),
            None if predicted != predicted else predicted,  # noqa: PLR0124 - NaN
        )

    def arrivals(self) -> Iterator[tuple[float, Request]]:
        """(time, request): its id is its row, its prompt has no text but its length."""
        for row, (at_s, tokens) in enumerate(
            zip(self.arrival_s.tolist(), self.prompt_tokens.tolist(), strict=True)
        ):
            yield at_s, Request(str(row), Prompt("", total_bytes=round(BYTES_PER_TOKEN * tokens)))


def gamma_arrivals(count: int, rate_per_s: float, cv: float, rng: np.random.Generator) -> Floats:
    """Times of `count` arrivals from 0, with gaps of a coefficient of variation `cv`; 1 is Poisson. Shape (N,).

    Raises: BadRequest unless rate and cv are above 0 and finite.
    """
    if not (0 < rate_per_s < np.inf and 0 < cv < np.inf):
        raise BadRequest(
            f"arrivals can't come at {rate_per_s:g} a second with a variation of {cv:g}",
            remedy="Give a rate and a variation above 0",
        )
    shape = 1 / cv**2
    gaps = rng.gamma(shape, 1 / (rate_per_s * shape), count)
    gaps[0] = 0.0
    return np.cumsum(gaps)


class WorkloadPredictor:
    """Predicts what a workload says, through the engines' times: one row a request, made before.

    A request of which it says nothing is predicted as the mean of the others, or of all answers.

    Args:
        times: of each endpoint's engine, in column order.
    """

    name = "workload"

    def __init__(self, workload: Workload, endpoints: Sequence[Endpoint], times: Sequence[StepTimes]) -> None:
        self._names = tuple(endpoint.name for endpoint in endpoints)
        said = workload.predicted_tokens
        given = np.isfinite(said)
        mean = (said[given] if given.any() else workload.output_tokens).mean()
        known = np.where(given, said, mean)
        time_s = np.stack([own.alone_s(workload.prompt_tokens, known) for own in times], axis=1)
        output = np.repeat(known[:, None], len(times), axis=1)
        tokens = np.repeat(workload.prompt_tokens[:, None], len(times), axis=1)
        usd = np.array([(own.usd_per_input_token, own.usd_per_output_token) for own in endpoints])
        price = tokens * usd[:, 0] + output * usd[:, 1]
        zeros = np.zeros_like(tokens)
        plain = Estimate.without_interval
        self._table = CostTable(
            self._names,
            tokens,
            plain(zeros + 0.5),
            plain(output),
            plain(time_s),
            plain(zeros),
            plain(price),
            plain(zeros),
        )

    def prior_row(self) -> CostTable:
        """What stands in where it is bypassed: the first row, marked."""
        return replace(self._table.row(0), bypassed=True)

    def predict(self, requests: Sequence[Request], running: Sequence[int]) -> CostTable:
        """For R requests and E endpoints; see `Predictor`."""
        del running
        if len(requests) == 1:
            return self._table.row(int(requests[0].id))
        return self._table.take(np.array([int(request.id) for request in requests], dtype=np.int64))


def _check(name: str, values: Floats, most: float) -> None:
    bad = np.flatnonzero(~((values >= 0) & (values <= most) & np.isfinite(values)))
    if bad.size:
        raise BadRequest(
            f"row {int(bad[0])}: {name} is {values[bad[0]]:g}",
            remedy=f"Give a number from 0 to {most:g}"
            if np.isfinite(most)
            else "Give a number of at least 0",
        )
