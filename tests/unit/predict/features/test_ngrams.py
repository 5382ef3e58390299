from __future__ import annotations

import numpy as np

from pointsman.predict.features.ngrams import BUCKETS, gram_buckets, word_hash


def test_words_and_pairs_in_order() -> None:
    hashes = np.array([word_hash(word) for word in ("the", "cat", "the", "cat")], np.uint32)
    grams = gram_buckets(hashes)
    assert grams.shape == (7,)
    assert grams[0] == grams[2]
    assert grams[1] == grams[3]
    assert grams[4] == grams[6]  # the cat
    assert grams[5] != grams[4]  # cat the
    assert grams.max() < BUCKETS


def test_one_word_has_no_pair_and_none_has_nothing() -> None:
    assert gram_buckets(np.array([word_hash("one")], np.uint32)).shape == (1,)
    assert gram_buckets(np.empty(0, np.uint32)).shape == (0,)


def test_buckets_are_used_evenly() -> None:
    """N balls in B bins leave B exp(-N/B) empty; three standard deviations of that are allowed."""
    words = np.array([word_hash(f"word{number}") for number in range(BUCKETS)], np.uint32)
    for grams in (gram_buckets(words)[:BUCKETS], gram_buckets(words)[BUCKETS:]):
        empty = BUCKETS - len(np.unique(grams))
        assert abs(empty - BUCKETS / np.e) < 3 * np.sqrt(BUCKETS * np.exp(-1) * (1 - 2 / np.e))
