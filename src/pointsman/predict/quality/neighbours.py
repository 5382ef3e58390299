"""The most similar of N encoded texts, by cosine; above `INDEX_ROWS` of them through coarse cells.

The index is k-means cells, about the square root of N: only rows of the `PROBED` cells nearest to a query
are compared, the others count as not similar at all. Rows that came after it was built are all compared. Cosines are rounded to 2^-20, so that equal texts
tie; of a tie the earlier row comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.predict.features.base import Encoding
from pointsman.predict.quality.row_products import row_products
from pointsman.types import Bools

INDEX_ROWS: Final = 20_000
PROBED: Final = 16
FARTHEST: Final = -4.0
"""The similarity of a row that was not compared."""
_ROUNDS: Final = 8
_SAMPLE_PER_CELL: Final = 50
_UNIT: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Encoded texts of length 1.

    Attributes:
        rows: shape (N, width), in the order of `number`: cell by cell where there are cells.
        number: shape (N,): the row's place in the data.
        centres: shape (C, width); C = 0 for an exhaustive search.
        starts: shape (C + 1,): rows of cell c are starts[c] to starts[c + 1].
        later: shape (M, width): rows that follow the N in the data, none of them in a cell; None for none.
    """

    rows: Encoding
    number: NDArray[np.int64]
    centres: Encoding
    starts: NDArray[np.int64]
    later: Encoding | None = None

    @classmethod
    def build(cls, encoded: Encoding, seed: int, *, index_rows: int = INDEX_ROWS) -> Self:
        """From encodings in the order of the data; the seed draws the first centres."""
        rows = _as_kept(encoded)
        if len(rows) <= index_rows:
            none = np.empty((0, rows.shape[1]), np.float32)
            return cls(rows, np.arange(len(rows)), none, np.zeros(1, np.int64))
        centres = _centres(rows, np.random.default_rng(seed))
        cell = _nearest(rows, centres)
        number = np.argsort(cell, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=len(centres)))])
        return cls(np.asfortranarray(rows[number]), number, centres, starts)

    def followed_by(self, encoded: Encoding) -> Self:
        """The same rows, and these after them: shape (M, width)."""
        later = _as_kept(encoded)
        return replace(
            self,
            later=later if self.later is None else np.asfortranarray(np.concatenate([self.later, later])),
        )

    def similarity(self, encoded: Encoding) -> Encoding:
        """Cosine of R texts with all rows in the order of the data, shape (R, N + M); `FARTHEST` if not compared."""
        queries = unit_rows(encoded)
        found = self._similarity(queries)
        return found if self.later is None else np.concatenate([found, _cosines(queries, self.later)], axis=1)

    def _similarity(self, queries: Encoding) -> Encoding:
        if not len(self.centres):
            return _cosines(queries, self.rows)
        found = np.full((len(queries), len(self.rows)), FARTHEST, np.float32)
        near = np.argsort(-(row_products(queries, self.centres.T)), axis=1, kind="stable")[:, :PROBED]
        for row, cells in enumerate(near.tolist()):
            for cell in cells:
                part = slice(self.starts[cell], self.starts[cell + 1])
                found[row, self.number[part]] = np.rint(self.rows[part] @ queries[row] * _UNIT) / _UNIT
        return found

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Rows as float16: a cosine moves by less than .001. Later rows are not in them."""
        return {
            "rows": self.rows.astype(np.float16),
            "number": self.number,
            "centres": self.centres,
            "starts": self.starts,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `to_arrays` gave."""
        return cls(_column_wise(arrays["rows"]), arrays["number"], arrays["centres"], arrays["starts"])


def nearest(similarity: Encoding, known: Bools, k: int) -> tuple[NDArray[np.int64], Encoding]:
    """The k rows of greatest similarity among those `known`, of equal ones the earlier.

    Args:
        similarity: shape (R, N).
        known: shape (N,).
        k: at least 1; fewer are given where fewer are known.

    Returns: their numbers and similarities, shape (R, min(k, known)), the most similar first.
    """
    among = np.flatnonzero(known)
    some = similarity if len(among) == len(known) else similarity[:, among]
    k = min(k, len(among))
    last = np.partition(some, len(among) - k, axis=1)[:, len(among) - k, None]
    chosen, tied = some > last, some == last
    room = k - chosen.sum(axis=1)
    for row in np.flatnonzero(tied.sum(axis=1) > room):
        tied[row, np.flatnonzero(tied[row])[room[row] :]] = False
    top = np.nonzero(chosen | tied)[1].reshape(len(some), k)
    by_similarity = np.argsort(-np.take_along_axis(some, top, 1), axis=1, kind="stable")
    top = np.take_along_axis(top, by_similarity, 1)
    return among[top], np.take_along_axis(some, top, 1)


def unit_rows(encoded: Encoding) -> Encoding:
    """Rows scaled to length 1; a row of zeros stays."""
    length = np.linalg.norm(encoded, axis=1, keepdims=True)
    return np.asarray(encoded / np.where(length > 0, length, 1), dtype=np.float32)


def _as_kept(encoded: Encoding) -> Encoding:
    """Rows of length 1 with the precision that an artifact keeps."""
    return _column_wise(unit_rows(encoded).astype(np.float16))


def _cosines(queries: Encoding, rows: Encoding) -> Encoding:
    return np.asarray(np.rint(row_products(queries, rows.T) * _UNIT) / _UNIT)


def _column_wise(rows: NDArray[np.float16]) -> Encoding:
    """As float32, laid out so that all rows are multiplied at once in memory order."""
    return np.asfortranarray(rows, dtype=np.float32)


def _centres(rows: Encoding, rng: np.random.Generator) -> Encoding:
    """k-means on a sample, by cosine; an empty cell keeps its centre."""
    cells = int(np.sqrt(len(rows)))
    sample = rows[rng.choice(len(rows), min(len(rows), cells * _SAMPLE_PER_CELL), replace=False)]
    centres = sample[:cells].copy()
    for _ in range(_ROUNDS):
        cell = _nearest(sample, centres)
        order = np.argsort(cell, kind="stable")
        used, first = np.unique(cell[order], return_index=True)
        centres[used] = unit_rows(np.add.reduceat(sample[order], first, axis=0))
    return centres


def _nearest(rows: Encoding, centres: Encoding) -> NDArray[np.int64]:
    parts = [(rows[start : start + 4096] @ centres.T).argmax(axis=1) for start in range(0, len(rows), 4096)]
    return np.concatenate(parts)
