"""Hashed words and pairs of neighbouring words: what a linear model learns by heart, in bounded room.

The hash is CRC-32 of the word, the same in every process; two words in one bucket share a weight.
"""

from __future__ import annotations

import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

BUCKETS: Final = 1 << 15
_SHIFT: Final = np.uint32(32 - 15)
_MIX: Final = np.uint32(0x9E3779B1)
"""2^32 over the golden ratio: spreads neighbouring numbers over the upper bits (Knuth, 6.4)."""


def word_hash(word: str) -> int:
    """32 bits of a word."""
    return zlib.crc32(word.encode("utf-8", "surrogatepass"))


def gram_buckets(hashes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Buckets of a text's words and then of its pairs, below `BUCKETS`.

    Args:
        hashes: `word_hash` of each word in order, shape (W,).

    Returns: shape (2 W - 1,), or (0,) for no words; a bucket stands as often as it occurs.
    """
    if not len(hashes):
        return hashes
    grams = np.empty(2 * len(hashes) - 1, np.uint32)
    np.multiply(hashes, _MIX, out=grams[: len(hashes)])
    np.add(grams[: len(hashes) - 1], hashes[1:], out=grams[len(hashes) :])
    grams[len(hashes) :] *= _MIX
    grams >>= _SHIFT
    return grams
