"""Texts as rows for the linear models of lengths: dense columns beside buckets, the latter of length 1.

dense    surface and static embedding, then a sentence embedding where one is used; mean 0, scaled
buckets  of `grams`: each 1 over the root of how many the text is in
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.predict.features.base import Encoding, TextEncoder
from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.length.grams import BUCKETS, Buckets, text_buckets
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.row_products import row_products
from pointsman.predict.quality.scipy_parts import scipy_part
from pointsman.predict.quality.shared_fit import Singles
from pointsman.predict.quality.text_design import column_scale

_DENSE_SIZE: Final = 0.4
_ENCODED_SIZE: Final = 0.3
"""How long the rows of a block are about, beside those of the buckets, which are 1 long."""


@dataclass(frozen=True, slots=True)
class TextRows:
    """R texts.

    Attributes:
        dense: shape (R, D), float32.
        buckets: for each text those it is in.
    """

    dense: Singles
    buckets: Sequence[Buckets]

    def take(self, rows: NDArray[np.int64]) -> TextRows:
        """Some of the texts, in that order."""
        return TextRows(self.dense[rows], [self.buckets[row] for row in rows])

    def sparse(self) -> Any:
        """The buckets as a CSR matrix of shape (R, BUCKETS). Raises: MissingError without scipy."""
        sizes = np.array([len(row) for row in self.buckets], dtype=np.int64)
        ends = np.concatenate([[0], np.cumsum(sizes)])
        index = np.concatenate([*self.buckets, np.empty(0, np.uint32)]).astype(np.int32)
        value = np.repeat(1 / np.sqrt(np.maximum(sizes, 1)), sizes).astype(np.float32)
        return scipy_part("sparse").csr_matrix((value, index, ends), shape=(len(sizes), BUCKETS))


@dataclass(frozen=True, slots=True)
class LengthDesign:
    """How texts become rows; fitted to training texts, without labels.

    Attributes:
        hot: makes the cheap dense columns.
        encoder: makes a sentence embedding, or None.
        mean, scale: of the dense columns, shape (D,).
    """

    hot: HotFeatures
    encoder: TextEncoder | None
    mean: Singles
    scale: Singles

    @classmethod
    def fit(cls, queries: Queries, hot: HotFeatures, encoder: TextEncoder | None) -> Self:
        """From the training texts."""
        blocks = [(queries.hot(hot).dense, _DENSE_SIZE)]
        if encoder is not None:
            blocks.append((queries.encoded(encoder), _ENCODED_SIZE))
        return cls(
            hot,
            encoder,
            np.concatenate([block.mean(axis=0) for block, _ in blocks]),
            np.concatenate([column_scale(block, size) for block, size in blocks]),
        )

    def dense(self, queries: Queries) -> Singles:
        """Shape (R, D)."""
        blocks: list[Encoding] = [queries.hot(self.hot).dense]
        if self.encoder is not None:
            blocks.append(queries.encoded(self.encoder))
        made: Singles = (np.concatenate(blocks, axis=1) - self.mean) * self.scale
        return made

    def rows(self, queries: Queries, buckets: Sequence[Buckets] | None = None) -> TextRows:
        """R texts; `buckets` where they were made before."""
        return TextRows(self.dense(queries), buckets or [text_buckets(text) for text in queries.texts])


@dataclass(frozen=True, slots=True)
class ScoreWeights:
    """A linear score of texts: the higher, the longer the answer.

    Attributes:
        dense: shape (D, C).
        buckets: shape (BUCKETS, C); C is 1 but for classes.
        offset: shape (C,).
    """

    dense: Singles
    buckets: Singles
    offset: Singles

    @classmethod
    def zero(cls, width: int) -> Self:
        """All texts score 0."""
        return cls(*(np.zeros(shape, np.float32) for shape in ((width, 1), (BUCKETS, 1), (1,))))

    def scores(self, rows: TextRows) -> Singles:
        """Shape (R, C); a text's is the same in any batch."""
        made = row_products(rows.dense, self.dense)
        for text, own in enumerate(rows.buckets):
            if len(own):
                made[text] += self.buckets.take(own, 0).sum(axis=0) * np.float32(1 / np.sqrt(len(own)))
        made += self.offset
        return made

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """As they are."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `to_arrays` gave."""
        return cls(*(arrays[name].astype(np.float32, copy=False) for name in cls.__dataclass_fields__))
