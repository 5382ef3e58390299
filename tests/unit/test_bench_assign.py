"""`bench/assign.py`, the sets it reads and what it draws, on outcomes of which the truth is known."""

from __future__ import annotations

import importlib.util
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pointsman.data.routing_sets import SHARED_SETS, RoutingSet, expected_cost, routing_set
from pointsman.errors import DataError
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.fit import FitOptions
from pointsman.predict.quality.nested import nested_forecasts
from pointsman.report.assign_plot import Curve, CurvePanel, FloorPanel, plot_curves, plot_floors
from pointsman.report.figure import save
from pointsman.report.held_out_case import kept_forecasts

BENCH = Path(__file__).resolve().parents[2] / "bench" / "assign.py"
TASKS = ("sums", "poems")
SKILL = {"sums": (0.9, 0.2, 0.95), "poems": (0.2, 0.9, 0.95)}
PRICE = np.array([1.0, 1.1, 10.0])
N = 300


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_assign", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def made_set(seed: int = 3) -> RoutingSet:
    """Two cheap endpoints, each good at one task, and a dear one that is good at both."""
    rng = np.random.default_rng(seed)
    tasks = tuple(TASKS[row % 2] for row in range(N))
    texts = tuple(
        f"add {row} and {row + 7}" if task == "sums" else f"a poem about thing {row}"
        for row, task in enumerate(tasks)
    )
    quality = (rng.random((N, 3)) < np.array([SKILL[task] for task in tasks])).astype(float)
    matrix = OutcomeMatrix(
        tuple(map(str, range(N))), texts, tasks, ("a", "b", "dear"), quality, np.full((N, 3), np.nan)
    )
    return RoutingSet("made", matrix, np.tile(PRICE, (N, 1)), "$", measured=False)


def args(**more: object) -> Namespace:
    return Namespace(**({"quick": True, "seed": 1, "keep": None} | more))


def test_nested_forecasts_never_see_the_outer_fold() -> None:
    """Other labels in the outer fold change neither its forecasts nor what was held out without it."""
    data = made_set()
    options = FitOptions("knn", "hot", folds=3, seed=1, tasks=True)
    before = nested_forecasts(data.matrix, options, folds=3)
    assert np.isfinite(before.forecast).all()
    for fold in range(3):
        own = before.outer == fold
        assert np.isnan(before.held_out[fold, own]).all()
        assert np.isfinite(before.held_out[fold, ~own]).all()
        assert (before.inner[fold] == -1).tolist() == own.tolist()
    quality = data.matrix.quality.copy()
    quality[before.outer == 0] = 1 - quality[before.outer == 0]
    other = OutcomeMatrix(
        data.matrix.query_ids, data.matrix.prompts, data.matrix.tasks, data.matrix.endpoints, quality,
        data.matrix.output_tokens,
    )  # fmt: skip
    after = nested_forecasts(other, options, folds=3)
    assert after.forecast[before.outer == 0] == pytest.approx(before.forecast[before.outer == 0], abs=0)
    assert after.held_out[0] == pytest.approx(before.held_out[0], abs=0, nan_ok=True)
    assert after.held_out[1] != pytest.approx(before.held_out[1], nan_ok=True)


def test_where_cheap_endpoints_complement_each_other_little_is_paid(bench: ModuleType) -> None:
    (case,) = bench.cases(made_set(), 1, args())
    rows, panel = bench.curve_rows([case], args())
    found = {row["way"].partition(":")[0]: row for row in rows}
    assert found["best single"]["best_quality"] == pytest.approx(0.95, abs=0.04)
    assert found["ours"]["best_quality"] > 0.9
    assert found["oracle"]["cost_at_best"] < 0.2
    at_a_fifth = {curve.name: np.interp(0.2, curve.cost_share, curve.quality) for curve in panel.curves}
    assert at_a_fifth["ours"] > at_a_fifth["threshold"] + 0.15
    assert found["ours"]["aiq"] > found["threshold"]["aiq"]
    assert {curve.name for curve in panel.curves} == {
        "ours", "as forecast", "weighted", "greedy", "nearest neighbours", "threshold", "balance aware", "oracle",
    }  # fmt: skip
    assert len(panel.alone) == 3
    assert panel.points.keys() == {"random", "round robin"}
    assert panel.points["round robin"][1] == pytest.approx(panel.points["random"][1], abs=0.05)
    assert at_a_fifth["ours"] > at_a_fifth["balance aware"] + 0.05


def test_lengths_that_are_asked_are_played_beside_those_learned(bench: ModuleType) -> None:
    """Where cost follows length and the models know theirs, what they say is worth as much as foresight."""
    data = made_set()
    tokens = np.random.default_rng(5).lognormal(3, 1, (N, 3))
    asked = replace(
        data, matrix=replace(data.matrix, output_tokens=tokens), cost=PRICE * tokens, measured=True,
        said_tokens=np.where(tokens < np.quantile(tokens, 0.95), tokens, np.nan),
    )  # fmt: skip
    (case,) = bench.cases(asked, 1, args())
    rows, panel = bench.curve_rows([case], args())
    found = {row["way"]: row for row in rows}
    assert found["lengths foreseen"]["aiq"] > found["lengths learned"]["aiq"]
    assert found["lengths foreseen"]["aiq"] >= found["lengths asked"]["aiq"] > found["lengths learned"]["aiq"]
    assert found["perception only"]["length_rank"] > 0.8 > abs(found["length first"]["length_rank"])
    assert panel.points.keys() == {"random", "round robin", "length first", "perception only"}
    assert len(panel.curves) == 8
    plot_curves([panel], "x")


def test_what_others_reach_at_no_higher_cost_and_no_lower_quality_is_what_ours_is_held_against(
    bench: ModuleType,
) -> None:
    data = made_set()
    rows = [
        {"way": "ours", "quality_at_70": 0.1, "cost_at_best": 0.2},
        {"way": "nearest neighbours", "quality_at_70": 0.05, "cost_at_best": 0.5},
        {"way": "threshold", "quality_at_70": np.nan, "cost_at_best": np.nan},
        {"way": "balance aware", "quality_at_70": -0.2, "cost_at_best": 0.8},
        {"way": "round robin", "cost_share": 0.4, "best_quality": 0.96},
    ]
    bench.against_existing(rows, data)
    best = data.matrix.quality[:, 2].mean()
    assert rows[0]["quality_over_existing"] == pytest.approx(1.1 / max(1.05, 0.96 / best) - 1)
    assert rows[0]["cost_over_existing"] == pytest.approx((0.2 / 0.4 if best <= 0.96 else 0.2 / 0.5) - 1)


def test_floors_are_kept_more_often_the_more_confidence_is_asked(bench: ModuleType) -> None:
    (case,) = bench.cases(made_set(), 1, args())
    folds = bench.in_oracles(list(bench.kept_floors(case, np.linspace(0.55, 0.9, 10))))
    rows = {row["way"]: row for row in bench.floor_rows("made", folds, args())}
    assert rows["95%"]["kept"] >= rows["90%"]["kept"] >= rows["50%"]["kept"]
    assert rows["95%"]["kept"] >= 0.9
    assert rows["95%"]["overshoot"] > rows["50%"]["overshoot"]
    assert rows["oracle multiplier"]["cost"] == pytest.approx(1.0)
    assert rows["oracle multiplier"]["kept"] == 1.0
    assert rows["always best"]["cost"] > rows["95%"]["cost"]
    assert 0 < rows["95%"]["luck"] < rows["95%"]["margin"]


def test_forecasts_that_were_kept_are_read_again(tmp_path: Path) -> None:
    options = FitOptions("knn", "hot", folds=3, seed=1, tasks=True)
    made = kept_forecasts(made_set(), "task told", options, tmp_path)
    again = kept_forecasts(made_set(), "task told", options, tmp_path)
    assert again.forecast == pytest.approx(made.forecast, abs=1e-6)
    assert len(list(tmp_path.glob("*.npz"))) == 1


def test_expected_cost_is_that_of_the_task_in_training() -> None:
    cost = np.array([[1.0], [3.0], [10.0], [99.0]])
    made = expected_cost(cost, ("a", "a", "b", "c"), np.array([0, 1, 2]))
    assert made.ravel().tolist() == [2.0, 2.0, 10.0, pytest.approx(14 / 3)]


@pytest.mark.data
@pytest.mark.parametrize("name", SHARED_SETS)
def test_every_shared_set_is_complete_and_priced(name: str, shared_data: Path) -> None:
    found = routing_set(name, shared_data, limit=200)
    assert len(found.matrix.query_ids) == 200
    assert len(found.matrix.endpoints) == {
        "llmrouter9": 9, "bfcl_2024_08": 41, "mmlu_pro": 28, "routerdc7": 7,
    }[name]  # fmt: skip
    assert np.isfinite(found.matrix.quality).all()
    assert (found.cost > 0).all()


def test_an_unknown_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no set 'x'"):
        routing_set("x", tmp_path)


def test_plots_are_drawn(tmp_path: Path) -> None:
    line = np.linspace(0.5, 0.8, 5)
    drawn = [Curve("ours", line, line), Curve("oracle", line, line + 0.1)]
    curves = [
        CurvePanel(name, drawn, [(1.0, 0.7)], {"random": (0.6, 0.5)}) for name in ("one", "two", "three")
    ]
    four = [*curves, CurvePanel("four", drawn, [(1.0, 0.7)], {"round robin": (0.6, 0.5)})]
    floors = [FloorPanel("one", line, [("95%", np.stack([line + 0.02, line, line + 0.04]))])]
    for name, figure in (
        ("a", plot_curves(curves, "x")), ("b", plot_floors(floors, "x")), ("c", plot_curves(four, "x")),
    ):  # fmt: skip
        (path,) = save(figure, tmp_path / f"{name}.png", ("png",))
        assert path.stat().st_size > 10_000
