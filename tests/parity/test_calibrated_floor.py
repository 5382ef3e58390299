"""The floor that `pointsman calibrate` reckons with chooses as the gateway's does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pointsman.assign.floor import FloorAssign
from pointsman.metrics.budget import Validation, choices
from pointsman.testing.fakes import make_endpoints, make_table
from pointsman.types import EndpointView, Estimate, Prompt, Request

R, E = 30, 4


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]), st.sampled_from(["usd", "joules"]))
def test_both_choose_alike(seed: int, floor: float, budget: str) -> None:
    rng = np.random.default_rng(seed)
    quality, usd, joules = (np.round(rng.random((R, E)), 1) for _ in range(3))  # rounded, so that many tie
    table = replace(
        make_table(make_endpoints(E), R),
        quality=Estimate.exact(quality),
        price_usd=Estimate.exact(usd),
        energy_j=Estimate.exact(joules),
    )
    requests = [Request(f"r{row}", Prompt("?")) for row in range(R)]
    view = [
        EndpointView(name, queued=0, running=0, max_concurrent=1, healthy=True) for name in table.endpoints
    ]
    assigned = FloorAssign(floor).assign(requests, table, np.ones((R, E), dtype=bool), view)
    spent = usd if budget == "usd" else joules
    data = Validation(quality, quality, spent, np.arange(R), (usd, joules))
    assert choices(data, "floor", floor).tolist() == assigned.endpoint_index.tolist()
