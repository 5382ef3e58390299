from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pointsman.assign.baselines import CheapestAssign
from pointsman.assign.explain import EndpointFacts, explain
from pointsman.assign.explanation import PredictionChange, quantity, weights_text
from pointsman.assign.weighted import WeightedAssign
from pointsman.types import (
    EMPTY,
    Admission,
    Assignment,
    CostTable,
    Decision,
    Estimate,
    Prompt,
    Request,
    Weights,
)

NAMES = ("small", "middle", "large", "stale")
REQUEST = Request("r1", Prompt("x"))


def row(*values: float) -> Estimate:
    return Estimate.without_interval(np.array([values], dtype=float))


def make_table(**changes: object) -> CostTable:
    """`stale` is worse than `middle` on everything; `middle` has intervals on time."""
    time_s = np.array([[2.0, 1.0, 5.0, 3.0]])
    fields: dict[str, object] = {
        "endpoints": NAMES,
        "input_tokens": np.ones((1, 4)),
        "quality": row(0.3, 0.5, 0.9, 0.4),
        "output_tokens": row(10, 10, 10, 10),
        "time_s": Estimate(time_s, np.array([[np.nan, 0.8, 4.0, 3.0]]), np.array([[np.nan, 1.3, 6.0, 3.0]])),
        "energy_j": row(1, 4, 9, 5),
        "price_usd": row(0, 0, 0, 0),
        "carbon_g": row(0.1, 0.4, 0.9, 0.5),
    }
    return CostTable(**(fields | changes))  # type: ignore[arg-type]


def decide(table: CostTable, weights: Weights, excluded: Mapping[str, str] = EMPTY) -> Decision:
    eligible = np.array([[name not in excluded for name in table.endpoints]])
    return decision(WeightedAssign(weights).assign([REQUEST], table, eligible, ()), table, excluded)


def decision(
    made: Assignment, table: CostTable, excluded: Mapping[str, str] = EMPTY, policy: str = "weighted"
) -> Decision:
    return Decision(
        request_id="r1",
        at_s=0.0,
        action=Admission.RUN,
        reason=made.reason[0],
        policy=policy,
        table=table,
        index=0,
        excluded=excluded,
        score=made.score[0],
        endpoint=table.endpoints[int(made.endpoint_index[0])],
        weights=made.weights[0] if made.weights else None,
    )


BALANCED = Weights(accuracy=0.7, energy=0.2, time=0.1)


def test_terms_add_up_to_the_score() -> None:
    made = decide(make_table(), BALANCED)
    explanation = explain(made)
    assert [c.endpoint for c in explanation.candidates] == ["large", "middle", "small", "stale"]
    assert [c.chosen for c in explanation.candidates] == [True, False, False, False]
    assert made.score is not None
    for candidate in explanation.candidates:
        assert candidate.score == made.score[NAMES.index(candidate.endpoint)]
        assert math.fsum(term.product or 0 for term in candidate.terms) == pytest.approx(candidate.score)
        assert [term.weight for term in candidate.terms] == [0.7, 0.2, 0.1, 0, 0]
    energy = explanation.candidates[1].terms[1]
    assert (energy.objective, energy.value, energy.unit) == ("energy", 4.0, "J")
    assert energy.normalised == pytest.approx(3 / 8)


def test_intervals_are_shown_or_said_to_be_missing() -> None:
    terms = {c.endpoint: c.terms for c in explain(decide(make_table(), BALANCED)).candidates}
    assert terms["middle"][2].value_text() == "1 s (0.8 to 1.3)"
    assert terms["small"][2].value_text() == "2 s (no interval)"
    assert terms["stale"][2].value_text() == "3 s"
    assert terms["small"][3].value_text() == "$0 (no interval)"


def test_who_was_excluded_is_no_candidate() -> None:
    explanation = explain(decide(make_table(), BALANCED, {"large": "it is down"}))
    assert explanation.excluded == (("large", "it is down"),)
    assert "large" not in [c.endpoint for c in explanation.candidates]
    assert "large" not in [flip.endpoint for flip in explanation.flips]
    assert "excluded large: it is down" in explanation.to_text()


def test_dominated_endpoints_are_named_with_the_dominator() -> None:
    explanation = explain(decide(make_table(), BALANCED))
    by = {c.endpoint: c.dominated_by for c in explanation.candidates}
    assert by == {"small": (), "middle": (), "large": (), "stale": ("middle",)}
    assert "Pareto-dominated by middle" in explanation.to_text()


def test_equals_are_not_called_dominated() -> None:
    flat = row(2, 2, 2, 2)
    table = make_table(quality=row(0.5, 0.5, 0.5, 0.4), time_s=flat, energy_j=flat, carbon_g=flat)
    said = explain(decide(table, Weights(accuracy=1, energy=1))).to_text()
    assert "equal to small, and of equals the first wins" in said
    assert "0.500, not 0.500" not in said
    assert "its accuracy were a trifle above 0.500" in said


def test_flips_really_flip() -> None:
    table = make_table()
    explanation = explain(decide(table, BALANCED))
    flips = {flip.endpoint: flip for flip in explanation.flips}
    assert list(flips) == ["middle", "small", "stale"], "the nearest first"
    for name in ("middle", "small"):
        weights = flips[name].weights
        assert weights is not None
        assert decide(table, weights).endpoint == name
    assert flips["stale"].weights is None
    assert flips["stale"].blocked == "dominated by middle"


def test_a_flip_by_price_uses_only_objectives_that_tell_endpoints_apart() -> None:
    explanation = explain(decide(make_table(), BALANCED))
    for flip in explanation.flips[:2]:
        assert flip.weights is not None
        assert flip.weights.price == 0, "every price is 0"
        assert flip.weights.carbon == 0, "carbon follows energy, which has a weight"


def test_changed_predictions_really_flip() -> None:
    table = make_table()
    fields = {"accuracy": "quality", "energy": "energy_j", "time": "time_s"}
    changes = {flip.endpoint: flip.predictions for flip in explain(decide(table, BALANCED)).flips}
    assert [change.objective for change in changes["middle"]] == ["accuracy", "energy"]
    for name, found in changes.items():
        for change in found:
            field = fields[change.objective]
            value = getattr(table, field).value.copy()
            value[0, NAMES.index(name)] = change.needed
            flipped = make_table(**{field: Estimate.without_interval(value)})
            assert decide(flipped, BALANCED).endpoint == name
            value[0, NAMES.index(name)] = change.needed + 1e-4 * (change.value - change.needed)
            almost = make_table(**{field: Estimate.without_interval(value)})
            assert decide(almost, BALANCED).endpoint == "large"


def test_whether_the_intervals_allow_another_choice() -> None:
    def spread(width: float, *values: float) -> Estimate:
        value = np.array([values], dtype=float)
        return Estimate(value, value * (1 - width), value * (1 + width))

    def possible(width: float) -> dict[str, bool | None]:
        table = make_table(
            quality=spread(width, 0.3, 0.5, 0.9, 0.4),
            energy_j=spread(width, 1, 4, 9, 5),
            time_s=spread(width, 2, 1, 5, 3),
        )
        return {flip.endpoint: flip.within_intervals for flip in explain(decide(table, BALANCED)).flips}

    assert possible(0.01) == {"middle": False, "small": False, "stale": False}
    assert possible(0.1) == {"middle": True, "small": False, "stale": False}
    unknown = {flip.endpoint: flip.within_intervals for flip in explain(decide(make_table(), BALANCED)).flips}
    assert unknown == {"middle": None, "small": None, "stale": None}


def test_a_mix_that_no_weights_can_beat_is_named() -> None:
    table = make_table(
        quality=row(0.2, 0.4, 1.0, 0.2), energy_j=row(0, 8, 10, 10), time_s=row(1, 1, 1, 1), carbon_g=row(0, 0, 0, 0)
    )  # fmt: skip
    flips = {flip.endpoint: flip for flip in explain(decide(table, BALANCED)).flips}
    assert flips["middle"].weights is None
    assert flips["middle"].blocked is not None
    assert "small" in flips["middle"].blocked
    assert "large" in flips["middle"].blocked
    assert flips["middle"].blocked.startswith("a mix of ")


def test_what_is_not_finite_is_said() -> None:
    explanation = explain(decide(make_table(energy_j=row(math.nan, 4, 9, 5)), BALANCED))
    last = explanation.candidates[-1]
    assert (last.endpoint, last.score) == ("small", None)
    assert last.terms[1].value_text() == "unknown"
    assert last.notes == ("a prediction is not a finite number, so it counts as worst",)
    assert "small" not in [flip.endpoint for flip in explanation.flips]
    json.dumps(explanation.to_dict(), allow_nan=False)


def test_modelled_energy_origin_and_priors_are_said() -> None:
    facts = {"small": EndpointFacts(energy_modelled=True, origin="2000 rows of fleet.parquet")}
    text = explain(decide(make_table(bypassed=True), BALANCED), facts).to_text()
    assert "its energy is modelled, not measured" in text
    assert "2000 rows of fleet.parquet" in text
    assert "a predictor failed or was late: these predictions are priors" in text


def test_a_policy_without_weights_has_scores_but_no_terms() -> None:
    table = make_table(price_usd=row(3e-6, 1e-6, 2e-6, 4e-6))
    made = CheapestAssign().assign([REQUEST], table, np.ones((1, 4), dtype=bool), ())
    explanation = explain(decision(made, table, policy="cheapest"))
    assert explanation.candidates[0].endpoint == "middle"
    assert explanation.candidates[0].terms == ()
    assert explanation.flips == ()
    assert explanation.to_text().splitlines()[1] == "policy cheapest"


def test_no_other_choice_is_shown_of_a_request_that_does_not_run() -> None:
    skipped = replace(decide(make_table(), BALANCED), action=Admission.SKIP, endpoint=None)
    explanation = explain(skipped)
    assert explanation.candidates
    assert explanation.flips == (), "other weights would not have run it"


def test_a_refused_request_lists_why_for_each_endpoint() -> None:
    table = make_table()
    excluded = dict.fromkeys(NAMES, "it is down")
    refused = Decision(
        "r1", 0.0, Admission.REFUSE, "no endpoint", "eligibility", table, 0, excluded, None, None
    )
    explanation = explain(refused)
    assert explanation.candidates == ()
    assert explanation.to_text().splitlines() == [
        "r1: refuse: no endpoint",
        "policy eligibility",
        *(f"excluded {name}: it is down" for name in NAMES),
    ]


def test_json_holds_it_all() -> None:
    explanation = explain(decide(make_table(), BALANCED, {"stale": "it is down"}))
    made = json.loads(json.dumps(explanation.to_dict(), allow_nan=False))
    assert made["excluded"] == {"stale": "it is down"}
    assert made["candidates"][0]["terms"][0]["objective"] == "accuracy"
    assert made["weights"]["accuracy"] == 0.7
    assert made["flips"][0]["predictions"][0]["objective"] == "accuracy"


def test_text_as_shown() -> None:
    explanation = explain(decide(make_table(), BALANCED, {"stale": "it is down"}))
    golden = Path(__file__).parents[1] / "golden" / "explanation.txt"
    assert explanation.to_text() == golden.read_text().rstrip("\n")


def test_numbers_read_well() -> None:
    assert quantity(0.00001234, "$") == "$1.23e-05"
    assert quantity(12.345, "J") == "12.3 J"
    assert PredictionChange("energy", 4.0, 3.0, "J").text() == "its energy were 25.0% lower (3 J, not 4 J)"
    assert weights_text(Weights(accuracy=0.6, energy=0.4), Weights(accuracy=0.6, time=0.4)) == (
        "accuracy 0.6, energy 0.4 (+0.400), time 0 (-0.400)"
    )
