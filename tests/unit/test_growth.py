"""A learned predictor grows beside what it serves: as a fit would, bounded, never half, never waited for."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from pointsman.clock import Clock, RealClock, VirtualClock
from pointsman.errors import DataError
from pointsman.live.growth import Growth
from pointsman.predict.endpoint import ProfilePredictor
from pointsman.predict.learned import LearnedPredictor
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.fit import FitOptions, fit_quality
from pointsman.predict.quality.learned_model import LearnedModel
from pointsman.store.labels import Served
from pointsman.testing.fakes import make_endpoints, make_request
from pointsman.testing.outcomes import capital_question, made_outcomes, proof_question
from pointsman.types import Label

ENDPOINTS = make_endpoints(2)
NAMES = ("e1", "e0")  # another order than the endpoints'
FIRST = made_outcomes(np.random.default_rng(1), 120, NAMES)
NEW = Queries.without_task([capital_question(7_001), proof_question(7_002)])


def model(kind: str = "knn") -> LearnedModel:
    return fit_quality(FIRST, FitOptions(kind, folds=2)).model


def predictor(kind: str = "knn") -> LearnedPredictor:
    return LearnedPredictor(ENDPOINTS, ProfilePredictor(ENDPOINTS), model(kind))


def served(number: int, endpoint: str = "e0", tokens: int | None = 30) -> Served:
    return Served(f"r{number}", proof_question(number), "", endpoint, tokens)


@pytest.fixture
def grow() -> Iterator:
    made: list[Growth] = []

    def start(learned: LearnedPredictor, most: int = 1_000, clock: Clock | None = None, **fields) -> Growth:
        made.append(Growth(learned, most, clock or RealClock(), **fields))
        return made[-1]

    yield start
    for growth in made:
        growth.close()
        assert not growth._thread.is_alive()


@pytest.mark.parametrize("kind", ["knn", "blend"])
def test_what_comes_back_is_what_a_fit_with_these_rows_gives(grow, kind: str) -> None:
    learned = predictor(kind)
    before = learned.model.forecast(NEW)
    growth = grow(learned)
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 2, 60).astype(float)
    for number, score in enumerate(scores):
        growth.answered(served(number, tokens=20 + number))
        if number % 3:
            growth.labelled([Label(f"r{number}", score, "form")], 1.0)
    assert growth.flush()
    assert (growth.rows, growth.dropped) == (60, 0)
    nan = np.full((60, 2), np.nan)
    quality, tokens = nan.copy(), nan.copy()
    column = NAMES.index("e0")
    quality[:, column] = np.where(np.arange(60) % 3, scores, np.nan)
    tokens[:, column] = 20 + np.arange(60)
    base = model(kind).retrieval
    assert base is not None
    encoded = base.space.rows(Queries.without_task([served(n).text for n in range(60)]))
    expected = model(kind).grown(encoded, [""] * 60, quality, tokens).forecast(NEW)
    made = learned.model.forecast(NEW)
    np.testing.assert_allclose(made.quality.value, expected.quality.value, atol=1e-6)
    np.testing.assert_array_equal(made.output_tokens, expected.output_tokens)
    assert np.abs(made.quality.value - before.quality.value)[1, column] > 0.005, "it learnt something"


def test_a_knn_without_surface_features_grows_to_the_fit_of_all_rows(grow) -> None:
    """Nothing of its space is fitted, so the fit to all rows is the very same."""
    learned = predictor()
    knn = learned.model.model
    bare = replace(knn.space, surface=0.0)
    rows = knn.rows.build(bare.rows(Queries(FIRST.prompts, FIRST.tasks)), 0)
    knn = replace(knn, space=bare, rows=rows, settings=replace(knn.settings, surface=0.0))
    learned.model = replace(learned.model, model=knn)
    growth = grow(learned)
    for number in range(50):
        growth.answered(served(number))
        growth.labelled([Label(f"r{number}", float(number % 2), "form")], 1.0)
    assert growth.flush()
    labels = np.full((50, 2), np.nan)
    labels[:, NAMES.index("e0")] = np.arange(50) % 2
    tokens = np.where(np.isnan(labels), np.nan, 30.0)
    tasks = tuple(FIRST.tasks if knn.prior.tasks else [""] * 120)
    everything = OutcomeMatrix(
        FIRST.query_ids + tuple(f"r{n}" for n in range(50)),
        FIRST.prompts + tuple(served(n).text for n in range(50)),
        (*tasks, *[""] * 50),
        NAMES,
        np.concatenate([FIRST.quality, labels]),
        np.concatenate([FIRST.output_tokens, tokens]),
    )
    texts = Queries(everything.prompts, everything.tasks)
    fitted = type(knn).fit(everything, bare.hot, queries=texts, settings=knn.settings)
    made, expected = learned.model.model.forecast(NEW), fitted.forecast(NEW)
    np.testing.assert_allclose(made.log_odds, expected.log_odds, atol=1e-4)
    np.testing.assert_array_equal(made.output_tokens, expected.output_tokens)


def test_unlabelled_answers_teach_length_alone(grow) -> None:
    learned = predictor()
    before = learned.model.forecast(NEW)
    growth = grow(learned)
    for number in range(100):
        growth.answered(served(number, tokens=900))
    assert growth.flush()
    after = learned.model.forecast(NEW)
    np.testing.assert_array_equal(after.quality.value, before.quality.value)
    column = NAMES.index("e0")
    assert (after.output_tokens[1, column] > before.output_tokens[1, column] + 100).any()
    np.testing.assert_array_equal(after.output_tokens[:, 1 - column], before.output_tokens[:, 1 - column])


def test_endpoints_that_the_model_does_not_know_are_passed_over(grow) -> None:
    learned = predictor()
    growth = grow(learned)
    growth.answered(served(1, "elsewhere"))
    assert growth.flush()
    assert (growth.rows, growth.dropped) == (0, 0)


def test_it_begins_with_what_the_log_holds(grow) -> None:
    learned, again = predictor(), predictor()
    past = [served(n) for n in range(300)]
    labels = [Label(f"r{n}", 1.0, "form", 5.0) for n in range(300)]
    growth = grow(learned, 250, past=(past, labels))
    assert growth.flush()
    assert growth.rows == 250
    other = grow(again, 250)
    for each in past[50:]:
        other.answered(each)
    other.labelled(labels, 9.0)
    assert other.flush()
    np.testing.assert_array_equal(
        learned.model.forecast(NEW).quality.value, again.model.forecast(NEW).quality.value
    )


def test_a_batch_is_predicted_by_one_model_while_others_are_swapped_in(grow) -> None:
    """Every prediction made meanwhile is that of one of the models there were, whole."""
    learned = predictor()
    requests = [make_request(f"n{i}", text) for i, text in enumerate(NEW.texts * 4)]
    seen, stop = [], threading.Event()

    def ask() -> None:
        while not stop.is_set():
            seen.append(learned.predict(requests, (0, 0)).quality.value)

    asking = threading.Thread(target=ask)
    asking.start()
    growth = grow(learned)
    for number in range(30):
        growth.answered(served(number))
        growth.labelled([Label(f"r{number}", 1.0, "form")], 1.0)
        assert growth.flush()
    stop.set()
    asking.join()
    assert len(seen) > 1
    for values in seen:
        np.testing.assert_array_equal(values[:2], values[2:4])
        np.testing.assert_array_equal(values[:2], values[6:])


def test_what_fails_is_counted_and_the_next_is_learnt(grow, monkeypatch: pytest.MonkeyPatch) -> None:
    learned = predictor()
    growth = grow(learned)
    monkeypatch.setattr("pointsman.live.growth.core_text", lambda text: text if "order 1" in text else 1 / 0)
    growth.answered(Served("r0", "odd", "", "e0", 3))
    assert growth.flush()
    growth.answered(served(1))
    assert growth.flush()
    assert (growth.rows, growth.dropped) == (1, 1)


def test_models_are_made_for_a_twentieth_of_the_time_and_what_comes_meanwhile_is_taken_in(
    grow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock runs on while a model is made: 1 s the first time, so that the next is due 19 s later."""
    clock = VirtualClock()
    made: list[float] = []
    real = LearnedModel.grown

    def timed(self, *args):
        clock.advance_to(clock.now() + 1.0)
        made.append(clock.now())
        return real(self, *args)

    monkeypatch.setattr(LearnedModel, "grown", timed)
    growth = grow(predictor(), clock=clock)
    growth.answered(served(0))
    assert growth.flush()
    for number in range(1, 400):  # in two batches at least
        growth.answered(served(number))
    while not growth._queue.empty():
        pass
    assert (made, growth.rows) == ([1.0], 1), "not due"
    clock.advance_to(20.0)
    growth.answered(served(400))
    while len(made) < 2:
        pass
    assert growth.flush()
    assert (made[1], growth.rows, growth.dropped) == (21.0, 401, 0)


def test_what_finds_no_room_is_dropped_and_nobody_waits(grow, monkeypatch: pytest.MonkeyPatch) -> None:
    go, begun = threading.Event(), threading.Event()

    def slow(text: str) -> str:
        begun.set()
        assert go.wait(30)
        return text

    monkeypatch.setattr("pointsman.live.growth.core_text", slow)
    growth = grow(predictor())
    growth.answered(served(0))
    assert begun.wait(30)
    for number in range(1, 1_101):
        growth.answered(served(number))
    assert growth.dropped == 100
    go.set()
    assert growth.flush()
    assert growth.rows == 1_000


def test_memory_is_bounded_by_the_rows_it_may_keep(grow) -> None:
    """Of a row: 8 bytes a column of the space and 16 an endpoint, and 1.6 KB of ids and labels; twice while it is made."""
    learned, most = predictor(), 500
    width = learned.model.retrieval.rows.rows.shape[1]
    growth = grow(learned, most)
    tracemalloc.start()
    try:
        for number in range(4 * most):
            growth.answered(served(number, "e0" if number % 2 else "e1"))
            growth.labelled([Label(f"r{number}", 1.0, "form"), Label(f"x{number}", 1.0, "form")], 1.0)
            if number % 250 == 249:
                assert growth.flush()
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    row = 8 * width + 16 * len(ENDPOINTS) + 1_600
    assert (growth.rows, growth.dropped) == (most, 0)
    assert kept < most * row
    assert peak < 2 * most * row + 2**20


def test_a_model_without_neighbours_cant_grow() -> None:
    with pytest.raises(DataError, match=r"kind trained looks up no past outcomes.*--model knn"):
        Growth(predictor("trained"), 10, RealClock())
