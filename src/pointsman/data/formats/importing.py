"""Public files into our tables, line by line: good lines are written, bad ones reported by number."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from pointsman.data.formats.output import Source, Tally, written
from pointsman.data.formats.registry import OutcomeReader, TraceReader
from pointsman.data.formats.row_writer import OUTCOME_COLUMNS, QUERY_COLUMNS, TRACE_COLUMNS
from pointsman.data.formats.rows import Answered, Arrival, Refused
from pointsman.data.outcomes import OUTCOMES, QUERIES
from pointsman.data.parquet import pyarrow, read_table

_SAY_EVERY: Final = 100_000
_EVERY_TRACE: Final = ("request_id", "arrival_s", "input_tokens", "output_tokens")

Row = TypeVar("Row")


def import_outcomes(read: OutcomeReader, source: Source, folder: Path, say: Callable[[str], None]) -> Tally:
    """Write `queries.parquet`, `outcomes.parquet` and, where lines were refused, `refused.txt`.

    Raises: DataError for a file that can't be read as this format, for one in which no line is good, and
        under `strict` for the first bad line; then nothing is written. MissingError without pyarrow.
    Memory: some 300 bytes a query, to know again what came before; texts are not kept.
    """
    tally, known = Tally(), _Known()
    paths = (folder / QUERIES, folder / OUTCOMES, folder / "refused.txt")
    with written(source, tally, paths, (QUERY_COLUMNS, OUTCOME_COLUMNS)) as ((queries, outcomes), refuse):
        for path in source.files:
            for number, row in _said(read(path, _task(path)), path, say):
                if isinstance(row, Refused):
                    refuse(path, number, row)
                    continue
                tally.failed_calls += row.failed_calls
                new = known.add(row)
                if isinstance(new, Refused):
                    refuse(path, number, new)
                    continue
                query = row.query
                if new:
                    told = (query.ground_truth, query.metric, query.choices_json)
                    queries.add((query.id, source.dataset, query.task, query.prompt, None, *told))
                for each in row.answers:
                    counts = (each.input_tokens, each.output_tokens, None, each.output_chars)
                    rest = (each.cost_usd, each.latency_s, None)
                    outcomes.add((query.id, each.model, each.score, *counts, *rest))
        tally.queries, tally.models, tally.rows = queries.rows, len(known.models), outcomes.rows
    return tally


def import_trace(
    read: TraceReader, extra: Sequence[str], source: Source, path: Path, say: Callable[[str], None]
) -> Tally:
    """Write a trace, sorted by arrival and counted from the first; beside it `<name>.refused.txt` if need be.

    Args:
        read: what knows the format.
        extra: columns beside those of every trace.
        source: of one file.
        path: the parquet file.
        say: is told what goes on.

    Raises: as `import_outcomes`.
    Memory: bounded, unless arrivals are out of order: then the whole table, to sort it.
    """
    tally = Tally()
    columns = {name: kind for name, kind in TRACE_COLUMNS.items() if name in (*_EVERY_TRACE, *extra)}
    paths = (path, path.with_name(path.name + ".refused.txt"))
    first = last = None
    ordered = True
    (file,) = source.files
    with written(source, tally, paths, (columns,)) as ((rows,), refuse):
        for number, row in _said(read(file), file, say):
            if isinstance(row, Refused):
                refuse(file, number, row)
            elif row.failed:
                tally.failed_calls += 1
            else:
                first = row.arrival_s if first is None else first
                ordered = ordered and (last is None or row.arrival_s >= last)
                last = row.arrival_s
                cells = _cells(row, last - first)
                rows.add((rows.rows, *(cells[name] for name in list(columns)[1:])))
        tally.rows = rows.rows
        if not ordered:
            say("sorting")
            rows.arrange = _sort
    return tally


@dataclass(slots=True)
class _Known:
    """Which queries came, who answered each, and a hash of what it said."""

    models: dict[str, int] = field(default_factory=dict)
    queries: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def add(self, row: Answered) -> bool | Refused:
        """Whether the query is to be written; or why not: an answer that was there, or another text."""
        query = row.query
        if not row.answers:
            return False
        told = hashlib.blake2b(f"{query.task}\0{query.prompt}".encode(), digest_size=8).digest()
        before, said = self.queries.get(query.id, (0, told))
        if said != told:
            return Refused(
                f"the query {query.id!r} says something else than before. Import files of different prompts apart"
            )
        mask = before
        for answer in row.answers:
            bit = 1 << self.models.setdefault(answer.model, len(self.models))
            if mask & bit:
                return Refused(f"{answer.model!r} answered {query.id!r} before. Keep one answer of each")
            mask |= bit
        self.queries[query.id] = (mask, told)
        return not before


def _task(path: Path) -> str:
    """The file's name without its endings: `mmlu_anatomy` of `mmlu_anatomy.csv.gz`."""
    return Path(path.name.removesuffix(".gz")).stem


def _said(
    lines: Iterator[tuple[int, Row]], path: Path, say: Callable[[str], None]
) -> Iterator[tuple[int, Row]]:
    say(f"reading {path.name}")
    for count, line in enumerate(lines, 1):
        if count % _SAY_EVERY == 0:
            say(f"reading {path.name}: {count:,} lines")
        yield line


def _cells(row: Arrival, arrival_s: float) -> dict[str, Any]:
    return {
        "arrival_s": arrival_s,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "prefix_hash_ids": row.prefix_hash_ids,
        "ttft_s": row.ttft_s,
        "latency_s": row.latency_s,
    }


def _sort(path: Path) -> None:
    """Bring a trace into the order of arrival, equal ones as they were, and count from the first."""
    pa, pq = pyarrow()
    import pyarrow.compute as pc

    table = read_table(path)
    table = table.sort_by([("arrival_s", "ascending"), ("request_id", "ascending")])
    arrivals = pc.subtract(table["arrival_s"], table["arrival_s"][0])
    numbers = pa.array(np.arange(table.num_rows, dtype=np.int32))
    table = table.set_column(0, "request_id", numbers).set_column(1, "arrival_s", arrivals)
    pq.write_table(table, path, compression="zstd")
