"""What every policy and predictor must hold to, as checks that a plugin's tests can call.

    def test_my_policy() -> None:
        check_assign_policy(lambda: MyPolicy(seed=1))

A check takes a function that makes the thing, so that it can compare two of a kind. It raises
`ContractBroken`, an AssertionError, with what was expected and what came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Final

import numpy as np

from pointsman.admit.base import AdmitPolicy
from pointsman.assign.base import AssignPolicy
from pointsman.order.base import OrderPolicy
from pointsman.predict.base import Predictor
from pointsman.testing.fakes import ESTIMATES, arrays_of, make_endpoints, make_request, make_table
from pointsman.types import (
    EMPTY,
    SKIPPED,
    UNASSIGNED,
    Admission,
    Admit,
    Assignment,
    Bools,
    CostTable,
    Decision,
    Endpoint,
    EndpointView,
    Estimate,
    Floats,
    Request,
    Weights,
)

NOW_S: Final = 1_000.0
_TEXTS: Final = (
    "What is 17 times 23?",
    "",
    "Explain reinforcement learning to a child, then to an engineer. " * 40,
    "def parse(line: str) -> dict:\n    ...  # finish this",
    "\N{GREEK SMALL LETTER LAMDA} \N{CJK UNIFIED IDEOGRAPH-4E16} \x00 \u200b",
)


class ContractBroken(AssertionError):
    """A policy or predictor does not do what its Protocol says."""


def check_predictor(
    make: Callable[[], Predictor], endpoints: Sequence[Endpoint], requests: Sequence[Request] = ()
) -> None:
    """Pure, seeded, right shape, finite, intervals in order, and a batch equals its rows alone.

    Args:
        make: gives a predictor, the same each time.
        endpoints: those it predicts for, in order.
        requests: asked about; several odd ones if empty.
    """
    requests = requests or sample_requests()
    predictor = make()
    _check_name(predictor.name)
    idle, busy = (0,) * len(endpoints), tuple(range(1, len(endpoints) + 1))
    for running in (idle, busy):
        table = predictor.predict(requests, running)
        _check_table(table, endpoints, len(requests))
        _same_table("asked again", table, predictor.predict(requests, running))
        _same_table("made anew with the same arguments", table, make().predict(requests, running))
        for row, request in enumerate(requests):
            alone = predictor.predict([request], running)
            _same_table(f"asked for {request.id} alone", table.row(row), alone, rtol=1e-9)


def check_assign_policy(
    make: Callable[[], AssignPolicy], *, n_endpoints: int = 4, batch_equals_single: bool = True, seed: int = 0
) -> None:
    """Chooses only eligible endpoints; pure, seeded, right shapes; a batch equals its rows alone.

    Args:
        make: gives a policy, the same each time.
        n_endpoints: how many there are to choose from.
        batch_equals_single: False for a policy that weighs the requests of a batch against each other.
        seed: for the tables, the views and who is eligible.
    """
    policy = make()
    _check_name(policy.name)
    endpoints = make_endpoints(n_endpoints)
    for case, n_requests in enumerate((1, 2, 17)):
        rng = np.random.default_rng((seed, case))
        requests = sample_requests(n_requests)
        table = make_table(endpoints, n_requests, seed=seed + case, frozen=True)
        eligible = _mask(rng, n_requests, n_endpoints)
        view = _view(rng, endpoints)
        chosen = policy.assign(requests, table, eligible, view)
        _check_assignment(chosen, eligible)
        _same_assignment("asked again", chosen, policy.assign(requests, table, eligible, view))
        _same_assignment("made anew", chosen, make().assign(requests, table, eligible, view))
        if batch_equals_single:
            for row, request in enumerate(requests):
                alone = policy.assign([request], table.row(row), eligible[row : row + 1], view)
                _same_assignment(f"row {row} alone", _assignment_row(chosen, row), alone)


def check_admit_policy(
    make: Callable[[], AdmitPolicy], *, batch_equals_single: bool = True, seed: int = 0
) -> None:
    """One admission with a reason for each request; a deferral wakes later; pure and seeded.

    What was weighed is finite, and judged by an endpoint that can run the request.
    """
    policy = make()
    _check_name(policy.name)
    endpoints = make_endpoints(4)
    for case, n_requests in enumerate((1, 2, 17)):
        rng = np.random.default_rng((seed, case))
        requests = sample_requests(n_requests)
        table = make_table(endpoints, n_requests, seed=seed + case, frozen=True)
        eligible = _mask(rng, n_requests, len(endpoints))
        admits = list(policy.admit(requests, table, eligible, NOW_S))
        _equal("admissions", len(admits), n_requests)
        for admit, runs in zip(admits, eligible, strict=True):
            _check_admit(admit, runs)
        _equal("asked again", list(policy.admit(requests, table, eligible, NOW_S)), admits)
        _equal("made anew", list(make().admit(requests, table, eligible, NOW_S)), admits)
        if batch_equals_single:
            for row, request in enumerate(requests):
                alone = policy.admit([request], table.row(row), eligible[row : row + 1], NOW_S)
                _equal(f"row {row} alone", list(alone), admits[row : row + 1])


def check_order_policy(make: Callable[[], OrderPolicy], *, seed: int = 0) -> None:
    """A finite key, the same each time, and a bound in words (its property test is the policy's own)."""
    policy = make()
    _check_name(policy.name)
    if not policy.bound.strip():
        raise ContractBroken(f"order policy {policy.name} states no bound on overtaking (invariant 4)")
    endpoints = make_endpoints(2)
    for row, request in enumerate(sample_requests(17)):
        table = make_table(endpoints, seed=seed + row, frozen=True)
        decision = Decision(
            request.id, NOW_S, Admission.RUN, "a test", "test", table, 0, EMPTY, None, endpoints[0].name
        )
        arrived_s = NOW_S - row
        key = policy.key(request, decision, arrived_s)
        if not isfinite(key):
            raise ContractBroken(
                f"order policy {policy.name} gave the key {key!r}; a finite number is needed"
            )
        _equal("asked again", policy.key(request, decision, arrived_s), key)
        _equal("made anew", make().key(request, decision, arrived_s), key)


def sample_requests(n_requests: int = 7) -> list[Request]:
    """Requests of many kinds: empty and long prompts, limits, weights of their own."""
    weights = (None, Weights(accuracy=1.0), Weights(energy=2.0, time=1.0), Weights(1.0, 1.0, 1.0, 1.0, 1.0))
    return [
        make_request(
            f"r{n}",
            _TEXTS[n % len(_TEXTS)],
            max_tokens=(None, 1, 256)[n % 3],
            weights=weights[n % len(weights)],
        )
        for n in range(n_requests)
    ]


def _check_name(name: str) -> None:
    if not name or not name.isprintable() or " " in name:
        raise ContractBroken(f"a name is one word for configs, metrics and logs, not {name!r}")


def _check_table(table: CostTable, endpoints: Sequence[Endpoint], n_requests: int) -> None:
    _equal("endpoints", table.endpoints, tuple(endpoint.name for endpoint in endpoints))
    for array in arrays_of(table):
        _equal("shape of an array", array.shape, (n_requests, len(endpoints)))
    _within("input_tokens", table.input_tokens, at_least=0.0)
    for name in ESTIMATES:
        estimate: Estimate = getattr(table, name)
        value, low, high = estimate.value, estimate.low, estimate.high
        _within(name, value, at_least=0.0, at_most=1.0 if name == "quality" else np.inf)
        if name in {"time_s", "energy_j"} and (value <= 0).any():
            raise ContractBroken(f"{name} must be above 0; the least is {value.min()}")
        if (np.isnan(low) != np.isnan(high)).any():
            raise ContractBroken(f"{name} has intervals with one end only")
        given = ~np.isnan(low)
        if ((low > value) | (value > high))[given].any():
            raise ContractBroken(f"{name} lies outside its interval")


def _check_assignment(assignment: Assignment, eligible: Bools) -> None:
    n_requests, n_endpoints = eligible.shape
    chosen = assignment.endpoint_index
    _equal("shape of endpoint_index", chosen.shape, (n_requests,))
    _equal("kind of endpoint_index", chosen.dtype.kind, "i")
    _equal("shape of score", assignment.score.shape, eligible.shape)
    _equal("reasons", len(assignment.reason), n_requests)
    if assignment.weights:
        _equal("weights", len(assignment.weights), n_requests)
    if np.isnan(assignment.score).any():
        raise ContractBroken("a score is NaN; a pair that can't run has the score inf")
    for row, (column, reason) in enumerate(zip(chosen.tolist(), assignment.reason, strict=True)):
        if column not in (UNASSIGNED, SKIPPED) and not (0 <= column < n_endpoints and eligible[row, column]):
            raise ContractBroken(
                f"row {row} got column {column}; eligible are {np.flatnonzero(eligible[row])}"
            )
        if not reason.strip():
            raise ContractBroken(f"row {row} has no reason")
    if np.isfinite(assignment.score[~eligible]).any():
        raise ContractBroken("a pair that can't run has a finite score; it must be inf")


def _check_admit(admit: Admit, eligible: Bools) -> None:
    if not admit.reason.strip() or not admit.reason.isprintable():
        raise ContractBroken(f"{admit} has no reason of one line")
    _check_valuation(admit, eligible)
    if admit.action is Admission.DEFER:
        if admit.until_s is not None and not NOW_S < admit.until_s < np.inf:
            raise ContractBroken(
                f"{admit} wakes at {admit.until_s}, not after the time it was asked, {NOW_S}"
            )
    elif admit.until_s is not None:
        raise ContractBroken(f"{admit} has a wake time without being deferred")


def _check_valuation(admit: Admit, eligible: Bools) -> None:
    weighed = admit.valuation
    if weighed is None:
        return
    if not (0 <= weighed.endpoint < len(eligible) and eligible[weighed.endpoint]):
        raise ContractBroken(f"{admit} was judged by an endpoint that can't run it")
    given = (weighed.quality, weighed.run_cost, weighed.skip_cost, weighed.threshold)
    if not all(number is None or isfinite(number) for number in given):
        raise ContractBroken(f"{admit} holds a number that is not finite")


def _within(name: str, values: Floats, *, at_least: float, at_most: float = np.inf) -> None:
    if not np.isfinite(values).all() or (values < at_least).any() or (values > at_most).any():
        raise ContractBroken(f"{name} must be finite and in [{at_least}, {at_most}]; got {values}")


def _equal(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise ContractBroken(f"{what}: {found!r}, expected {expected!r}")


def _same_table(what: str, one: CostTable, other: CostTable, *, rtol: float = 0.0) -> None:
    _equal(f"{what}: endpoints", other.endpoints, one.endpoints)
    for first, second in zip(arrays_of(one), arrays_of(other), strict=True):
        if first.shape != second.shape or not np.allclose(first, second, rtol=rtol, atol=0.0, equal_nan=True):
            raise ContractBroken(f"{what}, it predicts otherwise: {second}, before {first}")


def _same_assignment(what: str, one: Assignment, other: Assignment) -> None:
    _equal(f"{what}: endpoint_index", other.endpoint_index.tolist(), one.endpoint_index.tolist())
    _equal(f"{what}: reason", other.reason, one.reason)
    _equal(f"{what}: weights", other.weights, one.weights)
    if not np.allclose(one.score, other.score, rtol=1e-12, atol=1e-12):
        raise ContractBroken(f"{what}, it scores otherwise: {other.score}, before {one.score}")


def _assignment_row(assignment: Assignment, row: int) -> Assignment:
    return Assignment(
        assignment.endpoint_index[row : row + 1],
        assignment.score[row : row + 1],
        assignment.reason[row : row + 1],
        assignment.weights[row : row + 1],
    )


def _mask(rng: np.random.Generator, n_requests: int, n_endpoints: int) -> Bools:
    """Random eligibility with at least one endpoint a request; can't be written to."""
    mask = rng.random((n_requests, n_endpoints)) < 0.6  # noqa: PLR2004 - some, not all
    mask[np.arange(n_requests), rng.integers(n_endpoints, size=n_requests)] = True
    mask.flags.writeable = False
    return mask


def _view(rng: np.random.Generator, endpoints: Sequence[Endpoint]) -> tuple[EndpointView, ...]:
    return tuple(
        EndpointView(e.name, int(rng.integers(9)), int(rng.integers(3)), e.max_concurrent, healthy=True)
        for e in endpoints
    )
