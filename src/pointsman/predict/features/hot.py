"""The cheap features together, by one pass over the text: surface, static embedding, hashed n-grams.

    text -> words -> one row of whole numbers a word -> their sum -> marks | embedding
                                                     -> their hashes -> n-gram buckets

What a word adds is worked out once and kept. Tens of microseconds a prompt of 100 tokens.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.predict.features.base import Encoding
from pointsman.predict.features.ngrams import BUCKETS, gram_buckets, word_hash
from pointsman.predict.features.static import StaticTable, shipped_table
from pointsman.predict.features.surface import SURFACE_COLUMNS, WORD_MARKS, surface_row, word_marks
from pointsman.predict.features.words import MAX_LETTERS, READ_CHARS, readable, split_words

VERSION: Final = 1
"""Raised when the same text gives other numbers."""
_MARKS: Final = len(WORD_MARKS)
_SURFACE: Final = len(SURFACE_COLUMNS)
_TEXT_WORDS: Final = 2 * READ_CHARS
"""No text has more words."""
_KEPT_WORDS: Final = 1 << 14
"""Words that may be kept beside the table's own: about 8 MB."""
ONES: Final = np.ones(2 * _TEXT_WORDS, np.float32)
"""A product with ones is the quickest sum over the words or n-grams of a text."""


@dataclass(frozen=True, slots=True)
class HotRows:
    """Features of R texts.

    Attributes:
        dense: shape (R, width).
        grams: for each text its buckets, below `BUCKETS`; a bucket stands as often as it occurs.
    """

    dense: Encoding
    grams: list[NDArray[np.uint32]]

    def take(self, rows: NDArray[np.int64]) -> HotRows:
        """Some of the texts, in that order."""
        return HotRows(self.dense[rows], [self.grams[row] for row in rows])


class HotFeatures:
    """Surface features and the static embedding side by side; n-grams with them.

    Args:
        table: the static embedding; the one that Pointsman ships if None.
    """

    name = "hot"

    def __init__(self, table: StaticTable | None = None) -> None:
        self._table = shipped_table() if table is None else table
        self.columns = (*SURFACE_COLUMNS, *(f"static_{number}" for number in range(self._table.width)))
        self.width = len(self.columns)
        self._words = _Words.of(self._table)
        self._lock = Lock()

    def encode(self, texts: Sequence[str]) -> Encoding:
        """The dense features of R texts, shape (R, width), in the order of `columns`."""
        return self.rows(texts).dense

    def rows(self, texts: Sequence[str]) -> HotRows:
        """Dense features and n-grams of R texts."""
        dense = np.empty((len(texts), self.width), np.float32)
        return HotRows(dense, [self._fill(text, row) for text, row in zip(texts, dense, strict=True)])

    def fingerprint(self) -> str:
        """A hash of the word vectors, the columns' names and `VERSION`."""
        parts = (self._table.fingerprint(), *self.columns, BUCKETS, READ_CHARS, VERSION)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def _fill(self, text: str, row: Encoding) -> NDArray[np.uint32]:
        """Write one text's dense features; its n-grams."""
        read = readable(text)
        words = split_words(read)
        with self._lock:
            if self._words.full:
                self._words = self._words.forgetting()
            known = self._words
            index = np.fromiter(map(known.__getitem__, words), np.intp, len(words))
        total = ONES[: len(words)] @ known.rows.take(index, 0)
        surface_row(text, read, words, total[:_MARKS], row[:_SURFACE])
        vector = total[_MARKS:]
        np.multiply(vector, 1 / math.sqrt(max(float(vector @ vector), 1)), out=row[_SURFACE:])
        return gram_buckets(known.hashes.take(index))


class _Words(dict[str, int]):
    """Words to rows of arrays; an unknown word is added when it is looked up.

    Attributes:
        rows: what each word adds, marks and then its vector, shape (words + room, marks + width);
            whole numbers.
        hashes: shape (words + room,).
    """

    def __init__(self, table: StaticTable, rows: Encoding, hashes: NDArray[np.uint32]) -> None:
        super().__init__((word, number) for number, word in enumerate(table.whole_words))
        self._table = table
        self.rows = np.empty((len(self) + _KEPT_WORDS, rows.shape[1]), np.float32)
        self.rows[: len(self)] = rows[: len(self)]
        self.hashes = np.empty(len(self.rows), np.uint32)
        self.hashes[: len(self)] = hashes[: len(self)]

    @classmethod
    def of(cls, table: StaticTable) -> Self:
        """The words that the table has."""
        words = table.whole_words
        marks = np.array([word_marks(word, rank) for rank, word in enumerate(words)], np.float32)
        vectors = table.vectors[[table.rows[word] for word in words]]
        hashes = np.array([word_hash(word) for word in words], np.uint32)
        return cls(table, np.hstack([marks, vectors]), hashes)

    @property
    def full(self) -> bool:
        """Whether one more text might not fit."""
        return len(self) + _TEXT_WORDS > len(self.rows)

    def forgetting(self) -> _Words:
        """The table's words alone, apart from these, which another thread may be reading."""
        return _Words(self._table, self.rows, self.hashes)

    def __missing__(self, word: str) -> int:
        if len(word) > MAX_LETTERS:
            return self[word[:MAX_LETTERS]]
        number = self[word] = len(self)
        self.rows[number, :_MARKS] = word_marks(word, None)
        self.rows[number, _MARKS:] = self._table.vector(word)
        self.hashes[number] = word_hash(word)
        return number
