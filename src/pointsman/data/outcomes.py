"""Writes collected outcomes in the schema of the shared data's `outcomes` folders, and reads them back.

    queries.parquet    one row a question: query_id, dataset, task, prompt, prompt_tokens_cl100k, answer
    outcomes.parquet   one row a (query_id, model): sample 0, the greedy answer
    samples.parquet    one row a (query_id, model, sample); the same columns

`outcome_folders.read_outcomes` makes a matrix to learn from out of the first two. Columns of the last
two are those of `OutcomeRow`. What is true of the whole run stands in each file's metadata under
`pointsman`. Needs the extra `data` (pyarrow).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from pointsman.data.parquet import pyarrow, read_table
from pointsman.data.question_sets import SetQuestion
from pointsman.errors import DataError

QUERIES: Final = "queries.parquet"
OUTCOMES: Final = "outcomes.parquet"
SAMPLES: Final = "samples.parquet"
_METADATA_KEY: Final = b"pointsman"
_KINDS: Final = {"str": "string", "int": "int32", "float": "float64", "bool": "bool_"}
_REMEDY: Final = "Collect it again"


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """One answer and how right it was; None where not known.

    Attributes:
        method: how `score` was found: `logprob` (the likeliest option at the first token) or `generation`
            (what the text says).
        score: in [0, 1].
        generation_score: the score of the text, whatever the method.
        answer_key: what the answer says in a canonical form, for agreement between samples: the option,
            the number, or what the code gives for the test that the prompt shows; None: nothing readable.
        parsed: the text says something that can be judged.
        finish_reason: `stop` is a natural end, `length` a cut one.
        latency_s: from sending to the last byte.
        energy_j: this request's share (`meters/share.py`) of what `meter` counted; modelled or measured.
        cpu: the processor of the machine that collected.
        chosen_logprob: natural log-probability of the chosen option, normalised over the options.
        option_logprobs: natural, as the server gave them, in the order of the options; NaN for one
            that is not among the first token's candidates.
        mean_logprob, min_logprob: over the generated tokens.
        concurrency: questions outstanding at the endpoint.
        cost_usd, output_tokens_cl100k: of the schema; not collected.
    """

    query_id: str
    model: str
    sample: int
    method: str
    score: float
    generation_score: float
    answer_key: str | None
    parsed: bool
    finish_reason: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    output_chars: int
    latency_s: float | None
    energy_j: float | None
    energy_modelled: bool | None
    meter: str | None
    cpu: str | None
    chosen_logprob: float | None
    option_logprobs: tuple[float, ...] | None
    mean_logprob: float | None
    min_logprob: float | None
    concurrency: int
    started_unix_s: float
    output_tokens_cl100k: int | None = None
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class OutcomeTable:
    """Rows of one file and what is true of all of them."""

    rows: tuple[OutcomeRow, ...]
    metadata: Mapping[str, Any]


def write_outcomes(
    folder: Path, questions: Iterable[SetQuestion], rows: Sequence[OutcomeRow], metadata: Mapping[str, Any]
) -> None:
    """Write the three files; each replaces an older one only when it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_queries(folder / QUERIES, questions, metadata)
    write_outcome_rows(folder / OUTCOMES, [row for row in rows if row.sample == 0], metadata)
    write_outcome_rows(folder / SAMPLES, rows, metadata)


def write_outcome_rows(path: Path, rows: Sequence[OutcomeRow], metadata: Mapping[str, Any]) -> None:
    """One file of outcomes; it holds no text of a question or an answer."""
    pa, _ = pyarrow()
    columns = {field.name: [getattr(row, field.name) for row in rows] for field in fields(OutcomeRow)}
    _write(path, pa.table(columns, schema=_schema(pa)), metadata)


def read_outcome_rows(path: Path) -> OutcomeTable:
    """A file that `write_outcome_rows` wrote.

    Raises: DataError where it is missing, no parquet, lacks a column or holds another kind of values in one,
    is empty, lacks a value that every answer has, or holds a score outside [0, 1], a number of tokens below
    0 or two rows of one (query_id, model, sample).
    """
    pa, _ = pyarrow()
    names = [field.name for field in fields(OutcomeRow)]
    table = read_table(path, "Make it with: pointsman collect")
    if missing := sorted(set(names) - set(table.column_names)):
        raise DataError(f"{path} has no column {', '.join(missing)}", remedy=_REMEDY)
    schema = _schema(pa)
    for field in schema:
        if not field.nullable and table[field.name].null_count:
            raise DataError(
                f"{path}: a row has no {field.name}", remedy="Remove the row, or collect it again"
            )
    try:
        whole = table.select(names).cast(schema)
    except pa.ArrowException as error:
        raise DataError(f"{path} holds other values than it should: {error}", remedy=_REMEDY) from error
    rows = tuple(_row(record) for record in whole.to_pylist())
    _check(path, rows)
    raw = (table.schema.metadata or {}).get(_METADATA_KEY, b"{}")
    return OutcomeTable(rows, json.loads(raw))


def _row(record: dict[str, Any]) -> OutcomeRow:
    if record["option_logprobs"] is not None:
        record["option_logprobs"] = tuple(record["option_logprobs"])
    return OutcomeRow(**record)


def _check(path: Path, rows: Sequence[OutcomeRow]) -> None:
    if not rows:
        raise DataError(f"{path} has no rows", remedy="Run pointsman collect again; it goes on")
    seen: set[tuple[str, str, int]] = set()
    for number, row in enumerate(rows):
        key = (row.query_id, row.model, row.sample)
        if key in seen:
            raise DataError(f"{path}, row {number}: {key} is there twice", remedy="Remove one")
        seen.add(key)
        if not 0 <= row.score <= 1:
            raise DataError(f"{path}, row {number}: a score of {row.score}, not in [0, 1]")
        if (row.output_tokens or 0) < 0:
            raise DataError(
                f"{path}, row {number}: {row.output_tokens} output tokens", remedy="Remove the row"
            )


def _write_queries(path: Path, questions: Iterable[SetQuestion], metadata: Mapping[str, Any]) -> None:
    pa, _ = pyarrow()
    rows = [
        {
            "query_id": question.id,
            "dataset": question.dataset,
            "task": question.task,
            "prompt": question.text,
            "prompt_tokens_cl100k": None,
            "answer": json.dumps(asdict(question.answer)),
        }
        for question in questions
    ]
    texts = ("query_id", "dataset", "task", "prompt")
    schema = pa.schema(
        [
            *((name, pa.string()) for name in texts),
            ("prompt_tokens_cl100k", pa.int32()),
            ("answer", pa.string()),
        ]
    )
    _write(path, pa.Table.from_pylist(rows, schema=schema), metadata)


def _schema(pa: Any) -> Any:
    """The columns of `OutcomeRow`; those that may be None are nullable."""
    made = []
    for field in fields(OutcomeRow):
        kind, _, rest = str(field.type).partition(" ")
        if kind.startswith("tuple"):
            made.append(pa.field(field.name, pa.list_(pa.float64())))
        else:
            made.append(pa.field(field.name, getattr(pa, _KINDS[kind])(), nullable=bool(rest)))
    return pa.schema(made)


def _write(path: Path, table: Any, metadata: Mapping[str, Any]) -> None:
    _, pq = pyarrow()
    partial = path.with_name(path.name + ".partial")
    stamped = table.replace_schema_metadata({_METADATA_KEY: json.dumps(metadata).encode()})
    pq.write_table(stamped, partial, compression="zstd")
    partial.replace(path)
