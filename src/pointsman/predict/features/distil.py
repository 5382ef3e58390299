"""Makes a static embedding: word vectors whose sum comes near to what a better encoder says of a text.

One ridge regression for all words at once. With X[t, w] how often text t has word w, over the square root
of its length, and Y the encoder's embeddings turned to their `width` leading directions, the vectors V
minimise |X V - Y|^2 + ridge |V|^2. A word that says little of what it stands in gets a short vector.

The texts are made from the vocabulary itself: each word alone, and bags of words that are near each other,
so that the directions kept are those of subjects. (Real prompts beside them brought the sums nearer to the
encoder's embeddings of prompts, and told less of whether an answer will be right: docs/log.md.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from pointsman.errors import MissingError
from pointsman.predict.features.base import Encoding
from pointsman.predict.features.static import StaticTable
from pointsman.predict.features.words import readable, split_words

_NEAR: Final = 80
_FEWEST, _MOST, _STRANGERS = 4, 12, 2
"""Words of a bag: those near each other, and those that are not."""
_AT_ONCE: Final = 500
_STEPS: Final = 60
_CONVERGED: Final = 1e-9
_TINY: Final = np.float32(1e-30)
"""Under what is divided by, for a column that has converged before the others."""
_INT8_MAX: Final = 127
_CLIPPED_SHARE: Final = 1e-4
"""Entries cut off at the largest number that 8 bits hold, so that the rest is resolved finely."""
_ENTRY: Final = re.compile(r"[a-z0-9]{1,24}|[^\x00-\x7f]+")


def usable_words(vocabulary: Iterable[str]) -> list[str]:
    """The entries of a WordPiece vocabulary that `split_words` can give, words and `##` pieces, in order.

    What it would split or write otherwise (marks, punctuation, accents) is left out.
    """
    return [
        entry
        for entry in vocabulary
        if _ENTRY.fullmatch(plain := entry.removeprefix("##")) and split_words(plain) == [plain]
    ]


def distilled(
    words: Sequence[str], texts: Sequence[str], embeddings: Encoding, *, width: int, ridge: float
) -> StaticTable:
    """Fit vectors to texts and their embeddings.

    Args:
        words: distinct words and `##` pieces, the most frequent first.
        texts: N of them.
        embeddings: shape (N, D), each of length 1.
        width: numbers a vector has, at most D.
        ridge: how strongly vectors are kept short; in texts.

    Raises: MissingError without scipy.
    Cost: at most `_STEPS` products of the sparse X with V; seconds for 50,000 texts.
    """
    rows = {word: row for row, word in enumerate(words)}
    counts = word_counts(StaticTable(rows, np.zeros((len(rows), 0), np.int8)), texts)
    lengths = np.maximum(np.asarray(counts.sum(axis=1)), 1)
    solution = _ridge(counts.multiply(1 / np.sqrt(lengths)).tocsr(), leading(embeddings, width), ridge)
    top = float(np.quantile(np.abs(solution), 1 - _CLIPPED_SHARE))
    vectors = np.clip(np.rint(solution * (_INT8_MAX / top)), -_INT8_MAX, _INT8_MAX).astype(np.int8)
    return StaticTable(rows, vectors)


def bags_of_near_words(
    words: Sequence[str], embeddings: Encoding, count: int, rng: np.random.Generator
) -> list[str]:
    """Texts of some words that are near one drawn at random, and a few that are not.

    Args:
        words: at least `_NEAR` + 1 of them.
        embeddings: of the words, shape (len(words), D), each of length 1.
        count: how many texts.
        rng: draws all.
    """
    bags = []
    for start in range(0, count, _AT_ONCE):
        seeds = rng.integers(0, len(words), _AT_ONCE)
        near = np.argpartition(-(embeddings[seeds] @ embeddings.T), _NEAR, axis=1)[:, :_NEAR]
        for row in range(min(_AT_ONCE, count - start)):
            n_near, n_far = int(rng.integers(_FEWEST, _MOST + 1)), int(rng.integers(0, _STRANGERS + 1))
            near_words = rng.choice(near[row], n_near, replace=False)
            bag = [*near_words, *rng.integers(0, len(words), n_far)]
            bags.append(" ".join(words[bag[at]] for at in rng.permutation(len(bag))))
    return bags


def leading(embeddings: Encoding, width: int) -> Encoding:
    """Embeddings in their `width` leading directions about zero, shape (N, width), each of length 1."""
    _, directions = np.linalg.eigh(embeddings.T @ embeddings)
    turned = embeddings @ directions[:, ::-1][:, :width]
    scaled: Encoding = turned / np.linalg.norm(turned, axis=1, keepdims=True)
    return scaled


def word_counts(table: StaticTable, texts: Sequence[str]) -> Any:
    """How often each text has each row of the table: a sparse matrix of shape (N, V)."""
    try:
        from scipy.sparse import csr_matrix
    except ImportError as error:
        raise MissingError("distilling needs scipy", remedy="pip install 'pointsman[train]'") from error
    rows = [[row for word in split_words(readable(text)) for row in table.pieces(word)] for text in texts]
    starts = np.cumsum([0, *map(len, rows)])
    flat = np.fromiter((row for text in rows for row in text), np.int32, int(starts[-1]))
    counts = csr_matrix((np.ones(len(flat), np.float32), flat, starts), (len(texts), len(table.rows)))
    counts.sum_duplicates()
    return counts


def _ridge(inputs: Any, targets: Encoding, ridge: float) -> Encoding:
    """Conjugate gradients for all columns at once, from zero."""
    transposed = inputs.T.tocsr()
    residual: Encoding = transposed @ targets
    solution = np.zeros_like(residual)
    direction = residual.copy()
    square = (residual**2).sum(axis=0)
    enough = _CONVERGED * square
    for _ in range(_STEPS):
        if (square <= enough).all():
            break
        image = transposed @ (inputs @ direction) + ridge * direction
        step = square / np.maximum((direction * image).sum(axis=0), _TINY)
        solution += step * direction
        residual -= step * image
        former, square = square, (residual**2).sum(axis=0)
        direction = residual + (square / np.maximum(former, _TINY)) * direction
    return solution
