"""Skipped if and only if running is expected to cost more, whatever the predictions and the terms."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pointsman.admit.asked import AskedAdmit
from pointsman.admit.random import RandomAdmit
from pointsman.admit.threshold import ThresholdAdmit
from pointsman.admit.value import ValueAdmit
from pointsman.testing.fakes import make_endpoints, make_request, make_table
from pointsman.types import Admission, Penalties, Request, Router, RunCost, Slo, ValueTerms

_costs = st.floats(0.0, 10.0)
_terms = st.builds(
    ValueTerms,
    st.builds(RunCost, _costs, st.floats(0, 1e4), st.floats(0, 1), st.floats(0, 0.01)),
    st.builds(Penalties, _costs, _costs),
    st.fixed_dictionaries({"gold": st.builds(Penalties, _costs, _costs)}),
)


@st.composite
def _cases(draw):
    """Requests, a table, and eligibility with at least one endpoint a row."""
    n_requests, n_endpoints = draw(st.integers(1, 8)), draw(st.integers(1, 5))
    endpoints = make_endpoints(n_endpoints)
    table = make_table(endpoints, n_requests, seed=draw(st.integers(0, 10**6)), frozen=True)
    mask = np.array(
        draw(st.lists(st.booleans(), min_size=table.quality.value.size, max_size=table.quality.value.size))
    )
    mask = mask.reshape(table.quality.value.shape)
    mask[np.arange(n_requests), draw(st.integers(0, n_endpoints - 1))] = True
    routers = st.none() | st.builds(
        Router, st.sampled_from(["threshold", "random", "floor"]), st.sampled_from([0.0, 0.5, 0.7, 1.0])
    )
    requests: list[Request] = [
        make_request(
            f"r{row}",
            slo=Slo(draw(st.sampled_from(["default", "gold"]))),
            router=draw(routers),
            allow_skip=draw(st.sampled_from([None, True, False])),
        )
        for row in range(n_requests)
    ]
    return requests, table, mask


@given(_cases(), _terms)
def test_it_skips_exactly_where_running_costs_more(case, terms):
    requests, table, eligible = case
    for row, admit in enumerate(ValueAdmit(terms).admit(requests, table, eligible, 0.0)):
        own = terms.by_class.get(requests[row].slo.service_class, terms.penalties)
        runs, qualities = [], []
        for e in np.flatnonzero(eligible[row]):
            quality = table.quality.value[row, e]
            run = terms.c_run.constant + terms.c_run.per_usd * table.price_usd.value[row, e]
            run += terms.c_run.per_s * table.time_s.value[row, e]
            run += terms.c_run.per_j * table.energy_j.value[row, e]
            runs.append(run + own.c_wrong * (1 - quality))
            qualities.append(quality)
        skip = own.c_miss * max(qualities)
        if abs(min(runs) - skip) > 1e-9:
            assert (admit.action is Admission.SKIP) == (min(runs) > skip)
        assert abs(admit.valuation.run_cost - min(runs)) < 1e-9
        assert eligible[row, admit.valuation.endpoint]


@given(_cases(), _terms, st.floats(0, 1))
def test_a_batch_equals_its_rows_alone(case, terms, threshold):
    requests, table, eligible = case
    for policy in (
        ValueAdmit(terms),
        ThresholdAdmit(threshold),
        RandomAdmit(threshold),
        AskedAdmit(ThresholdAdmit(threshold), ValueAdmit(terms)),
    ):
        batch = policy.admit(requests, table, eligible, 5.0)
        for row, request in enumerate(requests):
            [alone] = policy.admit([request], table.row(row), eligible[row : row + 1], 5.0)
            assert (alone.action, alone.reason, alone.valuation) == (
                batch[row].action,
                batch[row].reason,
                batch[row].valuation,
            )


@given(_cases(), _terms)
def test_a_caller_is_asked_before_the_configuration(case, terms):
    requests, table, eligible = case
    admits = AskedAdmit(RandomAdmit(0.0), ValueAdmit(terms)).admit(requests, table, eligible, 0.0)
    for request, admit in zip(requests, admits, strict=True):
        if request.allow_skip is False:
            assert admit.action is Admission.RUN
        elif request.router is not None and request.router.policy == "threshold":
            assert admit.valuation.threshold == request.router.threshold
        elif request.router is None and request.allow_skip is None:
            assert admit.action is Admission.SKIP
