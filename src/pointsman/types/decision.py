"""What was decided and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.types.estimate import CostTable, Floats
from pointsman.types.request import Weights
from pointsman.types.value import Valuation

UNASSIGNED: Final = -1
"""Endpoint index of a request that waits."""

SKIPPED: Final = -2
"""Endpoint index of a request that an assign policy skips, where skipping is a choice like the others."""

FLOOR: Final = "quality floor"
"""How the names of limits on quality begin."""

EMPTY: Final[Mapping[str, str]] = MappingProxyType({})


class Admission(StrEnum):
    """Whether: what becomes of a request before an endpoint is chosen."""

    RUN = "run"
    SKIP = "skip"
    DEFER = "defer"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Admit:
    """One admission.

    Attributes:
        reason: one sentence, with the numbers that decided.
        until_s: when a deferred request is looked at again, in the class `BATCH`.
        valuation: what was weighed; None where nothing was.
        policy: who said so, where it is not the stage's own policy.
    """

    action: Admission
    reason: str
    until_s: float | None = None
    valuation: Valuation | None = None
    policy: str = ""


@dataclass(frozen=True, slots=True)
class LimitState:
    """Where a limit of a stream stands.

    Attributes:
        name: `quality floor all`, `max_share_requests large`, `budget usd`.
        bound: what it asks of a request on the mean.
        mean: what requests use of it, on the running mean, as predicted, corrected by labels; NaN before any.
        slack: by how much the mean keeps it; below 0 where it does not.
        price: what a unit of it costs, in the objective's unit.
    """

    name: str
    bound: float
    mean: float
    slack: float
    price: float


@dataclass(frozen=True, slots=True, eq=False)
class LimitSnapshot:
    """Where M limits of a stream stood; as arrays, since it is taken at every decision and seldom read.

    Attributes:
        names: M of them.
        bound: shape (M,), floors negative, inf where there is no limit.
        mean, price: as of `LimitState`, shape (M,).
    """

    names: tuple[str, ...]
    bound: Floats
    mean: Floats
    price: Floats

    def states(self) -> tuple[LimitState, ...]:
        """Those that are limits."""
        each = zip(self.names, self.bound.tolist(), self.mean.tolist(), self.price.tolist(), strict=True)
        return tuple(
            LimitState(
                name, abs(bound), mean, mean + bound if name.startswith(FLOOR) else bound - mean, price
            )
            for name, bound, mean, price in each
            if bound < math.inf
        )


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """What a policy let the predictions of one request cost: score = rates . amounts + share + wait.

    Attributes:
        rates: of a unit of each of `OBJECTIVES`, shape (5,); of accuracy, of 1 - quality.
        share: the price of one more request on each endpoint, shape (E,).
        wait: what the wait for each costs, shape (E,).
        quality: as the policy saw it, corrected, shape (E,).
        limits: where they stood; None where the policy has none.
    """

    rates: Floats
    share: Floats
    wait: Floats
    quality: Floats
    limits: LimitSnapshot | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where: an endpoint for each of R requests.

    Attributes:
        endpoint_index: shape (R,), `UNASSIGNED` where the request waits, `SKIPPED` where it is skipped.
        score: shape (R, E), lower is better; inf where the pair cannot run.
        reason: one sentence a request, shown in headers and the log.
        weights: those used for each request, or empty where the policy uses none.
        policy: who chose for each request, or empty where it was the stage's own policy.
        rates: what made up each request's scores, or empty where the policy has none.
    """

    endpoint_index: NDArray[np.int64]
    score: Floats
    reason: tuple[str, ...]
    weights: tuple[Weights | None, ...] = ()
    policy: tuple[str, ...] = ()
    rates: tuple[Rates | None, ...] = ()


class Disposition(StrEnum):
    """How a request ended, or a run of it on an endpoint; only runs are `ESCALATED` or `SAMPLED`."""

    ANSWERED = "answered"
    ESCALATED = "escalated"  # it answered, another endpoint was asked all the same
    SAMPLED = "sampled"  # a further answer, to compare the one that is judged with
    SKIPPED = "skipped"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What really happened when a request ran; None where it was not measured.

    Attributes:
        input_tokens, output_tokens: from the server's `usage`.
        cached_tokens: prompt tokens the server did not have to compute.
        ttft_s: time to first token, from sending; e2e_s: to the last byte.
        tpot_s: mean time per output token after the first.
        energy_j: energy of this request, by the meter named in `meter`.
        energy_modelled: True if it follows from CPU time and stated watts, not from a meter.
        quality: in [0, 1], when a label is known.
        running: other requests that ran on the endpoint when this one was sent.
    """

    request_id: str
    endpoint: str
    disposition: Disposition
    reason: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None
    queue_s: float | None = None
    energy_j: float | None = None
    energy_modelled: bool | None = None
    meter: str | None = None
    price_usd: float | None = None
    quality: float | None = None
    finish_reason: str | None = None
    running: int | None = None


def with_all_runs(outcome: Outcome, unused: Sequence[Outcome]) -> Outcome:
    """The outcome of a request with time, energy and price of all its runs; None where one's is not known."""
    if not unused:
        return outcome
    runs = (outcome, *unused)
    return replace(
        outcome,
        e2e_s=_sum([run.e2e_s for run in runs]),
        energy_j=_sum([run.energy_j for run in runs]),
        energy_modelled=any(run.energy_modelled for run in runs),
        price_usd=_sum([run.price_usd for run in runs]),
    )


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision, kept as references to arrays: enough to explain it later, cheap to make.

    Attributes:
        policy: who decided: the assign policy, or the admit policy where it does not run.
        table, index: the predictions it was made from are row `index` of `table`.
        excluded: endpoint name -> why a hard filter took it out.
        score: shape (E,), lower is better; None where no policy scored.
        endpoint: the chosen one, or None.
        weights: those the policy used, or None where it uses none.
        valuation: what the admission weighed; None where it weighed nothing.
        service_class: the one it is served in.
        rates: what made up the score, or None where the policy has none.
    """

    request_id: str
    at_s: float
    action: Admission
    reason: str
    policy: str
    table: CostTable
    index: int
    excluded: Mapping[str, str]
    score: Floats | None
    endpoint: str | None
    weights: Weights | None = None
    valuation: Valuation | None = None
    service_class: str = "default"
    rates: Rates | None = None

    @property
    def predictions(self) -> CostTable:
        """The predictions of this request, R = 1."""
        return self.table.row(self.index)
