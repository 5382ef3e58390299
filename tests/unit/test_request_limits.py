"""The limits of one request: what breaks them, in words with both numbers, and what can be had instead."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.admit.always import AlwaysAdmit
from pointsman.assign.baselines import CheapestAssign
from pointsman.assign.eligibility import Eligibility
from pointsman.assign.request_limits import breaches, runs_within, unmet
from pointsman.decide import Decider, refusal_code
from pointsman.errors import BadRequest
from pointsman.testing.fakes import make_endpoints, make_request, make_table
from pointsman.types import (
    Admission,
    CostTable,
    Disposition,
    EndpointView,
    Estimate,
    Limits,
    Needs,
    Outcome,
)

ENDPOINTS = make_endpoints(3)
NAN, INF = math.nan, math.inf


def table(quality=(0.61, 0.7, 0.83), price_usd=(0.004, 0.01, 0.021), energy_j=(5.0, 10.0, 20.0)) -> CostTable:
    def column(values) -> Estimate:
        return Estimate.without_interval(np.array([values], dtype=float))

    made = make_table(ENDPOINTS)
    return replace(
        made, quality=column(quality), price_usd=column(price_usd), energy_j=column(energy_j), bypassed=False
    )


def view(healthy=(True, True, True), queued=(0, 0, 0)) -> list[EndpointView]:
    each = zip(ENDPOINTS, queued, healthy, strict=True)
    return [EndpointView(e.name, q, 0, e.max_concurrent, healthy=up) for e, q, up in each]


def decide(limits: Limits, predicted: CostTable | None = None, *, seen=None, max_queued=5, **fields):
    decider = Decider(ENDPOINTS, AlwaysAdmit(), CheapestAssign(), max_queued=max_queued)
    request = make_request(limits=limits, **fields)
    [decided] = decider.decide([request], predicted or table(), seen or view(), 0.0)
    return decided.decision


@pytest.mark.parametrize(
    ("limits", "chosen", "excluded"),
    [
        (Limits(), "e0", {}),
        (
            Limits(min_quality=0.65),
            "e1",
            {"e0": "its predicted quality 0.61 is below the request's 0.65"},
        ),
        (
            Limits(max_price_usd=0.01, min_quality=0.61),
            "e0",
            {"e2": "its predicted price $0.021 is above the request's $0.01"},
        ),
        (
            Limits(max_energy_j=7.5),
            "e0",
            {
                "e1": "its predicted energy 10 J is above the request's 7.5 J",
                "e2": "its predicted energy 20 J is above the request's 7.5 J",
            },
        ),
        (
            Limits(min_quality=0.7, max_price_usd=0.01),
            "e1",
            {
                "e0": "its predicted quality 0.61 is below the request's 0.7",
                "e2": "its predicted price $0.021 is above the request's $0.01",
            },
        ),
    ],
)
def test_what_breaks_a_limit_is_left_out_with_both_numbers_and_a_limit_is_kept_at_its_value(
    limits, chosen, excluded
):
    decision = decide(limits)
    assert (decision.endpoint, dict(decision.excluded)) == (chosen, excluded)


@pytest.mark.parametrize("unknown", [NAN, INF, -INF])
@pytest.mark.parametrize("name", ["min_quality", "max_price_usd", "max_energy_j"])
def test_what_is_not_known_keeps_no_limit_and_only_a_limit_asks_for_it(name, unknown):
    column = name.split("_")[1]
    field = {"quality": "quality", "price": "price_usd", "energy": "energy_j"}[column]
    predicted = table(**{field: (unknown,) * 3})
    assert decide(Limits(), predicted).action is Admission.RUN
    refused = decide(Limits(**{name: 0.0 if column == "quality" else 1e9}), predicted)
    assert set(refused.excluded.values()) == {
        f"its predicted {column} is not known, and the request limits it"
    }
    assert refusal_code(refused) == "limits_unmet"
    assert refused.reason.endswith(f"no predicted {column} is known")


def test_digits_are_added_until_they_show_which_side_a_number_is_on():
    limits = Limits(min_quality=0.7, max_price_usd=0.01)
    why = breaches(limits, table(quality=(0.6999999, 0.7, 0.7), price_usd=(0.0, 0.010000001, 0.011)), 0)
    assert why == [
        "its predicted quality 0.6999999 is below the request's 0.7",
        "its predicted price $0.010000001 is above the request's $0.01",
        "its predicted price $0.011 is above the request's $0.01",
    ]


# Nothing is left


def test_one_limit_that_nobody_keeps_says_the_best_there_is():
    refused = decide(Limits(min_quality=0.9))
    assert refused.reason == (
        "no endpoint can serve this request within its limits, quality at least 0.9: "
        "the best predicted quality is 0.83, by e2"
    )
    assert (refused.action, refused.policy, refused.endpoint) == (Admission.REFUSE, "limits", None)
    assert refusal_code(refused) == "limits_unmet"
    assert "the cheapest is $0.004, by e0" in decide(Limits(max_price_usd=0.0)).reason
    assert "the least predicted energy is 5 J, by e0" in decide(Limits(max_energy_j=1.0)).reason


def test_of_several_each_says_what_can_be_had_within_the_others():
    said = decide(Limits(min_quality=0.8, max_price_usd=0.01)).reason
    assert said == (
        "no endpoint can serve this request within its limits, quality at least 0.8 and price at most $0.01: "
        "within the other limits the best predicted quality is 0.7, by e1; "
        "within the other limits the cheapest is $0.021, by e2"
    )
    none_at_all = decide(Limits(min_quality=0.9, max_price_usd=0.001)).reason
    assert none_at_all.endswith("the best predicted quality is 0.83, by e2; the cheapest is $0.004, by e0")
    assert "within the other limits" not in none_at_all


def test_endpoints_that_are_out_for_other_reasons_are_named_and_count_for_nothing():
    said = decide(Limits(min_quality=0.8), model="m1").reason
    assert said == (
        "no endpoint can serve this request within its limits, quality at least 0.8: "
        "the best predicted quality is 0.7, by e1; "
        "e0: the request names model m1; e2: the request names model m1"
    )
    plain = decide(Limits(min_quality=0.9), needs=Needs(modalities=frozenset({"image"})))
    assert (plain.policy, refusal_code(plain)) == ("eligibility", "no_eligible_endpoint")


@pytest.mark.parametrize(
    ("seen", "why", "code"),
    [
        (view(healthy=(True, True, False)), "it is down", "endpoint_down"),
        (view(queued=(0, 0, 9)), "its queue is full (limit 5)", "queue_full"),
    ],
)
def test_a_limit_is_named_before_what_passes_and_one_that_would_keep_it_may_come_back(seen, why, code):
    refused = decide(Limits(min_quality=0.8), seen=seen)
    assert refused.excluded["e2"] == why
    assert refusal_code(refused) == code
    assert f"e2: {why}" in refused.reason
    hopeless = decide(Limits(min_quality=0.9), seen=seen)
    assert refusal_code(hopeless) == "limits_unmet"
    assert hopeless.excluded["e2"] == "its predicted quality 0.83 is below the request's 0.9"


def test_priors_are_told():
    refused = decide(Limits(min_quality=0.9), replace(table(), bypassed=True))
    assert refused.reason.endswith("the predictions failed or were late, so that these are priors")


@given(st.floats(1e-9, 1.0), st.floats(1e-9, 1e4), st.floats(1e-3, 1e6))
def test_what_a_refusal_offers_is_kept_when_asked_for(quality, price_usd, energy_j):
    predicted = table((quality,) * 3, (price_usd,) * 3, (energy_j,) * 3)
    for limits, words, name in (
        (Limits(min_quality=1.0), r"quality is (\S+), by", "min_quality"),
        (Limits(max_price_usd=0.0), r"cheapest is \$(\S+), by", "max_price_usd"),
        (Limits(max_energy_j=0.0), r"energy is (\S+) J, by", "max_energy_j"),
    ):
        refused = decide(limits, predicted)
        if refused.action is Admission.RUN:
            assert quality == 1.0
            continue
        offered = float(re.search(words, refused.reason)[1])
        assert decide(Limits(**{name: offered}), predicted).action is Admission.RUN
        assert offered == float(f"{offered:.3g}")


# What has been spent


def ran(endpoint: str, **fields: float) -> Outcome:
    return Outcome("r0", endpoint, Disposition.ANSWERED, **fields)


def test_what_earlier_runs_took_is_taken_off():
    limits = Limits(min_quality=0.5, max_price_usd=0.025)
    assert breaches(limits, table(), 0) == [None, None, None]
    why = breaches(limits, table(), 0, [ran("e0", price_usd=0.006)])
    assert why == [
        None,
        None,
        "its predicted price $0.021 is above $0.019, what is left of the request's $0.025",
    ]
    assert breaches(limits, table(), 0, [ran("e1"), ran("e0", price_usd=0.012)])[0] == (
        "its predicted price $0.004 is above $0.003, what is left of the request's $0.025"
    ), "of a run that was not measured the prediction counts"
    assert "is above $0, what is left" in breaches(limits, table(), 0, [ran("e0", price_usd=1.0)])[0]


def test_how_many_runs_are_within():
    limits = Limits(min_quality=0.9, max_price_usd=0.0125, max_energy_j=100.0)
    assert runs_within(limits, table(), 0, 0, []) == pytest.approx(3.125)
    assert runs_within(limits, table(), 0, 0, [ran("e0", price_usd=0.006, energy_j=1.0)]) == pytest.approx(
        1.625
    )
    assert runs_within(Limits(min_quality=0.9), table(), 0, 0, []) == INF
    assert runs_within(limits, table(price_usd=(0.0, 0.0, 0.0), energy_j=(0.0, 0.0, 0.0)), 0, 0, []) == INF


# Edges


def test_no_limits_cost_no_reasons_and_no_words():
    mask, excluded = Eligibility(ENDPOINTS).filter([make_request()], table(), [None] * 3)
    assert (mask.all(), dict(excluded[0])) == (True, {})
    assert unmet(make_request(), table(), 0, {}) is None


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(min_quality=1.01), "min_quality is 1.01. Give a probability from 0 to 1, or leave it out"),
        (Limits(min_quality=NAN), "min_quality is nan"),
        (Limits(max_price_usd=-1.0), "max_price_usd is -1. Give dollars from 0 up, or leave it out"),
        (Limits(max_energy_j=INF), "max_energy_j is inf. Give joules from 0 up, or leave it out"),
    ],
)
def test_limits_are_checked_at_the_edges(limits, said):
    with pytest.raises(BadRequest, match=re.escape(said)):
        limits.checked()


def test_the_widest_and_the_narrowest_are_limits():
    for limits in (Limits(), Limits(0.0, 0.0, 0.0), Limits(1.0, 1e9, 1e9)):
        assert limits.checked() is limits
