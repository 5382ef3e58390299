"""Exports: what each format holds, what it can't and says so; shared sets there and back."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointsman.data.formats.exporting import export_outcomes
from pointsman.data.formats.importing import import_outcomes
from pointsman.data.formats.outcome_set import Exported, read_outcome_set
from pointsman.data.formats.output import Source
from pointsman.data.formats.registry import EXPORTERS, OUTCOME_READERS
from pointsman.data.shared_outcomes import shared_outcomes
from pointsman.errors import DataError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

QUERIES = {"query_id": ["a", "b"], "prompt": ['One, "1"?', "Two\r\n?"], "task": ["x", None]}
OUTCOMES: Mapping[str, Sequence[Any]] = {
    "query_id": ["a", "b", "a", "b"],
    "model": ["m1", "m1", "m2", "m2"],
    "score": [1.0, 0.0, 0.5, None],
    "output_tokens": [3, 4, 5, None],
    "cost_usd": [0.25, None, 0.125, None],
}


def folder_of(
    tmp_path: Path, outcomes: Mapping[str, Sequence[Any]] = OUTCOMES, **queries: Sequence[Any]
) -> Path:
    folder = tmp_path / "given"
    folder.mkdir(parents=True)
    pq.write_table(pa.table(QUERIES | queries), folder / "queries.parquet")
    pq.write_table(pa.table(dict(outcomes)), folder / "outcomes.parquet")
    return folder


def run(name: str, tmp_path: Path, **changes: Any) -> tuple[Exported, str]:
    out = tmp_path / "made" / "out"
    exported = export_outcomes(EXPORTERS[name], folder_of(tmp_path, **changes), out)
    return exported, out.read_bytes().decode()


def test_routellm_leaves_out_what_not_every_model_was_judged_on(tmp_path: Path) -> None:
    exported, text = run("routellm", tmp_path)
    assert text == 'prompt,m1,m2\r\n"One, ""1""?",True,0.5\r\n'
    assert exported.rows == 1
    assert [note.split(":")[0] for note in exported.notes] == [
        "1 queries left out",
        "1 scores lie between 0 and 1",
    ]


def test_routerbench_leaves_cells_empty_and_names_the_cheapest_of_the_best(tmp_path: Path) -> None:
    exported, text = run("routerbench", tmp_path)
    header, first, second = csv.reader(text.splitlines(keepends=True))
    assert header[-1] == "oracle_model_to_route_to"
    assert first == ["a", repr(['One, "1"?']), "x", "1.0", "0.5", "0.25", "0.125", "m1"]
    assert second == ["b", "['Two\\r\\n?']", "", "0.0", "", "", "", "no_model_correct"]
    assert [note.split(" are")[0] for note in exported.notes] == ["1 of 4 performances", "2 of 4 costs"]
    equal = {**OUTCOMES, "score": [0.5, 1.0, 0.5, 1.0]}
    _, text = run("routerbench", tmp_path / "equal", outcomes=equal)
    assert [row[-1] for row in csv.reader(text.splitlines())][1:] == ["m2", "m1"]


def test_llmrouter_leaves_out_answers_without_a_score(tmp_path: Path) -> None:
    exported, text = run("llmrouter", tmp_path, metric=["em", None])
    first, second, third = map(json.loads, text.splitlines())
    assert exported == Exported(3, ("1 answers left out: they have no score, and the format has no gaps",))
    assert (first["query"], first["metric"], first["performance"], first["model_name"]) == (
        'One, "1"?',
        "em",
        1,
        "m1",
    )
    assert (first["output_tokens"], first["input_tokens"], first["token_num"]) == (3, None, None)
    assert [record["embedding_id"] for record in (first, second, third)] == [0, 0, 1]
    assert all(record["response"] is None for record in (first, second, third))


@pytest.mark.parametrize(
    ("name", "model"),
    [("routellm", "prompt"), ("routellm", ""), ("routerbench", "a|b"), ("routerbench", "eval_name")],
)
def test_a_model_whose_name_the_format_takes_for_something_else_is_refused(
    tmp_path: Path, name: str, model: str
) -> None:
    with pytest.raises(DataError, match=r"can't hold .*[Rr]ename"):
        run(name, tmp_path, outcomes={"query_id": ["a"], "model": [model], "score": [1.0]})
    assert list((tmp_path / "made").iterdir()) == []


def test_what_can_hold_nothing_is_refused(tmp_path: Path) -> None:
    for name in ("routellm", "llmrouter"):
        with pytest.raises(DataError, match=r"nothing of .* fits the format: .* left out"):
            run(name, tmp_path / name, outcomes={**OUTCOMES, "score": pa.nulls(4, pa.float64())})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"outcomes": {"query_id": ["a", "a"], "model": ["m", "m"], "score": [1.0, 1.0]}},
            "'a' has two rows of 'm'",
        ),
        ({"outcomes": {"query_id": ["z"], "model": ["m"], "score": [1.0]}}, "row 0: the query 'z' is not in"),
        ({"outcomes": {"query_id": ["a"], "model": ["m"], "score": [-1.0]}}, "-1.0 is no measurement"),
        ({"query_id": ["a", "a"]}, "a query id more than once"),
        ({"prompt": ["One?", ""]}, "row 1: the prompt is empty"),
    ],
)
def test_a_folder_that_is_not_as_its_schema_says_is_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        read_outcome_set(folder_of(tmp_path, **changes))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        read_outcome_set(tmp_path / "nowhere")


@pytest.mark.data
@pytest.mark.parametrize("name", ["llmrouter", "routerbench"])
def test_a_shared_set_comes_back_as_it_was(tmp_path: Path, shared_data: Path, name: str) -> None:
    folder, file = shared_data / "outcomes" / "llmrouter9", tmp_path / "file"
    exported = export_outcomes(EXPORTERS[name], folder, file)
    assert exported.rows == {"llmrouter": 49_869, "routerbench": 5_541}[name]
    source = Source(name, (file,), "2026-01-01", "llmrouter9", strict=True)
    tally = import_outcomes(OUTCOME_READERS[name], source, tmp_path / "back", lambda _: None)
    assert (tally.queries, tally.models, tally.rows) == (5_541, 9, 49_869)
    given, back = shared_outcomes(folder), shared_outcomes(tmp_path / "back")
    assert (back.prompts, back.tasks, back.endpoints) == (given.prompts, given.tasks, given.endpoints)
    np.testing.assert_array_equal(back.quality, given.quality)


@pytest.mark.data
def test_routellms_mmlu_answers_have_the_published_accuracies(tmp_path: Path, shared_data: Path) -> None:
    """As in `evals/mmlu/responses`: a file a subject, whose prompts end in `Answer:`."""
    matrix = shared_outcomes(
        shared_data / "outcomes" / "mmlu",
        endpoints=["mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"],
    )
    judged = ~np.isnan(matrix.quality).any(axis=1)
    files = []
    for subject in sorted(set(matrix.tasks)):
        files.append(tmp_path / f"mmlu_{subject}.csv")
        with files[-1].open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["prompt", "weak", "strong"])
            for row in np.flatnonzero(judged & np.equal(matrix.tasks, subject)).tolist():
                writer.writerow([matrix.prompts[row] + "\nAnswer:", *(matrix.quality[row] == 1).tolist()])
    source = Source("routellm", tuple(files), "2026-01-01", "mmlu", strict=True)
    tally = import_outcomes(OUTCOME_READERS["routellm"], source, tmp_path / "back", lambda _: None)
    back = shared_outcomes(tmp_path / "back", endpoints=["weak", "strong"])
    assert (tally.queries, len(set(back.tasks))) == (14_031, 57)
    np.testing.assert_allclose(back.quality.mean(axis=0), [0.68, 0.81], atol=0.01)
    np.testing.assert_array_equal(back.quality.mean(axis=0), matrix.quality[judged].mean(axis=0))
