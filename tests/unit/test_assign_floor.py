"""A floor with a confidence: shrunk forecasts, what they overstate, and whether the promise is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from pointsman.assign.assured import assured
from pointsman.assign.contrasts import Contrasts
from pointsman.assign.floor_calibration import FloorCalibration
from pointsman.assign.frontier import frontier
from pointsman.assign.lagrangian import lagrangian
from pointsman.assign.problem import Problem, QualityFloor
from pointsman.errors import BadRequest, DataError, Infeasible
from pointsman.types import Floats

ENDPOINTS = ("small", "middle", "large")
PRICE = np.array([1.0, 2.0, 5.0])
FOLDS = 4


class World(NamedTuple):
    """Rows with the chance of being right, and forecasts of it that are noisy."""

    cost: Floats
    real: Floats
    forecast: Floats
    labels: Floats


def world(rows: int, seed: int, noise: float = 0.15) -> World:
    """Forecasts off by a noise that is independent between endpoints: choosing by it errs upwards."""
    rng = np.random.default_rng(seed)
    ease = rng.normal(0, 0.1, (rows, 1))
    real = np.clip(np.array([0.5, 0.55, 0.6]) + ease + rng.normal(0, 0.1, (rows, 3)), 0.02, 0.98)
    forecast = np.clip(real + rng.normal(0, noise, (rows, 3)), 0, 1)
    cost = PRICE * rng.uniform(0.8, 1.2, (rows, 1))
    return World(cost, real, forecast, (rng.random((rows, 3)) < real).astype(float))


def fitted(held_out: World) -> FloorCalibration:
    rows = len(held_out.labels)
    return FloorCalibration.fit(
        ENDPOINTS,
        held_out.cost,
        held_out.forecast,
        held_out.labels,
        tasks=[""] * rows,
        groups=np.arange(rows),
        folds=folds_of(rows),
    )


def folds_of(rows: int) -> NDArray[np.int64]:
    return np.arange(rows) % FOLDS


def reached(world: World, floor: float, calibration: FloorCalibration | None, confidence: float) -> Floats:
    """What the plan's pairs are really worth: chance of being right, and labels."""
    problem = Problem(ENDPOINTS, world.cost, world.forecast, floors=(QualityFloor.overall(floor),))
    if calibration is not None:
        problem = assured(problem, calibration, confidence=confidence).problem
    way = frontier(problem.cost, problem.quality)
    forecast = way.means(np.asarray(problem.quality, dtype=float))
    choice = way.choice(int(np.searchsorted(forecast, problem.floors[0].minimum[0] - 1e-12)))
    rows = np.arange(len(choice))
    return np.array([world.real[rows, choice].mean(), world.labels[rows, choice].mean()])


def test_the_share_kept_is_what_is_real_of_the_contrasts() -> None:
    """Noise of .15 on differences of .1: the regression of real on forecast contrasts is var / (var + noise)."""
    seen = world(20_000, 1)
    contrasts = Contrasts.fit(seen.forecast, seen.labels, [""] * 20_000, folds_of(20_000))
    real = seen.real - seen.real.mean(axis=0)
    real -= real.mean(axis=1, keepdims=True)
    off = seen.forecast - seen.forecast.mean(axis=0)
    off -= off.mean(axis=1, keepdims=True)
    assert contrasts.share == pytest.approx(float((off * real).sum() / (off * off).sum()), abs=0.02)
    assert contrasts.share < 0.5


def test_perfect_contrasts_are_kept_and_centres_stay() -> None:
    seen = world(20_000, 2, noise=0.0)
    contrasts = Contrasts.fit(seen.forecast, seen.labels, [""] * 20_000, folds_of(20_000))
    assert contrasts.share == pytest.approx(1.0, abs=0.15)
    shrunk = contrasts.applied(seen.forecast)
    assert shrunk.mean(axis=0) == pytest.approx(seen.forecast.mean(axis=0), abs=1e-3)
    assert shrunk.mean(axis=1) == pytest.approx(seen.forecast.mean(axis=1), abs=1e-3)


def test_each_task_has_a_centre_of_its_own_and_an_unknown_one_that_of_all() -> None:
    quality = np.array([[0.2, 0.8], [0.8, 0.2]] * 40)
    tasks = ["a", "b"] * 40
    contrasts = Contrasts(("a", "b"), np.array([[0.2, 0.8], [0.8, 0.2], [0.5, 0.5]]), 0.0)
    assert contrasts.applied(quality, tasks) == pytest.approx(quality)
    assert contrasts.applied(quality, ["c"] * 80) == pytest.approx(np.full((80, 2), 0.5))
    assert contrasts.applied(np.array([[np.nan, 0.8]]), ["a"]) == pytest.approx(np.array([[0.2, 0.8]]))
    own = Contrasts.fit(quality, quality, tasks, np.zeros(80, dtype=np.int64))
    assert own.centre == pytest.approx(np.array([[0.2, 0.8], [0.8, 0.2], [0.5, 0.5]]))


def test_an_uncorrected_plan_falls_short_and_a_corrected_one_does_not() -> None:
    """Over ten calibrations and batches of 4,000; the standard deviation of one is .9 points."""
    made = [
        [
            reached(world(4_000, 500 + trial), 0.57, calibration, 0.5)[0]
            for calibration in (None, fitted(world(4_000, trial)))
        ]
        for trial in range(10)
    ]
    uncorrected, corrected = np.mean(made, axis=0)
    assert uncorrected < 0.56
    assert corrected == pytest.approx(0.57, abs=0.009)


@pytest.mark.parametrize(("rows", "floor"), [(150, 0.51), (600, 0.54)])
def test_the_promise_is_kept_as_often_as_it_says(rows: int, floor: float) -> None:
    """90% asked of 120 batches, each with a calibration of its own: 3 standard errors are 8 points."""
    kept = []
    for trial in range(120):
        calibration, batch = fitted(world(1_000, trial)), world(rows, 1_000 + trial)
        kept.append(reached(batch, floor, calibration, 0.9)[1] >= floor)
    assert 0.82 <= np.mean(kept) <= 0.98


def test_a_larger_batch_needs_less_of_a_margin() -> None:
    calibration = fitted(world(2_000, 5))
    few, many = (calibration.assurance(0.54, 0.95, rows) for rows in (200, 20_000))
    spread = float(np.interp(few.price, calibration.price, calibration.spread))
    assert few.margin == pytest.approx(1.645 * spread * np.sqrt(1 / 2_000 + 1 / 200), rel=1e-2)
    assert many.margin < few.margin / 2
    assert few.effective == pytest.approx(0.54 + few.bias + few.margin)
    assert "for chance" in few.words


def test_repeats_of_a_prompt_are_not_evidence_twice() -> None:
    seen = world(1_000, 6)
    twice = World(*(np.repeat(part, 2, axis=0) for part in seen))
    rows = np.arange(2_000)
    alone = fitted(seen)
    together = FloorCalibration.fit(
        ENDPOINTS, twice.cost, twice.forecast, twice.labels,
        tasks=[""] * 2_000, groups=rows // 2, folds=(rows // 2) % FOLDS,
    )  # fmt: skip
    at = [np.interp(0.56, own.forecast, own.spread) for own in (alone, together)]
    assert at[1] == pytest.approx(np.sqrt(2) * at[0], rel=0.02)


def test_what_cannot_be_promised_is_said_with_the_best_that_can() -> None:
    calibration, batch = fitted(world(1_000, 7)), world(300, 8)
    problem = Problem(ENDPOINTS, batch.cost, batch.forecast, floors=(QualityFloor.overall(0.9),))
    sure = assured(problem, calibration, confidence=0.95)
    (floor,) = sure.floors.values()
    assert not floor.holds
    assert 0.45 < floor.best < 0.65
    with pytest.raises(Infeasible, match=r"can't be promised: at most 0\.[56]"):
        sure.required()
    at_best = replace(problem, floors=(QualityFloor.overall(floor.best),))
    assert assured(at_best, calibration, confidence=0.95).required().floors[0].minimum[0] == pytest.approx(
        floor.effective, abs=1e-9
    )


def test_floors_of_tenants_are_raised_each_by_its_own_size() -> None:
    calibration, batch = fitted(world(1_000, 9)), world(1_000, 10)
    tenant = ["a"] * 100 + ["b"] * 800 + ["c"] * 100
    floor = QualityFloor.each("tenant", tenant, {"a": 0.5, "b": 0.5, "d": 0.5})
    sure = assured(
        Problem(ENDPOINTS, batch.cost, batch.forecast, floors=(floor,)), calibration, confidence=0.9
    )
    assert set(sure.floors) == {"tenant a", "tenant b"}
    assert sure.floors["tenant a"].margin > 1.5 * sure.floors["tenant b"].margin
    assert sure.problem.floors[0].minimum[2] == 0.5


def test_a_forbidden_pair_is_neither_read_nor_counted() -> None:
    calibration, batch = fitted(world(1_000, 11)), world(500, 12)
    allowed = np.ones((500, 3), dtype=bool)
    allowed[:, 2] = False
    forecast = batch.forecast.copy()
    forecast[:, 2] = np.nan
    floors = (QualityFloor.overall(0.5),)
    sure = assured(Problem(ENDPOINTS, batch.cost, forecast, allowed, floors), calibration, confidence=0.9)
    plan = lagrangian(sure.required()).required()
    assert plan.choice.max() < 2


def test_a_choice_that_was_added_keeps_what_it_was_given() -> None:
    calibration, batch = fitted(world(1_000, 13)), world(200, 14)
    problem = Problem(ENDPOINTS, batch.cost, batch.forecast).with_choice("skip", np.full(200, 0.1))
    assert (assured(problem, calibration, confidence=0.9).problem.quality[:, 3] == 0).all()


def test_a_document_holds_all_of_it() -> None:
    calibration = fitted(world(1_000, 15))
    again = FloorCalibration.from_document(json.loads(json.dumps(calibration.to_document())))
    assert again.assurance(0.52, 0.95, 400) == calibration.assurance(0.52, 0.95, 400)
    assert again.contrasts.applied(np.full((2, 3), 0.5)).tolist() == [
        *calibration.contrasts.applied(np.full((2, 3), 0.5)).tolist()
    ]
    document = calibration.to_document()
    with pytest.raises(DataError, match="version 9"):
        FloorCalibration.from_document(document | {"version": 9})
    with pytest.raises(DataError, match="numbers that can't be"):
        FloorCalibration.from_document(document | {"bias": [0.1]})


def test_what_cannot_be_asked_is_refused() -> None:
    calibration, batch = fitted(world(1_000, 16)), world(50, 17)
    for confidence in (0.4, 1.0, float("nan")):
        with pytest.raises(BadRequest, match="confidence"):
            calibration.assurance(0.5, confidence, 100)
    with pytest.raises(BadRequest, match="mean over 0 requests"):
        calibration.assurance(0.5, 0.9, 0)
    with pytest.raises(BadRequest, match="quality floor"):
        calibration.assurance(1.5, 0.9, 10)
    with pytest.raises(BadRequest, match="was calibrated for"):
        assured(Problem(("x", "y", "z"), batch.cost, batch.forecast), calibration, confidence=0.9)
    with pytest.raises(BadRequest, match="3 tasks of 50"):
        assured(Problem(ENDPOINTS, batch.cost, batch.forecast), calibration, confidence=0.9, tasks=["a"] * 3)
    with pytest.raises(DataError, match="10 held-out rows"):
        fitted(world(10, 18))
    unlabelled = world(100, 19)
    with pytest.raises(DataError, match="only 0 have labels"):
        fitted(unlabelled._replace(labels=np.full((100, 3), np.nan)))
