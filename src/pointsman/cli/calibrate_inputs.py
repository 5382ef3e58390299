"""Validation data for `pointsman calibrate`: a table of predictions, or outcomes with a quality model."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from pointsman.data.csv_table import CsvTable, read_csv
from pointsman.data.tables import column_names, read_columns
from pointsman.errors import DataError
from pointsman.metrics.budget import Validation
from pointsman.types import Floats

COSTS: Final = ("cost_usd", "energy_j")
"""In the order in which the gateway's floor goes by them."""

_ONE: Final = "the model"


class Given(NamedTuple):
    """Validation data, and one sentence on where it is from."""

    data: Validation
    about: str


def read_predictions(path: Path, cost: str | None, *, floor: bool) -> Given:
    """A CSV or parquet file with the columns id, p, y; endpoint, group and a cost where there are any.

    Args:
        path: the file.
        cost: the column of costs that is needed; None where none is.
        floor: both costs are read where they are there, since the floor chooses by both.

    Raises: DataError for missing columns, values out of range, an id that comes twice on an endpoint, and
        queries that lack an endpoint; MissingError without pyarrow.
    """
    table = None if path.suffix == ".parquet" else read_csv(path)
    there = column_names(path) if table is None else table.columns
    costs = [name for name in COSTS if name == cost or (floor and name in there)]
    columns = _parquet(path, there, costs) if table is None else _csv(table, costs)
    ids, endpoints = list(columns["id"]), list(columns["endpoint"])
    if "" in ids:
        raise DataError(f"{path}: row {ids.index('')} has no id", remedy="Give every row an id")
    queries = {query: row for row, query in enumerate(dict.fromkeys(ids))}
    names = {name: column for column, name in enumerate(dict.fromkeys(endpoints))}
    arrays = {name: np.full((len(queries), len(names)), np.nan) for name in ("p", "y", *costs)}
    groups = [""] * len(queries)
    for index, (query, endpoint, group) in enumerate(zip(ids, endpoints, columns["group"], strict=True)):
        cell = queries[query], names[endpoint]
        if not math.isnan(arrays["p"][cell]):
            raise DataError(f"{path}: {query!r} on {endpoint!r} comes twice", remedy="Keep one row of each")
        for name, array in arrays.items():
            array[cell] = columns[name][index]
        groups[cell[0]] = group or query
    if np.isnan(arrays["p"]).any():
        row, column = np.argwhere(np.isnan(arrays["p"]))[0].tolist()
        raise DataError(
            f"{path}: {list(queries)[row]!r} has no row of endpoint {list(names)[column]!r}",
            remedy="Give every query a row of every endpoint",
        )
    numbers = np.unique(groups, return_inverse=True)[1].ravel().astype(np.int64)
    order = tuple(arrays[name] for name in costs)
    data = Validation(arrays["p"], arrays["y"], arrays[cost] if cost else None, numbers, order)
    return Given(data, f"{len(queries):,} queries of {path.name}, {len(set(groups)):,} groups")


def _csv(table: CsvTable, costs: Sequence[str]) -> Mapping[str, Any]:
    table.require(["id", "p", "y", *costs])
    n = len(table.rows)
    columns: dict[str, Any] = {
        "id": table.column("id"),
        "endpoint": table.column("endpoint") if "endpoint" in table.columns else [_ONE] * n,
        "group": table.column("group") if "group" in table.columns else [""] * n,
    }
    return columns | {name: _numbers(table, name) for name in ("p", "y", *costs)}


def _numbers(table: CsvTable, name: str) -> Floats:
    values = []
    for index, text in enumerate(table.column(name)):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0.0 <= value < math.inf or (name in {"p", "y"} and value > 1.0):
            limit = "from 0 to 1" if name in {"p", "y"} else "of at least 0"
            raise table.error(index, name, f"{text!r} can't be used", f"Give a number {limit}")
        values.append(value)
    return np.array(values)


def _parquet(path: Path, there: Collection[str], costs: Sequence[str]) -> Mapping[str, Any]:
    texts = ["id", *(name for name in ("endpoint", "group") if name in there)]
    columns: dict[str, Any] = dict(read_columns(path, texts=texts, numbers=["p", "y", *costs]))
    n = len(columns["id"])
    return {"endpoint": [_ONE] * n, "group": [""] * n} | columns
