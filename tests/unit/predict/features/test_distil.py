from __future__ import annotations

import numpy as np
import pytest

from pointsman.predict.features.distil import (
    bags_of_near_words,
    distilled,
    leading,
    usable_words,
    word_counts,
)
from pointsman.predict.features.static import StaticTable

pytest.importorskip("scipy")


def test_only_what_can_be_split_off_is_used() -> None:
    vocabulary = ["[CLS]", "!", "the", "##ing", "##!", "é", "Ä", "日", "[unused1]", "2020", "##s"]
    assert usable_words(vocabulary) == ["the", "##ing", "日", "2020", "##s"]


def test_counts_of_words_and_pieces() -> None:
    table = StaticTable({"a": 0, "b": 1, "##c": 2}, np.zeros((3, 0), np.int8))
    assert word_counts(table, ["a b a", "bc", ""]).toarray().tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 0]]


def test_it_finds_the_vectors_that_made_the_texts() -> None:
    """Texts whose embeddings are sums of hidden word vectors: their sums are found again."""
    rng = np.random.default_rng(1)
    words = [f"w{number}" for number in range(60)]
    hidden = rng.normal(size=(60, 8)).astype(np.float32)
    picks = [rng.integers(0, 60, 6) for _ in range(3000)]
    texts = [" ".join(words[pick] for pick in chosen) for chosen in picks]
    sums = np.array([hidden[chosen].sum(0) for chosen in picks])
    embeddings = (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float32)
    table = distilled(words, texts[:2500], embeddings[:2500], width=8, ridge=0.1)
    made = word_counts(table, texts) @ table.vectors.astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    wanted = leading(embeddings, 8)  # the same directions but for a turn, which likeness does not see
    likeness = (made[2500:] @ made[2500:].T), (wanted[2500:] @ wanted[2500:].T)
    assert np.corrcoef(likeness[0].ravel(), likeness[1].ravel())[0, 1] > 0.98


def test_a_word_without_texts_has_a_vector_of_nothing() -> None:
    embeddings = np.eye(2, dtype=np.float32)
    table = distilled(["a", "b", "c"], ["a", "b"], embeddings, width=2, ridge=0.1)
    assert table.vector("c").tolist() == [0, 0]
    assert table.vector("a") @ table.vector("b") == 0


def test_bags_are_of_one_subject() -> None:
    angles = np.arange(200) * (np.pi / 400)
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    words = [str(number) for number in range(200)]
    bags = bags_of_near_words(words, embeddings, 50, np.random.default_rng(2))
    assert bags == bags_of_near_words(words, embeddings, 50, np.random.default_rng(2))
    for bag in bags:
        numbers = sorted(map(int, bag.split()))
        assert 4 <= len(numbers) <= 14
        assert np.percentile(numbers, 70) - np.percentile(numbers, 30) <= 80
