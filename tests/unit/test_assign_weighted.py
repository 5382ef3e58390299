from __future__ import annotations

import math

import numpy as np
import pytest

from pointsman.assign.baselines import CheapestAssign, RandomAssign, SingleAssign
from pointsman.assign.weighted import WeightedAssign
from pointsman.errors import BadRequest
from pointsman.types import Assignment, CostTable, Estimate, Prompt, Request, Weights

NAMES = ("small", "middle", "large")
REQUEST = Request("r", Prompt("x"))
ALL = np.ones((1, 3), dtype=bool)
QUALITY = [0.3, 0.5, 0.9]
ENERGY_J = [1.0, 4.0, 9.0]
TIME_S = [2.0, 1.0, 5.0]


def table(
    quality: list[float] = QUALITY,
    energy_j: list[float] = ENERGY_J,
    time_s: list[float] = TIME_S,
    price_usd: tuple[float, ...] = (0, 0, 0),
) -> CostTable:
    def row(values: list[float] | tuple[float, ...]) -> Estimate:
        return Estimate.without_interval(np.array([values], dtype=float))

    zero = row((0.0, 0.0, 0.0))
    return CostTable(
        NAMES, np.ones((1, 3)), row(quality), zero, row(time_s), row(energy_j), row(price_usd), zero
    )


def choose(weights: Weights, costs: CostTable, eligible: np.ndarray = ALL) -> Assignment:
    return WeightedAssign(weights).assign([REQUEST], costs, eligible, ())


def chosen(made: Assignment) -> str:
    return NAMES[int(made.endpoint_index[0])]


def test_the_score_is_the_documented_one() -> None:
    made = choose(Weights(accuracy=0.7, energy=0.2, time=0.1), table())
    expected = [
        0.7 * 0.7 + 0.2 * 0 + 0.1 * 1 / 4,
        0.7 * 0.5 + 0.2 * 3 / 8 + 0.1 * 0,
        0.7 * 0.1 + 0.2 * 1 + 0.1 * 1,
    ]
    np.testing.assert_allclose(made.score[0], expected, rtol=1e-8)
    assert chosen(made) == "large"
    assert made.reason == ("lowest weighted score 0.370 of 3 endpoints",)
    assert made.weights == (Weights(accuracy=0.7, energy=0.2, time=0.1),)


@pytest.mark.parametrize(
    ("weights", "winner"),
    [
        (Weights(energy=1), "small"),
        (Weights(accuracy=1), "large"),
        (Weights(time=1), "middle"),
        (Weights(accuracy=1, energy=1, time=1), "middle"),
    ],
)
def test_what_comes_first_wins(weights: Weights, winner: str) -> None:
    made = choose(weights, table())
    assert chosen(made) == winner


def test_the_request_has_its_own_weights() -> None:
    policy = WeightedAssign(Weights(energy=1))
    own = Request("own", Prompt("x"), weights=Weights(accuracy=2))
    costs = table()
    assert policy.assign([own], costs, ALL, ()).endpoint_index.tolist() == [2]
    assert policy.assign([own], costs, ALL, ()).weights == (Weights(accuracy=1),)
    assert policy.assign([REQUEST], costs, ALL, ()).endpoint_index.tolist() == [0]


def test_the_range_is_that_of_the_eligible() -> None:
    made = choose(Weights(energy=1), table(), np.array([[False, True, True]]))
    np.testing.assert_allclose(made.score, [[np.inf, 0, 1]], rtol=1e-8)
    assert made.reason == ("lowest weighted score 0.000 of 2 endpoints",)


def test_ties_go_to_lower_energy_then_to_the_first() -> None:
    assert chosen(choose(Weights(accuracy=1), table(quality=[0.5, 0.9, 0.9]))) == "middle"
    assert chosen(choose(Weights(accuracy=1), table([0.5, 0.9, 0.9], energy_j=[1, 9, 4]))) == "large"
    assert chosen(choose(Weights(accuracy=1), table([0.9] * 3, energy_j=[4, 4, 4]))) == "small"
    unknown = table([0.5, 0.9, 0.9], energy_j=[math.nan] * 3)
    assert chosen(choose(Weights(accuracy=1), unknown)) == "middle"


def test_equal_values_cost_nothing_and_noise_is_not_blown_up() -> None:
    made = choose(Weights(energy=1), table(energy_j=[3.0, 3.0, 3.0]))
    assert made.score.tolist() == [[0, 0, 0]]
    made = choose(Weights(energy=1), table(energy_j=[3.0, 3.0 * (1 + 2**-52), 3.0]))
    assert made.score.max() < 1e-6


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_prediction_that_is_not_finite_counts_as_worst(bad: float) -> None:
    made = choose(Weights(energy=1, time=1), table(energy_j=[bad, 4, 9]))
    assert chosen(made) == "middle"
    np.testing.assert_allclose(made.score[0], [np.inf, 0, 1], rtol=1e-8)
    assert made.reason == (
        "lowest weighted score 0.000 of 3 endpoints; not finite, so counted as worst: small",
    )


def test_a_broken_prediction_without_weight_is_no_matter() -> None:
    made = choose(Weights(time=1), table(energy_j=[math.nan, 4, 9]))
    assert chosen(made) == "middle"
    assert made.reason == ("lowest weighted score 0.000 of 3 endpoints",)


def test_what_is_known_of_no_endpoint_does_not_count() -> None:
    made = choose(Weights(energy=1, time=1), table(energy_j=[math.nan] * 3))
    assert chosen(made) == "middle"
    assert made.reason == ("lowest weighted score 0.000 of 3 endpoints; unknown, so not counted: energy",)
    made = choose(Weights(energy=1, time=1), table(energy_j=[math.nan] * 3, time_s=[2, math.nan, 5]))
    assert chosen(made) == "small"
    assert made.reason[0].endswith("not counted: energy; not finite, so counted as worst: middle")
    nothing = table([math.nan] * 3, [math.nan] * 3, [math.nan] * 3)
    assert chosen(choose(Weights(1, 1, 1), nothing)) == "small"


def test_where_every_endpoint_lacks_something_what_is_known_decides() -> None:
    made = choose(Weights(energy=1, time=1), table(energy_j=[math.nan, 4, 9], time_s=[2, math.nan, math.nan]))
    assert np.isfinite(made.score).all()
    assert chosen(made) == "middle"
    assert made.reason[0].endswith("counted as worst: small, middle, large")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (Weights(energy=math.nan), "the weight of energy is nan"),
        (Weights(time=math.inf), "the weight of time is inf"),
        (Weights(price=-0.5), "the weight of price is -0.5"),
        (Weights(), "the weights sum to 0"),
        (Weights(accuracy=1e7), "the weight of accuracy is 1e\\+07"),
    ],
)
def test_weights_that_cannot_be_used(weights: Weights, message: str) -> None:
    with pytest.raises(BadRequest, match=f"^{message}. Give ") as raised:
        WeightedAssign(weights)
    assert raised.value.param == "weights"
    with pytest.raises(BadRequest, match=message):
        WeightedAssign(Weights(1)).assign([Request("r", Prompt("x"), weights=weights)], table(), ALL, ())


def test_single_goes_on_to_the_next_that_can() -> None:
    policy = SingleAssign("middle")
    assert policy.assign([REQUEST], table(), ALL, ()).reason == ("always middle",)
    made = policy.assign([REQUEST], table(), np.array([[True, False, False]]), ())
    assert chosen(made) == "small"
    assert made.reason == ("middle can't run it: the next endpoint that can",)
    with pytest.raises(BadRequest, match=r"no endpoint is named 'huge'. Choose one of small, middle, large"):
        SingleAssign("huge").assign([REQUEST], table(), ALL, ())


def test_random_is_even_and_moves_only_what_it_must() -> None:
    requests = [Request(f"r{i}", Prompt("x")) for i in range(900)]
    costs = table().take(np.zeros(900, dtype=np.int64))
    everything = np.ones((900, 3), dtype=bool)
    made = RandomAssign(seed=1).assign(requests, costs, everything, ()).endpoint_index
    assert np.bincount(made).min() > 250
    assert (RandomAssign(seed=2).assign(requests, costs, everything, ()).endpoint_index != made).any()
    without = everything.copy()
    without[:, 1] = False
    moved = RandomAssign(seed=1).assign(requests, costs, without, ()).endpoint_index
    assert np.array_equal(moved[made != 1], made[made != 1])


def test_cheapest_reads_price_then_energy() -> None:
    policy = CheapestAssign()
    made = policy.assign([REQUEST], table(price_usd=(2e-6, 1e-6, 1e-6), energy_j=[1, 9, 4]), ALL, ())
    assert chosen(made) == "large"
    assert made.reason == ("lowest predicted price $1e-06 of 3 endpoints",)
    assert chosen(policy.assign([REQUEST], table(price_usd=(math.nan, 1, 2)), ALL, ())) == "middle"
