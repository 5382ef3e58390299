"""A choice by value explains itself: the terms add up, and what it says would change it, does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.admit.always import AlwaysAdmit
from pointsman.admit.value import ValueAdmit
from pointsman.assign.explain import explain
from pointsman.assign.value import ValueAssign
from pointsman.assign.weighted import WeightedAssign
from pointsman.decide import Decider
from pointsman.testing.fakes import make_endpoints, make_request, make_table
from pointsman.types import (
    Admission,
    CostTable,
    Decision,
    EndpointView,
    Estimate,
    Penalties,
    RunCost,
    Slo,
    ValueTerms,
    Weights,
)

ENDPOINTS = make_endpoints(4)
VIEW = [EndpointView(e.name, 0, 0, 2, healthy=True) for e in ENDPOINTS]
FIELDS = {"accuracy": "quality", "energy": "energy_j", "time": "time_s", "price": "price_usd"}


def decide(table: CostTable, terms: ValueTerms, service_class: str = "default") -> Decision:
    request = make_request(slo=Slo(service_class))
    return (
        Decider(ENDPOINTS, AlwaysAdmit(), ValueAssign(terms), max_queued=9)
        .decide([request], table, VIEW, 0.0)[0]
        .decision
    )


_rates = st.builds(
    RunCost, st.sampled_from([0.0, 0.3]), st.floats(1, 500), st.floats(0.001, 0.5), st.floats(1e-5, 0.01)
)
_terms = st.builds(ValueTerms, _rates, st.builds(Penalties, st.floats(0.1, 5.0), st.just(1.0)))


@given(st.integers(0, 10**6), _terms)
def test_terms_add_up_and_changes_flip_the_choice(seed: int, terms: ValueTerms) -> None:
    table = make_table(ENDPOINTS, seed=seed)
    made = decide(table, terms)
    shown = explain(made, None, terms)
    assert shown.candidates[0].endpoint == made.endpoint
    for candidate in shown.candidates:
        assert sum(term.product or 0.0 for term in candidate.terms) == pytest.approx(candidate.score)
    assert len(shown.flips) == len(ENDPOINTS) - 1
    for flip in shown.flips:
        column = table.endpoints.index(flip.endpoint)
        for change in flip.predictions:
            estimate = getattr(table, FIELDS[change.objective])
            value = estimate.value.copy()
            assert value[0, column] == pytest.approx(change.value)
            value[0, column] = change.needed
            changed = replace(table, **{FIELDS[change.objective]: Estimate.exact(value)})
            assert decide(changed, terms).endpoint == flip.endpoint
        if flip.c_wrong is not None:
            other = replace(terms, penalties=Penalties(flip.c_wrong, 1.0))
            assert decide(table, other).endpoint == flip.endpoint


@given(st.integers(0, 10**6), _terms)
def test_where_no_c_wrong_is_told_none_chooses_it(seed: int, terms: ValueTerms) -> None:
    table = make_table(ENDPOINTS, seed=seed)
    shown = explain(decide(table, terms), None, terms)
    never = {flip.endpoint for flip in shown.flips if flip.c_wrong is None}
    for c_wrong in (0.0, *np.geomspace(1e-3, 1e3, 40).tolist()):
        other = replace(terms, penalties=Penalties(c_wrong, 1.0))
        assert decide(table, other).endpoint not in never


def test_the_page_says_it_in_words() -> None:
    quality, time_s = np.array([[0.5, 0.6, 0.9, 0.4]]), np.array([[1.0, 2.0, 20.0, 3.0]])
    table = replace(
        make_table(ENDPOINTS),
        quality=Estimate.exact(quality),
        time_s=Estimate(time_s, 0.4 * time_s, 1.6 * time_s),
    )
    terms = ValueTerms(RunCost(constant=0.1, per_s=0.05), Penalties(), {"gold": Penalties(4.0, 1.0)})
    text = explain(decide(table, terms), None, terms).to_text()
    assert text.splitlines()[0] == "r0: run on e1: lowest expected cost 0.6 of 4 endpoints"
    assert "1. e1  score 0.6000  <- chosen" in text
    assert "accuracy 1 x 0.4 = 0.4000" in text
    assert "time     0.05 x 2 s = 0.1000" in text
    assert "constant 1 x 0.1 = 0.1000" in text
    assert "  e0: a wrong answer at 0.5; or if its accuracy were 0.550, not 0.500" in text
    assert "  e3: no price of a wrong answer chooses it; or if its accuracy were 0.650, not 0.400" in text
    assert "; within the intervals it could be the better one" in text
    gold = explain(decide(table, terms, "gold"), None, terms)
    assert gold.endpoint == "e2"
    assert sum(term.product for term in gold.candidates[0].terms) == pytest.approx(gold.candidates[0].score)


def test_without_the_costs_only_the_scores_are_shown() -> None:
    terms = ValueTerms(RunCost(per_s=0.1))
    shown = explain(decide(make_table(ENDPOINTS), terms))
    assert shown.flips == ()
    assert all(candidate.terms == () and candidate.score is not None for candidate in shown.candidates)


def test_what_only_the_admission_weighed_is_not_shown_as_the_terms_of_other_scores() -> None:
    """The admission `value` skips, and the policy that scored is another one."""
    terms = ValueTerms(RunCost(constant=5.0))
    weights = WeightedAssign(Weights(accuracy=1.0, energy=1.0))
    decider = Decider(ENDPOINTS, ValueAdmit(terms), weights, max_queued=9)
    made = decider.decide([make_request()], make_table(ENDPOINTS), VIEW, 0.0)[0].decision
    assert (made.action, made.policy) == (Admission.SKIP, "value")
    for candidate in explain(made, None, terms).candidates:
        assert sum(term.product or 0.0 for term in candidate.terms) == pytest.approx(candidate.score)


def test_a_skipped_request_shows_the_terms_where_both_stages_weigh_costs() -> None:
    terms = ValueTerms(RunCost(constant=5.0))
    decider = Decider(ENDPOINTS, ValueAdmit(terms), ValueAssign(terms), max_queued=9)
    made = decider.decide([make_request()], make_table(ENDPOINTS), VIEW, 0.0)[0].decision
    assert made.action is Admission.SKIP
    for candidate in explain(made, None, terms).candidates:
        assert sum(term.product or 0.0 for term in candidate.terms) == pytest.approx(candidate.score)
