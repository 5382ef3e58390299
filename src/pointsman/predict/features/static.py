"""A static embedding: each word has its vector, a text has the sum of them, scaled to length 1.

The vectors are fitted so that this sum comes near to what MiniLM makes of the text (`distil`), in the
leading directions of its embeddings; how much a word counts is the length of its vector. They are whole
numbers of 8 bits: sums of them are exact, so a text's embedding is the same in any batch.

A word that has no vector is cut into the longest pieces that have one, from the left.

Source: the scheme is that of model2vec (Tulkens and van Dongen, 2024); ours differs in that vectors and
weights are one linear regression on MiniLM's embeddings of texts.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import DataError

SHIPPED: Final = Path(__file__).parent / "static_embedding.npz"
"""Fitted to all-MiniLM-L6-v2 over the vocabulary of BERT (both Apache-2.0): words, bags of near words, and
8,394 instructions and parts of them (GPTeacher, Arena-Hard, IFEval). `bench/static_embedding.py --write`
puts one in its place that is fitted to words and bags alone."""
Vectors = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class StaticTable:
    """Vectors of words and of pieces within words.

    Attributes:
        rows: a word, or `##` and a piece, to its row; words in the order of their frequency.
        vectors: shape (V, width).
    """

    rows: dict[str, int]
    vectors: Vectors

    @property
    def width(self) -> int:
        """Numbers a vector has."""
        return int(self.vectors.shape[1])

    @property
    def whole_words(self) -> list[str]:
        """The words without the pieces, the most frequent first."""
        return [word for word in self.rows if not word.startswith("##")]

    def pieces(self, word: str) -> list[int]:
        """Rows of a word: its own, or those of its pieces; [] where nothing in it is known.

        A letter in no piece is left out.
        """
        known = self.rows.get(word)
        if known is not None:
            return [known]
        found: list[int] = []
        start, end = 0, len(word)
        while start < len(word):
            row = self.rows.get(word[start:end] if start == 0 else f"##{word[start:end]}")
            if row is not None:
                found.append(row)
                start, end = end, len(word)
            elif end > start + 1:
                end -= 1
            else:
                start, end = start + 1, len(word)
        return found

    def vector(self, word: str) -> NDArray[np.int32]:
        """The word's vector, or the sum of its pieces', shape (width,)."""
        total: NDArray[np.int32] = self.vectors[self.pieces(word)].sum(axis=0, dtype=np.int32)
        return total

    def fingerprint(self) -> str:
        """A hash of words and vectors."""
        digest = hashlib.sha256("\n".join(self.rows).encode())
        digest.update(np.ascontiguousarray(self.vectors).tobytes())
        return digest.hexdigest()

    def write(self, path: Path) -> None:
        """Write as .npz: the words as UTF-8, one a line, and the vectors."""
        text = np.frombuffer("\n".join(self.rows).encode(), np.uint8)
        np.savez_compressed(path, words=text, vectors=self.vectors)

    @staticmethod
    def read(path: Path) -> StaticTable:
        """Read what `write` wrote. Raises DataError where the file is not that."""
        try:
            with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
                words = arrays["words"].tobytes().decode().split("\n")
                vectors = arrays["vectors"]
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise DataError(
                f"{path} is no static embedding: {error}", remedy="Install Pointsman again"
            ) from error
        if vectors.dtype != np.int8 or vectors.ndim != 2 or len(vectors) != len(words):  # noqa: PLR2004
            raise DataError(
                f"{path} holds {vectors.dtype} of shape {vectors.shape} for {len(words)} words",
                remedy="It needs int8, one row a word; install Pointsman again",
            )
        return StaticTable({word: row for row, word in enumerate(words)}, vectors)


@cache
def shipped_table() -> StaticTable:
    """The table that Pointsman ships, read once."""
    return StaticTable.read(SHIPPED)
