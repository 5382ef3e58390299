"""What `pointsman simulate` simulates: the engines of a configuration's endpoints, and requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from pointsman.data.tables import column_names, read_columns
from pointsman.errors import BadRequest
from pointsman.sim.engine_request import EngineLimits
from pointsman.sim.served import Site
from pointsman.sim.step_times import shipped_times, times_named
from pointsman.sim.workload import Workload, gamma_arrivals
from pointsman.types import Endpoint

PREDICTED: Final = "predicted_tokens"
_NUMBERS: Final = ("input_tokens", "output_tokens")


def sites_of(
    endpoints: Sequence[Endpoint], engines: Sequence[str], slots: int | None, step_tokens: int, blocks: int
) -> list[Site]:
    """An engine for each endpoint: NAME=ENGINE, ENGINE for all others, or the shipped one of a model of our fleet.

    Its slots are the endpoint's `max_concurrent` unless `slots` says otherwise. Raises: BadRequest.
    """
    said = dict(word.rpartition("=")[::2] for word in engines)
    if unknown := [name for name in said if name and name not in {own.name for own in endpoints}]:
        raise BadRequest(
            f"--engine names {unknown[0]!r}, which is no endpoint",
            remedy=f"Name one of {', '.join(own.name for own in endpoints)}",
        )
    sites = []
    for own in endpoints:
        name = said.get(own.name) or said.get("") or f"{own.upstream_model or own.model}-cpu"
        if name not in shipped_times() and own.name not in said and "" not in said:
            raise BadRequest(
                f"how fast is the engine of {own.name}?",
                remedy=f"Say so by --engine {own.name}=ENGINE, with one of {', '.join(sorted(shipped_times()))}",
            )
        limits = EngineLimits(slots or own.max_concurrent, step_tokens, blocks)
        sites.append(Site(own, times_named(name), limits))
    return sites


@dataclass(frozen=True, slots=True)
class Source:
    """Where requests come from: exactly one of `trace`, `burst`, `rate_per_s` and loads.

    Attributes:
        trace: parquet with arrival_s, input_tokens, output_tokens and, where known, predicted_tokens.
        lengths: parquet with the last three, of which as many as are wanted are drawn; None draws them as
            `prompt_tokens` each and geometric answers of a mean of `mean_output_tokens`.
        burst: so many at once; rate_per_s: so many a second, `requests` in all, their gaps with a variation of `cv`.
        noise: where nothing predicts answers, their predictions are their lengths times a log-normal of so much.
    """

    trace: Path | None
    lengths: Path | None
    burst: int | None
    rate_per_s: float | None
    cv: float
    requests: int
    prompt_tokens: float
    mean_output_tokens: float
    noise: float

    def check(self, loads: Sequence[float | None]) -> None:
        """Raises: BadRequest unless it is said in one way when requests come."""
        ways = [self.burst is not None, self.rate_per_s is not None, bool(loads)]
        if sum(ways) > 1 or (self.trace is None and not any(ways)):
            raise BadRequest(
                "it must be said in one way when requests come",
                remedy="Give one of --trace, --burst, --rate, --load",
            )
        if self.trace is not None and (self.burst or self.rate_per_s or self.lengths):
            raise BadRequest(
                "a trace has its own times and lengths",
                remedy="Leave out --burst, --rate and --lengths; --load stretches it",
            )


class Requests:
    """Reads the source once and draws from it for each seed. Raises: BadRequest, DataError, MissingError."""

    def __init__(self, source: Source, sites: Sequence[Site]) -> None:
        self._source, self._sites = source, sites
        path = source.trace or source.lengths
        self._rows = None
        if path is not None:
            self._rows = _read(path, timed=source.trace is not None)
        self.predicted = self._rows is not None and bool(np.isfinite(self._rows.predicted_tokens).any())

    def draw(self, load: float | None, seed: int) -> Workload:
        """The requests of one run: equal seeds give equal ones."""
        source = self._source
        rng = np.random.default_rng((seed, 0x57))
        drawn = self._rows if self._rows is not None and source.trace is not None else self._lengths(rng)
        if not self.predicted:
            noisy = drawn.output_tokens * rng.lognormal(0.0, source.noise, len(drawn))
            drawn = Workload(drawn.arrival_s, drawn.prompt_tokens, drawn.output_tokens, noisy)
        if load is not None:
            drawn = self._at_load(drawn, load, rng)
        elif source.rate_per_s is not None:
            drawn = drawn.at(gamma_arrivals(len(drawn), source.rate_per_s, source.cv, rng))
        return drawn

    def _lengths(self, rng: np.random.Generator) -> Workload:
        source = self._source
        count = source.burst or source.requests
        times = np.zeros(count)
        if self._rows is not None:
            return self._rows.drawn(count, rng)
        output = rng.geometric(1 / source.mean_output_tokens, count).astype(np.float64)
        return Workload(times, np.full(count, source.prompt_tokens), output, np.full(count, np.nan))

    def _at_load(self, drawn: Workload, load: float, rng: np.random.Generator) -> Workload:
        """The requests at so much of what all engines can serve."""
        most_per_s = sum(
            1 / float(site.times.share_s(drawn.prompt_tokens, drawn.output_tokens, site.limits.slots).mean())
            for site in self._sites
        )
        if self._source.trace is None:
            return drawn.at(gamma_arrivals(len(drawn), load * most_per_s, self._source.cv, rng))
        lasts_s = float(drawn.arrival_s[-1] - drawn.arrival_s[0])
        if not lasts_s > 0:
            raise BadRequest("all requests of the trace come at once", remedy="Leave out --load")
        stretch = len(drawn) / lasts_s / (load * most_per_s)
        return drawn.at((drawn.arrival_s - drawn.arrival_s[0]) * stretch)


def _read(path: Path, *, timed: bool) -> Workload:
    known = PREDICTED in column_names(path)
    numbers = (*(("arrival_s",) if timed else ()), *_NUMBERS, *((PREDICTED,) if known else ()))
    rows = read_columns(path, texts=(), numbers=numbers, optional=(PREDICTED,))
    none = np.full(len(rows["output_tokens"]), np.nan)
    times = rows["arrival_s"] if timed else np.zeros(len(none))
    return Workload(times, rows["input_tokens"], rows["output_tokens"], rows.get(PREDICTED, none))
