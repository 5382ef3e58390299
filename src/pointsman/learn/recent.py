"""The outcomes of the last requests, as arrays that a retrieval can grow by: bounded, oldest first.

A row is one answer: what its endpoint's label came to, NaN without one, and its length. Labels are counted as
the decision log counts them (`store/labels.py`): of each source the last, and the mean of the sources. They
may come before their answer; of so many requests as there may be rows, and as many again, they are kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pointsman.predict.features.base import Encoding
from pointsman.types import Floats, Label


@dataclass(frozen=True, slots=True, eq=False)
class RecentRow:
    """One answer.

    Attributes:
        encoded: the query as the retrieval encodes it, shape (width,).
        column: the endpoint's.
        output_tokens: NaN if nobody counted.
    """

    request_id: str
    encoded: Encoding
    task: str
    column: int
    output_tokens: float


@dataclass(frozen=True, slots=True)
class RecentArrays:
    """M answers over E endpoints.

    Attributes:
        encoded: shape (M, width).
        tasks: M of them.
        quality: shape (M, E), NaN but where there is a label.
        output_tokens: shape (M, E), NaN but for the endpoint that answered.
    """

    encoded: Encoding
    tasks: tuple[str, ...]
    quality: Floats
    output_tokens: Floats


class RecentOutcomes:
    """A ring of at most `most` rows over E endpoints, with their labels. For one thread."""

    def __init__(self, most: int, n_endpoints: int) -> None:
        self._n_endpoints, self._most_labelled = n_endpoints, 2 * most
        self._rows: deque[RecentRow] = deque(maxlen=most)
        self._last: dict[str, RecentRow] = {}
        self._said: dict[str, dict[str, tuple[float, float]]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: RecentRow) -> None:
        """Take an answer in; where there is no room, the oldest goes. Its labels are its id's last answer's."""
        if len(self._rows) == self._rows.maxlen:
            self._forget(self._rows[0])
        self._rows.append(row)
        self._last[row.request_id] = row

    def label(self, labels: Iterable[Label], unix_s: float) -> None:
        """Take labels in; `unix_s` is the time of those that have none."""
        for label in labels:
            said = self._said.setdefault(label.request_id, {})
            at = unix_s if label.at_unix_s is None else label.at_unix_s
            if at >= said.get(label.source, (at, 0.0))[0]:
                said[label.source] = at, label.score
        while len(self._said) > self._most_labelled:
            del self._said[next(iter(self._said))]

    def arrays(self) -> RecentArrays:
        """A copy of what is known now; at least one row."""
        rows = list(self._rows)
        shape = (len(rows), self._n_endpoints)
        quality, tokens = np.full(shape, np.nan), np.full(shape, np.nan)
        for number, row in enumerate(rows):
            tokens[number, row.column] = row.output_tokens
            quality[number, row.column] = self._score(row)
        return RecentArrays(
            np.array([row.encoded for row in rows]), tuple(row.task for row in rows), quality, tokens
        )

    def _score(self, row: RecentRow) -> float:
        said = self._said.get(row.request_id)
        if not said or self._last[row.request_id] is not row:
            return np.nan
        return sum(score for _, score in said.values()) / len(said)

    def _forget(self, row: RecentRow) -> None:
        if self._last[row.request_id] is row:
            del self._last[row.request_id]
            self._said.pop(row.request_id, None)
