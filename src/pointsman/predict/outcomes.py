"""What is learnt from: how well each endpoint answered each query, with gaps where it was not asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import DataError
from pointsman.types import Floats

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class OutcomeMatrix:
    """Outcomes of N queries on E endpoints.

    Attributes:
        query_ids: unique.
        prompts, tasks: one a query; a task is "" where it is unknown.
        endpoints: unique names, in column order.
        quality: shape (N, E), in [0, 1], NaN where missing.
        output_tokens: shape (N, E), at least 0, NaN where missing.
    """

    query_ids: tuple[str, ...]
    prompts: tuple[str, ...]
    tasks: tuple[str, ...]
    endpoints: tuple[str, ...]
    quality: Floats
    output_tokens: Floats

    def __post_init__(self) -> None:
        """Raises DataError for no rows, wrong shapes, names that come twice and values out of range."""
        if not self.query_ids or not self.endpoints:
            raise DataError(
                f"outcomes need at least one query and one endpoint, not {len(self.query_ids)} and "
                f"{len(self.endpoints)}"
            )
        _unique("query id", self.query_ids)
        _unique("endpoint", self.endpoints)
        shape = (len(self.query_ids), len(self.endpoints))
        shapes = {
            "prompts": (len(self.prompts),),
            "tasks": (len(self.tasks),),
            "quality": self.quality.shape,
            "output_tokens": self.output_tokens.shape,
        }
        for name, found in shapes.items():
            wanted = shape[: len(found)] if name in {"prompts", "tasks"} else shape
            if found != wanted:
                raise DataError(f"{name} has the shape {found}, the outcomes have {wanted}")
        self._check("quality", self.quality, 1.0, "A quality is a share: divide by the best possible score")
        self._check("output_tokens", self.output_tokens, np.inf, "Remove the row, or count again")

    @classmethod
    def from_rows(
        cls,
        queries: Mapping[str, tuple[str, str]],
        endpoints: Sequence[str],
        rows: Mapping[str, Sequence[str] | Floats],
    ) -> Self:
        """The matrix of a long table.

        Args:
            queries: id -> (prompt, task), in the order that the matrix will have.
            endpoints: the columns wanted; rows of others are left out.
            rows: columns `query_id`, `endpoint`, `quality`, `output_tokens` of one length; NaN: unknown.

        Raises: DataError for a row of an unknown query or of no endpoint, and for two rows of one query and
            endpoint that differ; equal ones count once.
        """
        row_of = {query: row for row, query in enumerate(queries)}
        column_of = {endpoint: column for column, endpoint in enumerate(endpoints)}
        quality = np.full((len(row_of), len(column_of)), np.nan)
        output_tokens = quality.copy()
        seen: dict[tuple[int, int], tuple[float, float]] = {}
        for query, endpoint, *labels in zip(
            rows["query_id"], rows["endpoint"], rows["quality"], rows["output_tokens"], strict=True
        ):
            if not endpoint:
                raise DataError(
                    f"an outcome of the query {query!r} names no endpoint",
                    remedy="Name it, or remove the row",
                )
            if endpoint not in column_of:
                continue
            if query not in row_of:
                raise DataError(
                    f"an outcome names the query {query!r}, which is not there", remedy="Add the query"
                )
            cell = row_of[query], column_of[endpoint]
            pair = float(labels[0]), float(labels[1])
            if not np.array_equal(seen.setdefault(cell, pair), pair, equal_nan=True):
                raise DataError(
                    f"{query!r} on {endpoint!r} has two outcomes, (quality, tokens) {seen[cell]} and {pair}",
                    remedy="Keep one of them, or give the samples ids of their own",
                )
            quality[cell], output_tokens[cell] = pair
        return cls(
            tuple(queries),
            tuple(prompt for prompt, _ in queries.values()),
            tuple(task for _, task in queries.values()),
            tuple(endpoints),
            quality,
            output_tokens,
        )

    @property
    def groups(self) -> NDArray[np.int64]:
        """Shape (N,): equal numbers where prompts are equal but for case and white space."""
        number: dict[str, int] = {}
        folded = (" ".join(prompt.casefold().split()) for prompt in self.prompts)
        return np.array([number.setdefault(prompt, len(number)) for prompt in folded], dtype=np.int64)

    def take(self, rows: NDArray[np.int64]) -> OutcomeMatrix:
        """The outcomes of some queries, in that order; an index may not come twice."""
        return OutcomeMatrix(
            tuple(self.query_ids[row] for row in rows),
            tuple(self.prompts[row] for row in rows),
            tuple(self.tasks[row] for row in rows),
            self.endpoints,
            self.quality[rows],
            self.output_tokens[rows],
        )

    def of_endpoints(self, columns: NDArray[np.int64]) -> OutcomeMatrix:
        """All queries on some endpoints, in that order; a column may not come twice."""
        return replace(
            self,
            endpoints=tuple(self.endpoints[column] for column in columns),
            quality=self.quality[:, columns],
            output_tokens=self.output_tokens[:, columns],
        )

    def _check(self, name: str, values: Floats, most: float, remedy: str) -> None:
        wrong = (values < 0) | (values > most) | np.isinf(values)
        if wrong.any():
            row, column = (int(index) for index in np.argwhere(wrong)[0])
            raise DataError(
                f"{name} of {self.query_ids[row]!r} on {self.endpoints[column]!r} is {values[row, column]}, "
                f"not in [0, {most:g}] ({int(wrong.sum())} such values)",
                remedy=remedy,
            )


def _unique(what: str, names: Sequence[str]) -> None:
    if len(set(names)) == len(names):
        return
    twice = [name for name, times in Counter(names).items() if times > 1]
    raise DataError(
        f"{len(twice)} {what}s come more than once: {', '.join(map(repr, twice[:_SHOWN]))}",
        remedy=f"Give every {what} once",
    )
