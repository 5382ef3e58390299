"""`pointsman train`: any folder of outcomes becomes an artifact, or one clear line says why not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from pointsman.cli.group import ErrorGroup
from pointsman.cli.train import train
from pointsman.predict.length.learned import LearnedLengths
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.learned_model import LearnedModel
from pointsman.testing.outcomes import capital_question, made_outcomes, proof_question

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

QUERIES = {"query_id": ["a", "b"], "prompt": ["One?", "Two?"], "task": ["x", None]}
OUTCOMES = {
    "query_id": ["a", "b", "a"],
    "model": ["m1", "m1", "m2"],
    "score": [1.0, 0.0, None],
    "output_tokens": [3, 4, 5],
}


def write(folder: Path, queries: Mapping[str, Sequence[Any]], outcomes: Mapping[str, Sequence[Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(queries)), folder / "queries.parquet")
    pq.write_table(pa.table(dict(outcomes)), folder / "outcomes.parquet")
    return folder


def made(folder: Path, seed: int, n: int = 200, endpoints: tuple[str, ...] = ("both", "capitals")) -> Path:
    matrix = made_outcomes(np.random.default_rng(seed), n, endpoints)
    ids = [each for each in matrix.query_ids for _ in endpoints]
    return write(
        folder,
        {"query_id": matrix.query_ids, "prompt": matrix.prompts, "task": matrix.tasks},
        {
            "query_id": ids,
            "model": list(endpoints) * n,
            "score": matrix.quality.ravel(),
            "output_tokens": matrix.output_tokens.ravel().astype(int),
        },
    )


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("COLUMNS", "80")
    app = typer.Typer(cls=ErrorGroup, pretty_exceptions_enable=False)
    app.command()(train)
    app.callback()(lambda: None)
    return lambda *words: CliRunner().invoke(app, ["train", *map(str, words)])


def text_of(result: Result) -> str:
    return " ".join(result.output.split())


def test_it_learns_reports_writes_and_draws(run: Callable[..., Result], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    folder, out = made(tmp_path / "outcomes", 1), tmp_path / "quality"
    result = run("--outcomes", folder, "--out", out, "--plots", tmp_path / "plots", "--folds", 3)
    assert result.exit_code == 0, result.output
    said = text_of(result)
    assert "200 queries (200 different prompts), 2 endpoints, 400 labels" in said
    assert "both: 200 labels, " in said
    for word in (
        "AUROC",
        "Brier",
        "calibration",
        "by chance",
        "label in",
        "length MAE",
        "blend",
        "knn",
        "prior",
    ):
        assert word in said
    tables = [line for line in result.stdout.splitlines() if not line.startswith("written: ")]
    assert max(map(len, tables)) <= 80
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"reliability.png", "reliability.svg"}
    model = LearnedModel.read(out)
    queries = Queries.without_task([capital_question(5_001), proof_question(5_002)])
    quality = model.forecast(queries).quality.value
    assert quality[0, 1] > 0.6
    assert quality[1, 1] < 0.4
    assert model.about["labels"] == {"both": 200, "capitals": 200}
    measured = model.about["held_out"]["capitals"]
    assert measured["auroc"] > 0.7
    assert measured["label_coverage"] == pytest.approx(0.9, abs=0.06)
    assert 0.9 < measured["set_size"] < 2
    assert measured["length_coverage"] == pytest.approx(0.9, abs=0.06)
    assert 2 < measured["length_width_tokens"] < 60
    assert model.about["settings"]["folds"] == 3
    assert "held-out AUROC" in model.sentence("capitals")


def test_many_endpoints_get_a_line_each(run: Callable[..., Result], tmp_path: Path) -> None:
    names = ("both", "capitals", "a/third", "b/fourth", "c/fifth")
    folder = made(tmp_path / "outcomes", 3, 60, names)
    result = run("--outcomes", folder, "--out", tmp_path / "quality", "--model", "knn", "--folds", 2)
    assert result.exit_code == 0, result.output
    assert "Held out, by knn:" in result.stdout
    measured = LearnedModel.read(tmp_path / "quality").about["held_out"]
    lines = [line.split() for line in result.stdout.splitlines()]
    for name in names:
        cells, lengths = (line for line in lines if line and line[0] == name)
        assert cells[1:3] == ["60", f"{measured[name]['right']:.1%}"]
        assert cells[3] == f"{measured[name]['auroc']:.3f}"
        assert cells[5] == f"{measured[name]['brier']:.3f}"
        assert lengths[1] == "60"
        assert lengths[-2] == f"{measured[name]['length_coverage']:.1%}"
        assert lengths[-1] == f"{measured[name]['length_width_tokens']:.0f}"


def test_the_same_data_and_seed_give_the_same_bytes(run: Callable[..., Result], tmp_path: Path) -> None:
    folder = made(tmp_path / "outcomes", 2, 60)
    for name in ("one", "two"):
        words = ("--outcomes", folder, "--out", tmp_path / name, "--model", "prior", "--folds", 2)
        assert run(*words, "--no-baselines").exit_code == 0
    for name in ("model.json", "arrays.npz"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_bytes())
    assert manifest["about"]["data"].startswith("sha256:")


def test_several_folders_are_one_and_what_one_lacks_is_missing(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    one = made(tmp_path / "one", 3, 40, ("a", "b"))
    other = made(tmp_path / "other", 4, 60, ("c",))
    out = tmp_path / "quality"
    result = run("--outcomes", one, "--outcomes", other, "--out", out, "--model", "prior", "--no-baselines")
    assert result.exit_code == 0, result.output
    assert "60 queries (60 different prompts), 3 endpoints, 140 labels" in text_of(result)
    assert LearnedModel.read(out).about["labels"] == {"a": 40, "b": 40, "c": 60}


def test_five_rows_fall_back_to_the_prior_and_say_so(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run("--outcomes", made(tmp_path / "few", 5, 5), "--out", tmp_path / "quality")
    assert result.exit_code == 0, result.output
    assert "note: 5 different prompts are too few to learn from" in text_of(result)
    assert LearnedModel.read(tmp_path / "quality").name == "prior"


def test_one_class_falls_back_to_the_prior_and_says_so(run: Callable[..., Result], tmp_path: Path) -> None:
    matrix = made_outcomes(np.random.default_rng(6), 40, ("a",))
    queries = {"query_id": matrix.query_ids, "prompt": matrix.prompts, "task": matrix.tasks}
    outcomes = {
        "query_id": matrix.query_ids,
        "model": ["a"] * 40,
        "score": [1.0] * 40,
        "output_tokens": [None] * 39 + [3],
    }
    result = run("--outcomes", write(tmp_path / "one", queries, outcomes), "--out", tmp_path / "quality")
    assert result.exit_code == 0, result.output
    assert "note: all 40 labels are 1, so nothing tells them apart" in text_of(result)


@pytest.mark.parametrize("labelled", [1, 40])
def test_an_endpoint_with_few_labels_or_none_is_reported_as_such(
    run: Callable[..., Result], tmp_path: Path, labelled: int
) -> None:
    """Every label of `a` is 1; `b` has that many, `c` has lengths alone."""
    pytest.importorskip("matplotlib")
    matrix = made_outcomes(np.random.default_rng(8), 40, ("a", "b", "c"))
    scores = np.column_stack([np.ones(40), matrix.quality[:, 1], np.full(40, np.nan)])
    scores[0, 1], scores[labelled:, 1] = 0.0, np.nan
    queries = {"query_id": matrix.query_ids, "prompt": matrix.prompts, "task": matrix.tasks}
    outcomes = {
        "query_id": [each for each in matrix.query_ids for _ in "abc"],
        "model": ["a", "b", "c"] * 40,
        "score": scores.ravel(),
        "output_tokens": matrix.output_tokens.ravel().astype(int),
    }
    out = tmp_path / "quality"
    words = (
        "--out",
        out,
        "--model",
        "trained",
        "--folds",
        2,
        "--no-baselines",
        "--plots",
        tmp_path / "plots",
    )
    result = run("--outcomes", write(tmp_path / "few", queries, outcomes), *words)
    assert result.exit_code == 0, result.output
    said = text_of(result)
    assert "a: 40 labels, 100.0% right" in said
    assert "c: 0 labels" in said
    assert "nan" not in said
    about = LearnedModel.read(out).about
    assert about["held_out"]["c"]["right"] is None
    assert about["held_out"]["c"]["length_coverage"] > 0.5
    assert about["labels"] == {"a": 40, "b": labelled, "c": 0}


def test_no_label_at_all_gives_a_prior_and_no_plot(run: Callable[..., Result], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    matrix = made_outcomes(np.random.default_rng(9), 40, ("a",))
    queries = {"query_id": matrix.query_ids, "prompt": matrix.prompts, "task": matrix.tasks}
    outcomes = {
        "query_id": matrix.query_ids,
        "model": ["a"] * 40,
        "score": [None] * 40,
        "output_tokens": [3] * 40,
    }
    words = ("--out", tmp_path / "quality", "--plots", tmp_path / "plots")
    result = run("--outcomes", write(tmp_path / "none", queries, outcomes), *words)
    assert result.exit_code == 0, result.output
    assert "note: there is no label" in text_of(result)
    assert not (tmp_path / "plots").exists()


@pytest.mark.parametrize("file", ["queries", "outcomes"])
@pytest.mark.parametrize("damage", ["cut", "empty", "noise"])
def test_a_damaged_table_is_named(run: Callable[..., Result], tmp_path: Path, file: str, damage: str) -> None:
    place = made(tmp_path / "o", 1, 40) / f"{file}.parquet"
    raw = place.read_bytes()
    noise = b"PAR1" + np.random.default_rng(1).bytes(1_000) + b"PAR1"
    place.write_bytes({"cut": raw[: len(raw) // 2], "empty": b"", "noise": noise}[damage])
    result = run("--outcomes", tmp_path / "o", "--out", tmp_path / "quality")
    assert result.exit_code == 4
    assert f"{place} is no parquet file" in text_of(result)
    assert not (tmp_path / "quality").exists()


def test_any_script_and_any_length_is_learnt_from(run: Callable[..., Result], tmp_path: Path) -> None:
    folder = made(tmp_path / "o", 2, 40)
    queries = pq.read_table(folder / "queries.parquet").to_pydict()
    odd = ["", None, "x" * 100_000, "\U0001f600" * 5_000, "\u4e16\u754c " * 3_000, "\x00\x01", "\u202e abc"]
    queries["prompt"][: len(odd)] = odd
    pq.write_table(pa.table(queries), folder / "queries.parquet")
    for model in ("trained", "blend"):
        words = ("--out", tmp_path / model, "--model", model, "--folds", 2, "--no-baselines")
        result = run("--outcomes", folder, *words)
        assert result.exit_code == 0, result.output
        asked = Queries.without_task([each or "" for each in odd])
        assert np.isfinite(LearnedModel.read(tmp_path / model).forecast(asked).quality.value).all()


@pytest.mark.parametrize(
    ("queries", "outcomes", "why"),
    [
        ({}, {"model": ["m1", None, "m2"]}, "an outcome of the query 'b' names no endpoint"),
        ({}, {"score": [float("inf"), 0.0, 0.0]}, "inf is no measurement"),
        ({}, {"score": ["good", "bad", "good"]}, "column score"),
        ({}, {"score": [1.5, 0.0, 0.0]}, "quality of 'a' on 'm1' is 1.5, not in [0, 1]"),
        (
            {},
            {"query_id": ["a", "a", "a"], "model": ["m1"] * 3, "score": [1.0, 0.0, 1.0]},
            "'a' on 'm1' has two outcomes",
        ),
        ({"query_id": ["a", "a"]}, {"query_id": ["a", "a", "a"]}, "has the query id 'a' more than once"),
        ({}, {"query_id": ["a", "b", "z"]}, "an outcome names the query 'z', which is not there"),
        ({}, {"output_tokens": [-1, 2, 3]}, "is no measurement"),
    ],
)
def test_bad_rows_are_named(
    run: Callable[..., Result],
    tmp_path: Path,
    queries: dict[str, Any],
    outcomes: dict[str, Any],
    why: str,
) -> None:
    folder = write(tmp_path / "bad", QUERIES | queries, OUTCOMES | outcomes)
    result = run("--outcomes", folder, "--out", tmp_path / "quality")
    assert result.exit_code == 4
    assert why in text_of(result)
    assert not (tmp_path / "quality").exists()


def test_what_is_told_twice_alike_counts_once(run: Callable[..., Result], tmp_path: Path) -> None:
    twice = {name: [*values, values[0]] for name, values in OUTCOMES.items()}
    result = run("--outcomes", write(tmp_path / "twice", QUERIES, twice), "--out", tmp_path / "quality")
    assert result.exit_code == 0, result.output
    assert "2 endpoints, 2 labels" in text_of(result)


@pytest.mark.parametrize(("file", "column"), [("queries", "prompt"), ("outcomes", "score")])
def test_a_missing_column_is_named(
    run: Callable[..., Result], tmp_path: Path, file: str, column: str
) -> None:
    tables = {"queries": dict(QUERIES), "outcomes": dict(OUTCOMES)}
    del tables[file][column]
    result = run("--outcomes", write(tmp_path / "bad", tables["queries"], tables["outcomes"]))
    assert result.exit_code == 4
    assert f"{file}.parquet has no column {column}" in text_of(result)


def test_folders_that_are_none_say_what_is_missing(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run("--outcomes", tmp_path / "nowhere")
    assert result.exit_code == 4
    assert "nowhere is no folder" in text_of(result)
    result = run("--outcomes", tmp_path)
    assert "has no queries.parquet and no outcomes.parquet. Name a folder" in text_of(result)


def test_ids_of_two_texts_are_refused(run: Callable[..., Result], tmp_path: Path) -> None:
    one = write(tmp_path / "one", QUERIES, OUTCOMES)
    other = write(tmp_path / "other", QUERIES | {"prompt": ["Other?", "Two?"]}, OUTCOMES)
    result = run("--outcomes", one, "--outcomes", other)
    assert result.exit_code == 4
    assert "the query 'a' has two texts" in text_of(result)


def test_a_folder_of_something_else_is_not_overwritten(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    words = ("--outcomes", made(tmp_path / "o", 7, 40), "--model", "prior", "--no-baselines")
    result = run(*words, "--out", tmp_path / "mine")
    assert result.exit_code == 2
    assert "is no artifact of Pointsman" in text_of(result)
    assert "fitting" not in result.output, "it is said before anything is learnt"


def test_an_unknown_model_names_the_known(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run("--outcomes", tmp_path, "--model", "deep")
    assert result.exit_code == 2
    assert "Models: blend, trained, knn, prior" in text_of(result)


def test_lengths_are_learnt_without_labels_and_reported_by_folder(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    folders = []
    for number, name in enumerate(("first", "second")):
        matrix = made_outcomes(np.random.default_rng(number), 120, (name,))
        ids = [f"{name}/{query}" for query in matrix.query_ids]
        tokens = [*matrix.output_tokens[:-1, 0].astype(int).tolist(), None]
        queries = {"query_id": ids, "prompt": matrix.prompts, "task": matrix.tasks}
        outcomes = {"query_id": ids, "model": [name] * 120, "score": [None] * 120, "output_tokens": tokens}
        folders.append(write(tmp_path / name, queries, outcomes))
    out, plots = tmp_path / "length", tmp_path / "plots"
    words = ("--target", "length", "--outcomes", folders[0], "--outcomes", folders[1], "--out", out)
    result = run(*words, "--plots", plots)
    assert result.exit_code == 0, result.output
    said = text_of(result)
    assert "238 queries (119 different prompts), 2 endpoints, 238 lengths" in said
    assert "Kendall's tau over all pairs" in said
    assert {path.name for path in plots.iterdir()} == {"lengths.png", "lengths.svg", "tau.png", "tau.svg"}
    model = LearnedLengths.read(out)
    asked = [capital_question(5_001), proof_question(5_002)]
    short, long = model.forecast(Queries.without_task(asked)).mean(axis=(1, 2))
    assert long > 4 * short
    measured = model.about["held_out"]
    assert measured["tau_within"] > 0.4
    assert measured["held_80"] == pytest.approx(0.8, abs=0.1)
    assert set(measured["sets"]) == {"first", "second"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--target", "tempo"), "there is no target 'tempo'"),
        (("--target", "length", "--model", "blend"), "a score by 'blend'"),
        (("--target", "length", "--tasks"), "Leave out --tasks"),
        (("--target", "length"), "has a length"),
    ],
)
def test_lengths_that_can_not_be_learnt_say_why(
    run: Callable[..., Result], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    columns = {"score": [1.0, 0.0], "output_tokens": [None, None]}
    outcomes = {"query_id": ["a", "b"], "model": ["m", "m"], **columns}
    folder = write(tmp_path / "outcomes", QUERIES, outcomes)
    result = run("--outcomes", folder, "--out", tmp_path / "length", *words)
    assert result.exit_code != 0
    assert said in text_of(result)
