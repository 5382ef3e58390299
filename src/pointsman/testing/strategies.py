"""Hypothesis strategies for the types; needs the `test` extra, so import it only in tests."""

from __future__ import annotations

from hypothesis import strategies as st

from pointsman.testing.fakes import make_request, make_table
from pointsman.types import (
    AUTO,
    Api,
    Capabilities,
    CostTable,
    Endpoint,
    Limits,
    Modality,
    Needs,
    Request,
    Weights,
)

_FORMATS = ("text", "json_object", "json_schema")
_TAGS = ("eu", "on-premises")


def needs() -> st.SearchStrategy[Needs]:
    """What a request may need; mostly nothing special."""
    special = st.builds(
        Needs,
        modalities=st.frozensets(st.sampled_from(Modality), min_size=1),
        tools=st.booleans(),
        response_format=st.sampled_from(_FORMATS),
        logprobs=st.booleans(),
        n=st.integers(1, 4),
        privacy=st.frozensets(st.sampled_from(_TAGS)),
    )
    return st.one_of(st.just(Needs()), special)


def capabilities() -> st.SearchStrategy[Capabilities]:
    """What an endpoint may declare."""
    return st.builds(
        Capabilities,
        context_tokens=st.none() | st.integers(16, 4096),
        max_output_tokens=st.none() | st.integers(1, 512),
        modalities=st.frozensets(st.sampled_from(Modality), min_size=1),
        tools=st.booleans(),
        response_formats=st.frozensets(st.sampled_from(_FORMATS), min_size=1),
        logprobs=st.booleans(),
        max_n=st.integers(1, 4),
        privacy=st.frozensets(st.sampled_from(_TAGS)),
        apis=st.frozensets(st.sampled_from(Api), min_size=1),
    )


def weights() -> st.SearchStrategy[Weights]:
    """Weights that can be normalised."""
    one = st.floats(0.0, 1e6)
    return st.builds(Weights, one, one, one, one, one).filter(lambda w: sum(w.as_tuple()) > 0.0)


def limits() -> st.SearchStrategy[Limits]:
    """Limits that some of the pairs of `tables` keep and others break."""
    return st.builds(
        Limits,
        min_quality=st.none() | st.floats(0.0, 1.0),
        max_price_usd=st.none() | st.floats(0.0, 0.01),
        max_energy_j=st.none() | st.floats(0.0, 200.0),
    )


@st.composite
def requests(draw: st.DrawFn, request_id: str = "r0", models: tuple[str, ...] = ()) -> Request:
    """A request with any needs, for any of `models` or for the policy to choose."""
    return make_request(
        request_id,
        draw(st.text(max_size=40)),
        max_tokens=draw(st.none() | st.integers(1, 600)),
        model=draw(st.sampled_from((AUTO, AUTO, *models))),
        api=draw(st.sampled_from(Api)),
        needs=draw(needs()),
        weights=draw(st.none() | weights()),
        limits=draw(st.none() | limits()),
    )


@st.composite
def endpoints(draw: st.DrawFn, max_endpoints: int = 4) -> tuple[Endpoint, ...]:
    """Some endpoints with capacities from 1 to 3 and any capabilities."""
    return tuple(
        Endpoint(
            f"e{e}", f"m{e % 3}", max_concurrent=draw(st.integers(1, 3)), capabilities=draw(capabilities())
        )
        for e in range(draw(st.integers(1, max_endpoints)))
    )


def tables(over: tuple[Endpoint, ...], n_requests: int = 1) -> st.SearchStrategy[CostTable]:
    """Plausible predictions for `n_requests`."""
    return st.integers(0, 2**16).map(lambda seed: make_table(over, n_requests, seed=seed))
