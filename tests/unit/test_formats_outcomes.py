"""Public outcome formats, a small file of each as its source writes it: what becomes of every field."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pointsman.data.formats import llmrouter, lm_eval, qaserve, routellm, routerarena, routerbench
from pointsman.data.formats.importing import import_outcomes
from pointsman.data.formats.output import Source, Tally
from pointsman.data.formats.registry import OutcomeReader
from pointsman.data.formats.routerbench import joined
from pointsman.errors import BadRequest, DataError

pq = pytest.importorskip("pyarrow.parquet")

Rows = list[dict[str, Any]]


def run(
    reader: OutcomeReader, tmp_path: Path, content: str | Sequence[str], **options: Any
) -> tuple[Tally, Rows, Rows]:
    contents = [content] if isinstance(content, str) else content
    names = options.pop("names", [f"part{number}.csv" for number in range(len(contents))])
    files = []
    for name, text in zip(names, contents, strict=True):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text, encoding="utf-8", newline="")
        files.append(path)
    source = Source("made", tuple(files), "2026-01-01", "made", **options)
    out = tmp_path / "out"
    tally = import_outcomes(reader, source, out, lambda _: None)
    return tally, table(out / "queries.parquet"), table(out / "outcomes.parquet")


def table(path: Path) -> Rows:
    """Rows without what is null."""
    return [
        {name: cell for name, cell in row.items() if cell is not None}
        for row in pq.read_table(path).to_pylist()
    ]


def objects(*records: Mapping[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


ROUTELLM = (
    "prompt,weak/m,strong,weak/m_response,strong_response\n"
    '"Two\nlines, 1+1?",True,False,two,"3, I\nthink"\nWho?,0.5,,"",x\n'
)


def test_routellm(tmp_path: Path) -> None:
    tally, queries, outcomes = run(routellm.read, tmp_path, ROUTELLM, names=["mmlu_maths.csv"])
    assert (tally.queries, tally.models, tally.rows, tally.refused) == (2, 2, 4, 0)
    first = queries[0]
    assert first["query_id"].startswith("mmlu_maths:")
    assert (first["task"], first["dataset"], first["prompt"]) == ("mmlu_maths", "made", "Two\nlines, 1+1?")
    assert [(row["model"], row.get("score"), row["output_chars"]) for row in outcomes] == [
        ("weak/m", 1.0, 3),
        ("strong", 0.0, 10),
        ("weak/m", 0.5, 0),
        ("strong", None, 1),
    ]


def test_prompts_that_come_again_are_queries_of_their_own(tmp_path: Path) -> None:
    text = "prompt,m\nSame?,True\nSame?,False\nSame?,True\n"
    tally, queries, _ = run(routellm.read, tmp_path, text)
    ids = [row["query_id"] for row in queries]
    assert ids == [ids[0], ids[0] + "~2", ids[0] + "~3"]
    again = run(routellm.read, tmp_path / "again", text)[1]
    assert [row["query_id"] for row in again] == ids
    assert tally.refused == 0


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("Who?,maybe", "m is 'maybe', not a number from 0 to 1"),
        ("Who?,nan", "m is 'nan', not a number from 0 to 1"),
        ("Who?,1.5", "m is '1.5', not a number from 0 to 1"),
        ("Who?,-1", "m is '-1', not a number from 0 to 1"),
        ("Who?,1_0", "m is '1_0', not a number"),
        (" ,True", "the prompt is empty"),
        ("Who\udcff?,True", "no character"),
        ("Who?", "1 cells, the first line 2"),
    ],
)
def test_a_bad_line_is_refused_with_value_limit_and_remedy(tmp_path: Path, row: str, said: str) -> None:
    (tmp_path / "part0.csv").write_bytes(f"prompt,m\n{row}\nGood?,True\n".encode(errors="surrogateescape"))
    source = Source("made", (tmp_path / "part0.csv",), "2026-01-01", "made")
    tally = import_outcomes(routellm.read, source, tmp_path / "out", lambda _: None)
    assert (tally.refused, tally.rows) == (1, 1)
    assert tally.shown[0].startswith("part0.csv, line 2: ")
    assert said in tally.shown[0]
    assert (tmp_path / "out" / "refused.txt").read_text() == tally.shown[0] + "\n"
    strict = Source("made", source.files, "2026-01-01", "made", strict=True)
    with pytest.raises(DataError, match=r"line 2: .*--strict"):
        import_outcomes(routellm.read, strict, tmp_path / "strict", lambda _: None)
    assert list((tmp_path / "strict").iterdir()) == []


def test_every_refused_line_stands_in_the_log_and_few_are_shown(tmp_path: Path) -> None:
    text = "prompt,m\n" + "Who?,9\n" * 40 + "Good?,1\n"
    tally, *_ = run(routellm.read, tmp_path, text)
    logged = (tmp_path / "out" / "refused.txt").read_text().splitlines()
    assert [line.split(":")[0] for line in logged] == [f"part0.csv, line {number}" for number in range(2, 42)]
    assert (tally.refused, len(tally.shown)) == (40, 10)


def test_a_file_without_a_good_line_gives_nothing_and_the_first_reason(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no line of .*part0.csv, line 2: m is 'x'"):
        run(routellm.read, tmp_path, "prompt,m\nWho?,x\n")
    with pytest.raises(DataError, match="no line of"):
        run(routellm.read, tmp_path, "prompt,m\n")
    with pytest.raises(DataError, match="no model's column"):
        run(routellm.read, tmp_path, "prompt,\nWho?,1\n")
    assert list((tmp_path / "out").iterdir()) == []


ROUTERBENCH = (
    "sample_id,prompt,eval_name,a/b,c,a/b|model_response,c|model_response,a/b|total_cost,c|total_cost,"
    "oracle_model_to_route_to\n"
    "mmlu.1,\"['It\\'s A, B?', 'Sure?']\",mmlu,1.0,0.25,['A'],\"['B', 'C\\n']\",7.5e-05,0.001,a/b\n"
    "mmlu.2,Plain [text],mmlu,0.0,,,,0.0,,no_model_correct\n"
)


def test_routerbench(tmp_path: Path) -> None:
    tally, queries, outcomes = run(routerbench.read, tmp_path, ROUTERBENCH)
    assert (tally.queries, tally.models, tally.rows, tally.refused) == (2, 2, 4, 0)
    assert queries == [
        {"query_id": "mmlu.1", "dataset": "made", "task": "mmlu", "prompt": "It's A, B?\n\nSure?"},
        {"query_id": "mmlu.2", "dataset": "made", "task": "mmlu", "prompt": "Plain [text]"},
    ]
    assert outcomes[0] == {
        "query_id": "mmlu.1",
        "model": "a/b",
        "score": 1.0,
        "output_chars": 1,
        "cost_usd": 7.5e-05,
    }
    assert outcomes[1]["output_chars"] == len("B\n\nC\n")
    assert outcomes[3] == {"query_id": "mmlu.2", "model": "c", "output_chars": 0}


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "[]",
        "['a'",
        "['a' 'b']x",
        "['a', b]",
        "[__import__('os')]",
        "['a'] + ['b']",
        "['\\N{no}']",
        "[[['a']]]",
    ],
)
def test_text_that_is_no_list_of_texts_stays_as_it_is(text: str) -> None:
    assert joined(text) == text


def test_messages_of_python_lists_are_read_one_by_one() -> None:
    assert joined(repr(["it's", 'a "b"', "line\nbreak \\ é \t"])) == 'it\'s\n\na "b"\n\nline\nbreak \\ é \t'
    assert joined("['line\nbreak \\d']") == "line\nbreak \\d"
    long = "x" * 900_000
    assert joined(repr([long])) == long


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("prompt,eval_name,m\n", "no column sample_id"),
        ("sample_id,prompt,eval_name\n", "no column with the performance of any model"),
        ("sample_id,prompt,eval_name,m,n|total_cost\n", "no column with the performance of n"),
    ],
)
def test_a_table_that_is_not_routerbenchs_is_refused(tmp_path: Path, head: str, said: str) -> None:
    with pytest.raises(DataError, match=said.replace("|", r"\|")):
        run(routerbench.read, tmp_path, head + "1,x,y,0,0\n")


LLMROUTER = {
    "task_name": "gsm8k",
    "query": "How many?",
    "ground_truth": "2",
    "metric": "GSM8K",
    "choices": None,
    "task_id": None,
    "model_name": "small",
    "response": "Two: 2",
    "token_num": 13,
    "input_tokens": 9,
    "output_tokens": 4,
    "response_time": 1.5,
    "api_key_used": "",
    "performance": 1.0,
    "embedding_id": 42,
}


def test_llmrouter(tmp_path: Path) -> None:
    other = LLMROUTER | {"model_name": "large", "performance": 0, "response_time": None}
    failed = LLMROUTER | {
        "model_name": "down",
        "response": "API Error: 500",
        "output_tokens": 0,
        "performance": 0.0,
    }
    repeated = LLMROUTER | {"performance": 0.0}
    another = LLMROUTER | {"choices": '{"text": ["1"], "labels": ["A"]}'}
    text = objects(LLMROUTER, other, failed, repeated, another)
    tally, queries, outcomes = run(llmrouter.read, tmp_path, text)
    assert (tally.queries, tally.models, tally.rows, tally.refused, tally.failed_calls) == (2, 2, 3, 1, 1)
    assert "line 4: 'small' answered" in tally.shown[0]
    first = queries[0]
    assert (first["task"], first["prompt"], first["ground_truth"], first["metric"]) == (
        "gsm8k",
        "How many?",
        "2",
        "GSM8K",
    )
    assert "choices_json" not in first
    assert json.loads(queries[1]["choices_json"])["labels"] == ["A"]
    assert outcomes[0] == {
        "query_id": first["query_id"],
        "model": "small",
        "score": 1.0,
        "input_tokens": 9,
        "output_tokens": 4,
        "output_chars": 6,
        "latency_s": 1.5,
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"query": None}, "query is missing"),
        ({"query": 7}, "query is 7, not a text"),
        ({"model_name": ""}, "model_name is ''"),
        ({"performance": 1.2}, "performance is 1.2, not a number from 0 to 1"),
        ({"performance": [1]}, "performance is [1]"),
        ({"input_tokens": -1}, "input_tokens is -1, not a whole number"),
        ({"input_tokens": 1.5}, "input_tokens is 1.5, not a whole number"),
        ({"output_tokens": 2**31}, "output_tokens is 2147483648, not a whole number"),
        ({"output_tokens": True}, "output_tokens is True, not a whole number"),
        ({"response_time": -2}, "response_time is -2, not a number of at least 0"),
        ({"response_time": 10**400}, "response_time is 1000"),
        ({"choices": {"a": 1}}, "choices is {'a': 1}, not a text"),
        ({"query": "\ud800"}, "no character"),
    ],
)
def test_a_field_of_the_wrong_kind_refuses_its_record(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    tally, _, outcomes = run(llmrouter.read, tmp_path, objects(LLMROUTER, LLMROUTER | change))
    assert (len(outcomes), tally.refused) == (1, 1)
    assert said in tally.shown[0]


ARENA = {
    "global_index": "AIME_112",
    "question": "Find N.",
    "llm_selected": "small",
    "generated_answer": "982",
    "token_usage": {"input_tokens": 349, "output_tokens": 120, "total_tokens": 469},
    "success": True,
    "evaluation_result": {
        "ground_truth": "610",
        "score": 0.0,
        "metric": "math_metric",
        "inference_cost": 0.0002,
    },
}


def test_routerarena_of_two_models_becomes_one_set(tmp_path: Path) -> None:
    unjudged = ARENA | {"global_index": "GSM8K_1", "evaluation_result": None, "token_usage": None}
    failed = ARENA | {"global_index": "AIME_2", "success": False}
    other = ARENA | {"llm_selected": "large"}
    moved = other | {"question": "Find M."}
    texts = [objects(ARENA, unjudged, failed), objects(other, moved)]
    tally, queries, outcomes = run(routerarena.read, tmp_path, texts)
    assert (tally.queries, tally.models, tally.rows, tally.failed_calls) == (2, 2, 3, 1)
    assert [(row["query_id"], row["task"]) for row in queries] == [("AIME_112", "AIME"), ("GSM8K_1", "GSM8K")]
    assert outcomes[0] == {
        "query_id": "AIME_112",
        "model": "small",
        "score": 0.0,
        "input_tokens": 349,
        "output_tokens": 120,
        "output_chars": 3,
        "cost_usd": 0.0002,
    }
    assert outcomes[1] == {"query_id": "GSM8K_1", "model": "small", "output_chars": 3}
    (moved_away,) = tally.shown
    assert moved_away.startswith("part1.csv, line 2: the query 'AIME_112' says something else than before")


def test_qaserve(tmp_path: Path) -> None:
    small = {"model_name": "s", "correctness": True, "output_token_length": 5, "prediction": "A."}
    large = {"model_name": "l", "correctness": False, "output_token_length": 50}
    record = {"query": "Who?", "input_token_length": 12, "outputs": [small, large]}
    bad = [record | {"outputs": []}, record | {"outputs": [small, small]}, record | {"outputs": ["s"]}]
    tally, queries, outcomes = run(qaserve.read, tmp_path, objects(record, *bad), names=["knowledge.jsonl"])
    assert (tally.queries, tally.rows, tally.refused) == (1, 2, 3)
    assert queries[0]["task"] == "knowledge"
    assert [
        {name: row[name] for name in ("model", "score", "input_tokens", "output_tokens")} for row in outcomes
    ] == [
        {"model": "s", "score": 1.0, "input_tokens": 12, "output_tokens": 5},
        {"model": "l", "score": 0.0, "input_tokens": 12, "output_tokens": 50},
    ]
    assert outcomes[0]["output_chars"] == 2


def sample(doc_id: int, filter_name: str, score: float, **more: Any) -> dict[str, Any]:
    return {
        "doc_id": doc_id,
        "doc": {"question": "?"},
        "target": "4",
        "arguments": {"gen_args_0": {"arg_0": f"Q: {doc_id}\nA:", "arg_1": {"until": ["\n"]}}},
        "resps": [[" 4."]],
        "filtered_resps": ["4"],
        "filter": filter_name,
        "doc_hash": "x",
        "exact_match": score,
    } | more


LOG = "samples_gsm8k_cot_2026-02-03T04-05-06.789012.jsonl"
TWO_FILTERS = objects(*(sample(number, name, 1.0) for number in (0, 1) for name in ("strict", "flexible")))


def test_lm_eval_logs_of_two_models_join(tmp_path: Path) -> None:
    texts = [objects(sample(0, "none", 1.0), sample(1, "none", 0.0)), objects(sample(1, "none", True))]
    tally, queries, outcomes = run(lm_eval.read, tmp_path, texts, names=[f"org__a/{LOG}", f"org__b/{LOG}"])
    assert (tally.queries, tally.models, tally.rows) == (2, 2, 3)
    assert queries[1] == {
        "query_id": "gsm8k_cot:1",
        "dataset": "made",
        "task": "gsm8k_cot",
        "prompt": "Q: 1\nA:",
    }
    assert outcomes[2] == {"query_id": "gsm8k_cot:1", "model": "org__b", "score": 1.0, "output_chars": 3}


def test_lm_eval_asks_for_a_name_where_there_are_several(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"filters 'strict' and 'flexible'. Name one with --filter"):
        run(lm_eval.read, tmp_path, TWO_FILTERS)
    tally, *_ = run(partial(lm_eval.read, only="flexible", model="m"), tmp_path, TWO_FILTERS)
    assert (tally.queries, tally.rows, tally.refused) == (2, 2, 0)
    two = objects(sample(0, "none", 1.0, acc_norm=0.0))
    with pytest.raises(BadRequest, match=r"the metrics exact_match, acc_norm.*--metric"):
        run(lm_eval.read, tmp_path / "two", two)
    _, _, outcomes = run(partial(lm_eval.read, metric="acc_norm"), tmp_path / "named", two)
    assert outcomes[0]["score"] == 0.0
    listed = objects(sample(0, "none", 1.0, metrics=["exact_match"], other=0.5))
    assert run(lm_eval.read, tmp_path / "listed", listed)[2][0]["score"] == 1.0
    with pytest.raises(BadRequest, match="has no metric"):
        run(lm_eval.read, tmp_path / "none", objects({**sample(0, "none", 1.0), "exact_match": "yes"}))


def test_lm_eval_reads_chat_lists_and_options_and_refuses_the_rest(tmp_path: Path) -> None:
    chat = json.dumps([{"role": "user", "content": "Hi"}])
    records = [
        sample(0, "none", 1.0, arguments={"gen_args_0": {"arg_0": [chat]}}),
        sample(1, "none", 1.0, arguments=[["Context", " A"], ["Context", " B"]], resps=[[[-1.5, False]]]),
        sample(2, "none", 1.0, arguments={}),
        sample(3, "none", 1.5),
        sample(4, "none", 1.0) | {"doc_id": None},
    ]
    tally, queries, outcomes = run(partial(lm_eval.read, metric="exact_match"), tmp_path, objects(*records))
    assert [row["prompt"] for row in queries] == [chat, "Context"]
    assert "output_chars" not in outcomes[1]
    said = ("arg_0 is no text", "exact_match is 1.5", "doc_id is missing")
    assert all(word in line for word, line in zip(said, tally.shown, strict=True))


@pytest.mark.parametrize("reader", [routellm.read, routerbench.read, llmrouter.read])
def test_the_metadata_say_where_it_came_from(tmp_path: Path, reader: Callable[..., Any]) -> None:
    text = {routellm.read: ROUTELLM, routerbench.read: ROUTERBENCH, llmrouter.read: objects(LLMROUTER)}[
        reader
    ]
    run(reader, tmp_path, text, options={"metric": None, "filter": "f"})
    for name in ("queries", "outcomes"):
        schema = pq.read_schema(tmp_path / "out" / f"{name}.parquet")
        about = json.loads(schema.metadata[b"pointsman"])
        (file,) = about["files"]
        assert (about["imported"], about["created"], about["filter"]) == ("made", "2026-01-01", "f")
        assert "metric" not in about
        assert (file["name"], file["bytes"], len(file["sha256"])) == ("part0.csv", len(text), 64)
        assert about["refused"] == 0
