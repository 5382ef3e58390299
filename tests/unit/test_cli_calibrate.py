"""`pointsman calibrate`: a budget in, a model name with its expected quality out."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from pointsman.cli.calibrate import calibrate
from pointsman.cli.group import ErrorGroup
from pointsman.data.outcome_folders import read_outcomes
from pointsman.predict.quality.fit import FitOptions, fit_quality
from pointsman.testing.outcomes import EASY_SHARE, HARD_SHARE, made_outcomes

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

N = 600


def invoke(*args: str | Path) -> Result:
    app = typer.Typer(cls=ErrorGroup)
    app.command()(calibrate)
    app.callback()(lambda: None)
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, ["calibrate", *map(str, args)])


def calibrated(*args: str | Path) -> dict:
    result = invoke(*args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def rows(endpoints: tuple[str, ...] = ("m",)) -> list[dict]:
    rng = np.random.default_rng(5)
    made = []
    for query in range(N):
        for column, endpoint in enumerate(endpoints):
            p = float(min(1.0, rng.random() * (0.6 + 0.4 * column) + 0.2 * column))
            made.append(
                {"id": f"q{query}", "endpoint": endpoint, "p": p, "y": float(rng.random() < p),
                 "group": f"g{query // 2}", "cost_usd": 0.001 * 10**column, "energy_j": 5.0 * (column + 1)}
            )  # fmt: skip
    return made


def written(path: Path, made: list[dict]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(made), path)
        return path
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(made[0]))
        writer.writeheader()
        writer.writerows(made)
    return path


def test_a_share_of_runs_gives_a_model_name(tmp_path: Path) -> None:
    file = written(tmp_path / "held_out.csv", rows())
    made = calibrated("--predictions", file, "--run-share", "0.4")
    assert made["model"] == f"router-threshold-{made['threshold']:g}"
    assert 0.38 < made["run_share"]["value"] <= 0.4
    quality = made["quality"]
    assert quality["low"] < quality["value"] < quality["high"]
    assert quality["value"] > made["by_chance"]
    assert made["curve"]["run_share"][0] == 1.0
    assert "600 queries of held_out.csv, 300 groups" in made["data"]
    page = invoke("--predictions", file, "--run-share", "0.4").stdout
    assert page.splitlines()[-1] == f"model name: {made['model']}"
    assert f"{quality['value']:.1%}" in page


def test_equal_predictions_run_all_or_none_and_it_says_so(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", [{"id": f"q{n}", "p": 0.5, "y": n % 2} for n in range(20)])
    for share, said in (("0.4", True), ("1", False)):
        result = invoke("--predictions", path, "--run-share", share)
        assert result.exit_code == 0, result.output
        assert ("note: no threshold runs any query within the budget" in result.output) is said
        assert ("the fewest that one runs are 100.0%" in result.output.replace("\n", " ")) is said


def test_parquet_and_csv_say_the_same(tmp_path: Path) -> None:
    one = calibrated("--predictions", written(tmp_path / "a.csv", rows()), "--max-energy-j", "2.5")
    other = calibrated("--predictions", written(tmp_path / "a.parquet", rows()), "--max-energy-j", "2.5")
    assert one | {"data": ""} == other | {"data": ""}
    assert one["budget"] == "energy_j"
    assert 2.4 < one["cost"]["value"] <= 2.5
    assert one["cost"]["value"] == pytest.approx(5.0 * one["run_share"]["value"])


def test_dollars_buy_a_floor_over_several_endpoints(tmp_path: Path) -> None:
    file = written(tmp_path / "two.csv", rows(("small", "large")))
    base = ("--predictions", file, "--policy", "floor", "--queries", "10000")
    poor, rich = (calibrated(*base, "--max-cost-usd", dollars) for dollars in ("30", "80"))
    assert poor["model"].startswith("router-floor-")
    assert poor["curve"]["run_share"] == [1.0] * len(poor["curve"]["run_share"])
    assert poor["threshold"] < rich["threshold"]
    assert poor["quality"]["value"] < rich["quality"]["value"]
    for made, dollars in ((poor, 30), (rich, 80)):
        assert 0.8 * dollars < 10_000 * made["cost"]["value"] <= dollars
        assert made["run_share"]["value"] == 1.0


def test_joules_of_a_floor_are_those_of_the_cheapest_in_dollars(tmp_path: Path) -> None:
    made = [row | {"energy_j": 15.0 - row["energy_j"]} for row in rows(("small", "large"))]  # 10 J and 5 J
    base = ("--policy", "floor", "--max-energy-j", "7")
    priced = calibrated("--predictions", written(tmp_path / "priced.csv", made), *base)
    assert priced["holds_where"] is None
    assert (
        max(priced["curve"]["cost"]) == priced["curve"]["cost"][0] == 10.0
    )  # floor 0: small, if dear in joules
    bare = [{name: value for name, value in row.items() if name != "cost_usd"} for row in made]
    file = written(tmp_path / "bare.csv", bare)
    assert "prices are equal" in calibrated("--predictions", file, *base)["holds_where"]
    assert "This holds where prices are equal" in invoke("--predictions", file, *base).stdout


def test_a_cost_that_is_not_needed_is_not_looked_at(tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", [row | {"cost_usd": "?"} for row in rows()])
    assert calibrated("--predictions", file, "--max-energy-j", "2.5")["budget"] == "energy_j"


def test_the_curve_is_drawn(tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", rows())
    for budget in (("--run-share", "0.4"), ("--max-cost-usd", "0.0005")):
        result = invoke("--predictions", file, *budget, "--plot", tmp_path / "plots" / "budget")
        assert result.exit_code == 0, result.output
        assert {path.suffix for path in (tmp_path / "plots").iterdir()} == {".png", ".svg"}


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ((), 2, "a budget is needed, once"),
        (("--run-share", "0.4", "--max-cost-usd", "1"), 2, "a budget is needed, once"),
        (("--run-share", "0"), 2, "a run share of 0 can't be used"),
        (("--max-energy-j", "-1"), 2, "a budget of -1 can't be used"),
        (("--run-share", "0.4", "--policy", "floor"), 2, "the policy floor runs every query"),
        (("--run-share", "0.4", "--policy", "best"), 2, "there is no policy 'best'"),
        (("--run-share", "0.4", "--artifact", "quality"), 2, "--predictions holds its own predictions"),
        (("--run-share", "0.4", "--outcomes", "x"), 2, "validation data is needed, once"),
    ],
)
def test_a_bad_budget_is_refused(tmp_path: Path, args: tuple[str, ...], code: int, message: str) -> None:
    result = invoke("--predictions", written(tmp_path / "a.csv", rows()), *args)
    assert (result.exit_code, message in " ".join(result.output.split())) == (code, True), result.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,p\na,0.5\n", "has no column y"),
        ("id,p,y\na,0.5,1\n,0.5,1\n", "row 1 has no id"),
        ("id,p,y\na,1.5,1\n", "line 2, column p: '1.5' can't be used. Give a number from 0 to 1"),
        ("id,p,y\na,0.5,maybe\n", "line 2, column y: 'maybe' can't be used"),
        ("id,p,y\na,nan,1\n", "line 2, column p: 'nan' can't be used"),
        ("id,p,y\na,0.5,1\na,0.6,1\n", "'a' on 'the model' comes twice"),
        ("id,endpoint,p,y\na,m,0.5,1\nb,n,0.6,1\n", "'a' has no row of endpoint 'n'"),
        ("id,p,y\n", "has a first line but no rows"),
        ("", "is empty"),
    ],
)
def test_a_bad_table_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text(text)
    result = invoke("--predictions", file, "--run-share", "0.4")
    assert (result.exit_code, message in " ".join(result.output.split())) == (4, True), result.output


def test_a_budget_of_dollars_needs_their_column(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id,p,y\na,0.5,1\n")
    result = invoke("--predictions", file, "--max-cost-usd", "1")
    assert (result.exit_code, "has no column cost_usd" in result.output) == (4, True)
    missing = invoke("--predictions", tmp_path / "none.csv", "--run-share", "0.4")
    assert (missing.exit_code, "does not exist" in " ".join(missing.output.split())) == (4, True)


# From outcomes: the endpoint `both` is right on all, `capitals` only on every other question.

CONFIG = """
model_list:
  - model_name: capitals
    litellm_params: {model: hosted_vllm/x, api_base: "http://127.0.0.1:9/v1"}
    model_info: {input_cost_per_token: 1.0e-6, output_cost_per_token: 1.0e-6}
  - model_name: both
    litellm_params: {model: hosted_vllm/y, api_base: "http://127.0.0.1:9/v1"}
    model_info: {input_cost_per_token: 1.0e-4, output_cost_per_token: 1.0e-4}
"""


def outcomes(folder: Path, seed: int, endpoints: tuple[str, ...]) -> Path:
    matrix = made_outcomes(np.random.default_rng(seed), 200, ("both", "capitals"))
    columns = [matrix.endpoints.index(name) for name in endpoints]
    folder.mkdir()
    pq.write_table(
        pa.table({"query_id": matrix.query_ids, "prompt": matrix.prompts, "task": matrix.tasks}),
        folder / "queries.parquet",
    )
    told = {
        "query_id": [each for each in matrix.query_ids for _ in endpoints],
        "model": list(endpoints) * len(matrix.query_ids),
        "score": matrix.quality[:, columns].ravel(),
        "output_tokens": matrix.output_tokens[:, columns].ravel().astype(int),
    }
    pq.write_table(pa.table(told), folder / "outcomes.parquet")
    return folder


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an artifact, the outcomes it learnt, and others."""
    folder = tmp_path_factory.mktemp("learnt")
    seen = outcomes(folder / "seen", 1, ("both", "capitals"))
    outcomes(folder / "fresh", 2, ("both", "capitals"))
    outcomes(folder / "fresh_capitals", 2, ("capitals",))
    fit_quality(read_outcomes([seen]), FitOptions(folds=2)).model.write(folder / "quality")
    (folder / "config.yaml").write_text(CONFIG)
    return folder


def test_an_artifact_knows_which_half_to_run(learnt: Path) -> None:
    base = ("--outcomes", learnt / "fresh_capitals", "--artifact", learnt / "quality")
    made = calibrated(*base, "--run-share", "0.5")
    assert "200 queries on 1 endpoint, predicted by quality" in made["data"]
    assert made["accuracy"]["value"] == pytest.approx(EASY_SHARE, abs=0.08)
    assert made["quality"]["value"] > 1.5 * made["by_chance"]
    assert made["curve"]["quality"][0] == pytest.approx((EASY_SHARE + HARD_SHARE) / 2, abs=0.08)


def test_without_an_artifact_outcomes_are_predicted_out_of_fold(learnt: Path) -> None:
    made = calibrated("--outcomes", learnt / "fresh_capitals", "--run-share", "0.5")
    assert made["data"].endswith("predicted out of fold")
    assert made["accuracy"]["value"] == pytest.approx(EASY_SHARE, abs=0.08)


def test_the_prices_of_a_configuration_make_a_floor(learnt: Path) -> None:
    base = (
        "--outcomes",
        learnt / "fresh",
        "--artifact",
        learnt / "quality",
        "--config",
        learnt / "config.yaml",
    )
    dear = calibrated(*base, "--policy", "floor", "--max-cost-usd", "100")
    cheap = calibrated(*base, "--policy", "floor", "--max-cost-usd", str(0.7 * dear["cost"]["value"]))
    assert dear["quality"]["value"] == pytest.approx(EASY_SHARE, abs=0.06)
    assert cheap["cost"]["value"] <= 0.7 * dear["cost"]["value"] + 1e-12
    assert cheap["run_share"]["value"] == 1.0
    assert "costs predicted too" in cheap["data"]


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("seen", "--artifact", "quality", "--run-share", "0.5"), 4, "was learnt from these very outcomes"),
        (("fresh", "--max-cost-usd", "1"), 2, "Give --artifact and --config, or --run-share alone"),
        (("fresh", "--config", "config.yaml", "--run-share", "0.5"), 2, "Give --artifact and --config"),
        (("nowhere", "--run-share", "0.5"), 4, "is no folder"),
        (("fresh", "--artifact", "nowhere", "--run-share", "0.5"), 4, "nowhere"),
    ],
)
def test_outcomes_that_can_not_be_used_are_refused(
    learnt: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], code: int, message: str
) -> None:
    monkeypatch.chdir(learnt)
    result = invoke("--outcomes", *args)
    assert (result.exit_code, message in " ".join(result.output.split())) == (code, True), result.output
