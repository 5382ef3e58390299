"""Outcome sets of the shared data: questions, and what models made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.data.tables import read_columns
from pointsman.errors import DataError
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.types import Floats

_QUERIES: Final = "queries.parquet"
_OUTCOMES: Final = "outcomes.parquet"


def shared_outcomes(
    folder: Path, *, lengths: str = "output_tokens", endpoints: Sequence[str] | None = None
) -> OutcomeMatrix:
    """The set in a folder, its queries in the order of the file, its models by name.

    Args:
        folder: with `queries.parquet` and `outcomes.parquet`.
        lengths: the column of answer lengths.
        endpoints: the models wanted, in this order; all if None.

    Raises: DataError for a file that is not as its schema says; MissingError without pyarrow.
    """
    queries = read_columns(folder / _QUERIES, texts=("query_id", "prompt", "task"), numbers=())
    rows = read_columns(
        folder / _OUTCOMES,
        texts=("query_id", "model"),
        numbers=("score", lengths),
        optional=("score", lengths),
    )
    ids = queries["query_id"].tolist()
    if len(set(ids)) < len(ids):
        twice = next(name for name, times in Counter(ids).items() if times > 1)
        raise DataError(
            f"{folder / _QUERIES} has the query id {twice!r} more than once",
            remedy="Give every query an id of its own",
        )
    models = sorted(set(rows["model"].tolist()))
    if unknown := [name for name in endpoints or () if name not in models]:
        raise DataError(
            f"{folder / _OUTCOMES} has no model {unknown[0]!r}", remedy=f"It has {', '.join(models)}"
        )
    texts = zip(queries["prompt"].tolist(), queries["task"].tolist(), strict=True)
    return OutcomeMatrix.from_rows(
        dict(zip(ids, texts, strict=True)),
        endpoints if endpoints is not None else models,
        {
            "query_id": rows["query_id"].tolist(),
            "endpoint": rows["model"].tolist(),
            "quality": rows["score"],
            "output_tokens": rows[lengths],
        },
    )


def shared_measure(folder: Path, column: str, matrix: OutcomeMatrix) -> Floats:
    """Another column of the outcomes, such as `latency_s`, shape (N, E) as the matrix; NaN where missing."""
    rows = read_columns(
        folder / _OUTCOMES, texts=("query_id", "model"), numbers=(column,), optional=(column,)
    )
    row = _places(rows["query_id"], matrix.query_ids)
    column_at = _places(rows["model"], matrix.endpoints)
    wanted = (row >= 0) & (column_at >= 0)
    if not wanted.any():
        raise DataError(f"{folder} has no {column} of these queries and endpoints")
    values = np.full(matrix.quality.shape, np.nan)
    values[row[wanted], column_at[wanted]] = rows[column][wanted]
    return values


def _places(names: NDArray[np.object_], known: Sequence[str]) -> NDArray[np.int64]:
    """The index of each name among those known, or -1."""
    place = {name: index for index, name in enumerate(known)}
    return np.array([place.get(name, -1) for name in names.tolist()], dtype=np.int64)
