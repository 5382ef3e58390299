"""Whatever the policy, the predictions and the load: nothing that is chosen breaks a limit of its request."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pointsman.admit.always import AlwaysAdmit
from pointsman.admit.asked import AskedAdmit
from pointsman.admit.value import ValueAdmit
from pointsman.assign.asked import AskedAssign
from pointsman.assign.baselines import CheapestAssign, RandomAssign, SingleAssign
from pointsman.assign.constrained import ConstrainedAssign
from pointsman.assign.first import FirstAssign
from pointsman.assign.floor import FloorAssign
from pointsman.assign.stream_terms import ConstrainedTerms
from pointsman.assign.value import ValueAssign
from pointsman.assign.weighted import WeightedAssign
from pointsman.decide import Decider, refusal_code
from pointsman.testing import strategies as ours
from pointsman.testing.fakes import make_endpoints, make_table
from pointsman.types import (
    Admission,
    CostTable,
    EndpointView,
    Limits,
    Penalties,
    Request,
    Router,
    RunCost,
    ValueTerms,
    Weights,
)

ENDPOINTS = make_endpoints(4)
NAMES = tuple(endpoint.name for endpoint in ENDPOINTS)
TERMS = ValueTerms(RunCost(0.0, 10.0, 0.01, 0.0), Penalties(1.0, 1.0), {})
POLICIES = {
    "weighted": lambda: WeightedAssign(Weights(accuracy=1.0, energy=1.0, price=1.0)),
    "value": lambda: ValueAssign(TERMS),
    "cheapest": CheapestAssign,
    "random": lambda: RandomAssign(1),
    "single": lambda: SingleAssign("e2"),
    "floor": lambda: FloorAssign(0.9),
    "cascade": lambda: FirstAssign(NAMES, NAMES[1:]),
    "constrained": lambda: ConstrainedAssign(NAMES, ConstrainedTerms()),
    "asked": lambda: AskedAssign(CheapestAssign(), FirstAssign(NAMES, NAMES[::-1])),
}


def keeps(limits: Limits, table: CostTable, row: int, e: int) -> bool:
    """Written anew, one pair at a time."""
    quality, price_usd, energy_j = (
        float(column.value[row, e]) for column in (table.quality, table.price_usd, table.energy_j)
    )
    return not (
        (limits.min_quality is not None and not limits.min_quality <= quality < math.inf)
        or (limits.max_price_usd is not None and not -math.inf < price_usd <= limits.max_price_usd)
        or (limits.max_energy_j is not None and not -math.inf < energy_j <= limits.max_energy_j)
    )


@st.composite
def tables(draw: st.DrawFn, n_requests: int) -> CostTable:
    """Plausible predictions, some of them not known."""
    made = make_table(ENDPOINTS, n_requests, seed=draw(st.integers(0, 2**16)))
    holes = np.array(draw(st.lists(st.booleans(), min_size=4 * n_requests, max_size=4 * n_requests)))
    holes = holes.reshape(n_requests, 4) & draw(st.booleans())
    name = draw(st.sampled_from(["quality", "price_usd", "energy_j"]))
    estimate = getattr(made, name)
    unknown = draw(st.sampled_from([math.nan, math.inf]))
    return replace(made, **{name: replace(estimate, value=np.where(holes, unknown, estimate.value))})


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Request], CostTable, list[EndpointView]]:
    """Requests with limits and without, predictions, and endpoints of which some are full or down."""
    n_requests = draw(st.integers(1, 4))
    routers = st.sampled_from([None, Router("floor", 0.9), Router("cascade", 0.5), Router("threshold", 0.1)])
    requests = [
        replace(draw(ours.requests(f"r{row}", ("m1",))), router=draw(routers), allow_skip=draw(st.booleans()))
        for row in range(n_requests)
    ]
    view = [EndpointView(name, draw(st.integers(0, 3)), 0, 2, healthy=draw(st.booleans())) for name in NAMES]
    return requests, draw(tables(n_requests)), view


@given(cases())
def test_nothing_chosen_ever_breaks_a_limit_under_any_policy(case):
    requests, table, view = case
    admit = AskedAdmit(AlwaysAdmit(), ValueAdmit(TERMS))
    for name, make in POLICIES.items():
        decided = Decider(ENDPOINTS, admit, make(), max_queued=1).decide(requests, table, view, 0.0)
        for row, (request, made) in enumerate(zip(requests, decided, strict=True)):
            limits, decision = request.limits or Limits(), made.decision
            within = {NAMES[e] for e in range(4) if keeps(limits, table, row, e)}
            assert decision.endpoint is None or decision.endpoint in within, name
            assert set(NAMES) - within <= set(decision.excluded)
            for_limits = {
                n for n, why in decision.excluded.items() if " the request" in why and "names" not in why
            }
            assert for_limits.isdisjoint(within)
            if decision.action is Admission.REFUSE and refusal_code(decision) == "limits_unmet":
                assert for_limits
                assert set(decision.excluded) == set(NAMES)


@given(data=st.data())
def test_limits_that_all_keep_change_nothing(data):
    table = make_table(ENDPOINTS, 3, seed=data.draw(st.integers(0, 2**16)))
    requests = [data.draw(ours.requests(f"r{row}")) for row in range(3)]
    view = [EndpointView(each, 0, 0, 2, healthy=data.draw(st.booleans())) for each in NAMES]
    wide = Limits(0.0, 1e9, 1e9)
    decider = Decider(ENDPOINTS, AlwaysAdmit(), CheapestAssign(), max_queued=1)
    with_limits, without = (
        decider.decide([replace(request, limits=limits) for request in requests], table, view, 0.0)
        for limits in (wide, None)
    )
    for made, plain in zip(with_limits, without, strict=True):
        assert (made.column, made.admit) == (plain.column, plain.admit)
        assert made.decision.excluded == plain.decision.excluded
