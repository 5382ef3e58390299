"""A folder of outcomes as an export needs it: queries with their texts, numbers by query and model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.data.formats.rows import Query
from pointsman.data.outcomes import OUTCOMES, QUERIES
from pointsman.data.tables import column_names, read_columns
from pointsman.errors import DataError
from pointsman.types import Floats

NUMBERS: Final = ("score", "input_tokens", "output_tokens", "cost_usd", "latency_s")
KEPT_TEXTS: Final = ("ground_truth", "metric", "choices_json")


@dataclass(frozen=True, slots=True)
class OutcomeSet:
    """N queries, E models.

    Attributes:
        asked: there is a row, shape (N, E).
        numbers: those of `NUMBERS`, each of shape (N, E), NaN where missing.
    """

    queries: tuple[Query, ...]
    models: tuple[str, ...]
    asked: NDArray[np.bool_]
    numbers: dict[str, Floats]


@dataclass(frozen=True, slots=True)
class Exported:
    """How many rows were written, and what the format could not hold."""

    rows: int
    notes: tuple[str, ...] = ()


def read_outcome_set(folder: Path) -> OutcomeSet:
    """What `pointsman import` or `pointsman collect` wrote, or an outcome set of that schema.

    Raises: DataError for a file that is missing or not as its schema says, an answer to no query, or two of
        one model to one query; MissingError without pyarrow.
    Memory: the texts of all queries, and 41 bytes a pair.
    """
    queries = _queries(folder / QUERIES)
    path = folder / OUTCOMES
    there = column_names(path)
    wanted = [name for name in NUMBERS if name in there]
    rows = read_columns(path, texts=("query_id", "model"), numbers=wanted, optional=wanted)
    place = {query.id: index for index, query in enumerate(queries)}
    models = {name: index for index, name in enumerate(sorted(set(rows["model"].tolist())))}
    cells = []
    for number, (query_id, model) in enumerate(zip(rows["query_id"], rows["model"], strict=True)):
        if query_id not in place:
            raise DataError(f"{path}, row {number}: the query {query_id!r} is not in {QUERIES}")
        cells.append((place[query_id], models[model]))
    if twice := [cell for cell, times in Counter(cells).items() if times > 1]:
        row, column = twice[0]
        raise DataError(
            f"{path}: {queries[row].id!r} has two rows of {list(models)[column]!r}", remedy="Keep one of each"
        )
    shape, at = (len(queries), len(models)), tuple(np.array(cells).T)
    asked = np.zeros(shape, dtype=bool)
    asked[at] = True
    numbers = {name: np.full(shape, np.nan) for name in NUMBERS}
    for name in wanted:
        numbers[name][at] = rows[name]
    return OutcomeSet(queries, tuple(models), asked, numbers)


def _queries(path: Path) -> tuple[Query, ...]:
    there = column_names(path)
    kept = [name for name in KEPT_TEXTS if name in there]
    columns = read_columns(path, texts=("query_id", "task", "prompt", *kept), numbers=())
    rows = zip(*(columns[name].tolist() for name in ("query_id", "task", "prompt")), strict=True)
    found = []
    for number, (query_id, task, prompt) in enumerate(rows):
        told = {name: columns[name][number] or None for name in kept}
        try:
            found.append(Query(query_id, task, prompt, **told))
        except DataError as error:
            raise DataError(f"{path}, row {number}: {error}") from error
    if len({query.id for query in found}) < len(found):
        raise DataError(f"{path} has a query id more than once", remedy="Give every query an id of its own")
    return tuple(found)
