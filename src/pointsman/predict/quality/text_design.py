"""A text as one row of numbers for a linear model, and that model as sums over what is in the text.

    dense    surface features and static embedding, each column with mean 0 and the same weight
    grams    hashed words and pairs: tf-idf of length 1, in the `GRAM_SPACE` leading directions of the
             training texts (latent semantic analysis)
    encoded  a sentence embedding, where one is used

Each step is linear but for the length of the tf-idf row, so the fitted weights are folded back onto the
columns and buckets: a prediction is a small product and a sum over the buckets of the text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.predict.features.base import Encoding, TextEncoder
from pointsman.predict.features.hot import ONES, HotFeatures, HotRows
from pointsman.predict.features.ngrams import BUCKETS
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.row_products import row_products
from pointsman.predict.quality.scipy_parts import scipy_part
from pointsman.predict.quality.shared_fit import Singles

GRAM_SPACE: Final = 128
_POWER_STEPS: Final = 2
_OVERSAMPLED: Final = 16
_DENSE_SCALE: Final = 1.0
_ENCODED_SCALE: Final = 0.5
_LEAST_SPREAD: Final = 1e-3


@dataclass(frozen=True, slots=True)
class FoldedWeights:
    """A linear model of texts, for C outputs, without their offsets.

    Attributes:
        dense: shape (width, C).
        grams: shape (BUCKETS, C + 1): the model's weights of a bucket times the bucket's idf, and last the
            square of that idf.
        encoded: shape (encoder's width, C); no rows without an encoder.
    """

    dense: Singles
    grams: Singles
    encoded: Singles

    def scores(self, hot: HotRows, encoded: Encoding | None) -> Singles:
        """The C outputs of R texts, shape (R, C). Cost: some 8 us a text for C = 10."""
        made = np.empty((len(hot.dense), self.dense.shape[1]), np.float32)
        # Text by text, for a library rounds a product of one row otherwise than one of seven.
        for text, (dense, grams) in enumerate(zip(hot.dense, hot.grams, strict=True)):
            row = np.matmul(dense, self.dense, out=made[text])
            if len(grams):
                total = ONES[: len(grams)] @ self.grams.take(grams, 0)
                row += total[:-1] * (1 / math.sqrt(total[-1]))
        if encoded is not None:
            made += row_products(encoded, self.encoded)
        return made

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """As they are."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `to_arrays` gave."""
        return cls(*(arrays[name].astype(np.float32, copy=False) for name in cls.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class TextDesign:
    """How texts become rows of F numbers; fitted to training texts, without labels.

    Attributes:
        hot: makes dense features and buckets.
        encoder: makes the embedding, or None.
        mean: of the dense columns and then the embedding's, shape (D,).
        scale: what each is multiplied by, shape (D,).
        idf: shape (BUCKETS,).
        directions: of the grams, shape (BUCKETS, K), orthonormal.
    """

    hot: HotFeatures
    encoder: TextEncoder | None
    mean: Singles
    scale: Singles
    idf: Singles
    directions: Singles

    @classmethod
    def fit(cls, queries: Queries, hot: HotFeatures, encoder: TextEncoder | None, seed: int) -> Self:
        """From the training texts; the seed draws where the search for directions starts."""
        rows = queries.hot(hot)
        columns = [(rows.dense, _DENSE_SCALE)]
        if encoder is not None:
            columns.append((queries.encoded(encoder), _ENCODED_SCALE))
        mean = np.concatenate([block.mean(axis=0) for block, _ in columns])
        scale = np.concatenate([column_scale(block, size) for block, size in columns])
        idf = _idf(rows.grams)
        directions = _directions(_tf_idf(rows.grams, idf), np.random.default_rng(seed))
        return cls(hot, encoder, mean, scale, idf, directions)

    def matrix(self, queries: Queries) -> Singles:
        """Shape (R, F): dense, embedding, directions of the grams."""
        rows = queries.hot(self.hot)
        blocks = [rows.dense] if self.encoder is None else [rows.dense, queries.encoded(self.encoder)]
        plain = (np.concatenate(blocks, axis=1) - self.mean) * self.scale
        grams = _tf_idf(rows.grams, self.idf) @ self.directions
        return np.concatenate([plain, grams], axis=1, dtype=np.float32)

    def fold(self, weights: Singles, offset: Singles) -> tuple[FoldedWeights, Singles]:
        """Weights of the rows of `matrix`, shape (F, C), as weights of what is in a text; the offset with them."""
        columns = len(self.mean)
        plain = weights[:columns] * self.scale[:, None]
        grams = (self.directions @ weights[columns:]) * self.idf[:, None]
        folded = FoldedWeights(
            np.ascontiguousarray(plain[: self.hot.width]),
            np.concatenate([grams, self.idf[:, None] ** 2], axis=1),
            np.ascontiguousarray(plain[self.hot.width :]),
        )
        return folded, np.asarray(offset - self.mean @ plain, np.float32)


def column_scale(block: Encoding, size: float) -> Singles:
    """Columns of equal spread whose rows are about `size` long; a constant column counts nothing."""
    spread = block.std(axis=0)
    wanted = size / np.sqrt(block.shape[1])
    varies = spread > _LEAST_SPREAD * np.abs(block).max(axis=0)
    return np.asarray(np.where(varies, wanted / np.maximum(spread, 1e-9), 0), np.float32)


def _idf(grams: Sequence[NDArray[np.uint32]]) -> Singles:
    """log((1 + N) / (1 + texts that hold the bucket)) + 1, shape (BUCKETS,)."""
    held = np.zeros(BUCKETS)
    for row in grams:
        held[np.unique(row)] += 1
    return np.asarray(np.log((1 + len(grams)) / (1 + held)) + 1, np.float32)


def _tf_idf(grams: Sequence[NDArray[np.uint32]], idf: Singles) -> Any:
    """Sparse rows, shape (R, BUCKETS): each occurrence counts its idf, over the root of their squares' sum."""
    sparse = scipy_part("sparse")
    ends = np.cumsum([0, *(len(row) for row in grams)])
    index = np.concatenate([*grams, np.empty(0, np.uint32)]).astype(np.int32)
    text = np.repeat(np.arange(len(grams)), np.diff(ends))
    square = np.bincount(text, idf[index].astype(np.float64) ** 2, minlength=len(grams))
    value = idf[index] / np.sqrt(square)[text].astype(np.float32)
    return sparse.csr_matrix((value, index, ends), shape=(len(grams), BUCKETS))


def _directions(rows: Any, rng: np.random.Generator) -> Singles:
    """The leading right singular vectors, shape (BUCKETS, K); K is at most the number of texts.

    Source: randomised subspace iteration (Halko, Martinsson and Tropp, 2011).
    """
    wanted = min(GRAM_SPACE, rows.shape[0])
    directions = np.zeros((BUCKETS, wanted), np.float32)
    held = np.flatnonzero(rows.getnnz(axis=0))
    if not len(held):
        return directions
    rows = rows[:, held]  # a bucket in no text has no part in any direction
    across = rows.T.tocsr()
    space = rng.standard_normal((rows.shape[1], min(wanted + _OVERSAMPLED, rows.shape[0])), dtype=np.float32)
    for _ in range(_POWER_STEPS):
        space = np.linalg.qr(rows @ space)[0]
        space = np.linalg.qr(across @ space)[0]
    _, _, within = np.linalg.svd(rows @ space, full_matrices=False)
    found = space @ within[:wanted].T
    directions[held, : found.shape[1]] = found
    return directions
