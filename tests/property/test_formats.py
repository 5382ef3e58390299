"""What is exported and imported again is the same, whatever texts, models and numbers there are."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.data.formats.exporting import export_outcomes
from pointsman.data.formats.importing import import_outcomes, import_trace
from pointsman.data.formats.output import Source
from pointsman.data.formats.registry import EXPORTERS, OUTCOME_READERS, TRACE_READERS
from pointsman.data.formats.routerbench import joined
from pointsman.errors import PointsmanError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("',\"\\\n\r\t[];|"), min_size=1, max_size=30
).filter(str.strip)
MODELS = st.text("abcXYZ/-. é7", min_size=1, max_size=8).map(str.strip).filter(bool).map("m".__add__)
LINES = st.sampled_from(
    [
        "prompt,m",
        "sample_id,prompt,eval_name,m",
        "TIMESTAMP,ContextTokens,GeneratedTokens",
        "2024-05-10 00:00:00,1,2",
        "a,b,c,1",
        "a,0",
        '"',
        '{"timestamp": 1, "input_length": 1, "output_length": 1}',
        '{"query": "a", "task_name": "t", "model_name": "m", "performance": 1}',
        '{"query": "a", "outputs": [{"model_name": "m"}]}',
        '{"doc_id": 0, "arguments": [["a"]], "acc": 1}',
        "{}",
        "[]",
    ]
)
SCORES = st.sampled_from([0.0, 1.0, 0.25, 1 / 3]) | st.floats(0, 1)
COUNTS = st.none() | st.integers(0, 2**31 - 1)
AMOUNTS = st.none() | st.floats(0, 1e6)

Sets = tuple[list[dict[str, Any]], list[dict[str, Any]]]


@st.composite
def sets(draw: st.DrawFn, *, gaps: bool) -> Sets:
    """Queries of one task and their outcomes; without gaps every model has a score everywhere."""
    prompts = draw(st.lists(TEXTS, min_size=1, max_size=5, unique=True))
    models = draw(st.lists(MODELS, min_size=1, max_size=3, unique=True))
    queries = [
        {
            "query_id": f"q {number}",
            "task": "task",
            "prompt": prompt,
            "ground_truth": draw(st.none() | TEXTS),
            "metric": None,
            "choices_json": draw(st.none() | TEXTS),
        }
        for number, prompt in enumerate(prompts)
    ]
    outcomes = [
        {
            "query_id": query["query_id"],
            "model": model,
            "score": draw(st.none() | SCORES) if gaps else draw(SCORES),
            "input_tokens": draw(COUNTS),
            "output_tokens": draw(COUNTS),
            "cost_usd": draw(AMOUNTS),
            "latency_s": draw(AMOUNTS),
        }
        for query in queries
        for model in models
    ]
    return queries, outcomes


def there_and_back(name: str, given_set: Sets) -> dict[tuple[str, str], Mapping[str, Any]]:
    """The outcomes by prompt and model, after an export and an import."""
    with tempfile.TemporaryDirectory() as folder:
        out, file, back = Path(folder) / "given", Path(folder) / "task.csv", Path(folder) / "back"
        write(out, given_set)
        export_outcomes(EXPORTERS[name], out, file)
        source = Source(name, (file,), "2026-01-01", name, strict=True)
        import_outcomes(OUTCOME_READERS[name], source, back, lambda _: None)
        queries = pq.read_table(back / "queries.parquet").to_pylist()
        outcomes = pq.read_table(back / "outcomes.parquet").to_pylist()
    return merged((queries, outcomes))


def write(folder: Path, given_set: Sets) -> None:
    folder.mkdir()
    kinds = {"score": pa.float64(), "cost_usd": pa.float64(), "latency_s": pa.float64()}
    kinds |= {"input_tokens": pa.int32(), "output_tokens": pa.int32()}
    for name, rows in zip(("queries", "outcomes"), given_set, strict=True):
        schema = pa.schema([(column, kinds.get(column, pa.string())) for column in rows[0]])
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / f"{name}.parquet")


def merged(given_set: Sets) -> dict[tuple[str, str], Mapping[str, Any]]:
    queries = {row["query_id"]: row for row in given_set[0]}
    found = {
        (queries[row["query_id"]]["prompt"], row["model"]): queries[row["query_id"]] | row
        for row in given_set[1]
    }
    assert len(found) == len(given_set[1])
    return found


def kept(
    rows: Mapping[tuple[str, str], Mapping[str, Any]], *names: str
) -> dict[tuple[str, str], tuple[Any, ...]]:
    return {key: tuple(row[name] for name in names) for key, row in rows.items()}


@given(sets(gaps=False))
def test_routellm_keeps_prompts_and_scores(given_set: Sets) -> None:
    names = ("task", "score")
    assert kept(there_and_back("routellm", given_set), *names) == kept(merged(given_set), *names)


@given(sets(gaps=True))
def test_routerbench_keeps_ids_scores_and_costs(given_set: Sets) -> None:
    names = ("query_id", "task", "score", "cost_usd")
    assert kept(there_and_back("routerbench", given_set), *names) == kept(merged(given_set), *names)


@given(sets(gaps=False))
def test_llmrouter_keeps_all_but_costs_and_ids(given_set: Sets) -> None:
    names = ("task", "ground_truth", "choices_json", "score", "input_tokens", "output_tokens", "latency_s")
    assert kept(there_and_back("llmrouter", given_set), *names) == kept(merged(given_set), *names)


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_a_list_written_by_python_is_read_as_its_messages(messages: list[str]) -> None:
    assert joined(repr(messages)) == "\n\n".join(messages)


@given(st.text(st.sampled_from("[]'\"\\,a \n"), max_size=40))
def test_no_text_stops_the_reading_of_a_list(text: str) -> None:
    assert isinstance(joined(f"[{text}]"), str)


@given(st.binary(max_size=200) | st.lists(LINES).map("\n".join).map(str.encode))
def test_no_bytes_do_more_than_refuse_lines(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "given"
        path.write_bytes(content)
        for name, read in OUTCOME_READERS.items():
            with suppress(PointsmanError):
                import_outcomes(read, Source(name, (path,), "", name), Path(folder) / name, silent)
            assert not list(Path(folder).rglob("*.partial"))
        for name, (read_trace, extra) in TRACE_READERS.items():
            with suppress(PointsmanError):
                import_trace(
                    read_trace,
                    extra,
                    Source(name, (path,), "", name),
                    Path(folder) / f"{name}.parquet",
                    silent,
                )
            assert not list(Path(folder).rglob("*.partial"))


def silent(_: str) -> None:
    """Nobody listens."""
