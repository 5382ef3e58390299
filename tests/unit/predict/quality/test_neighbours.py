"""Nearest rows: against sorting all, with ties, and through the index."""

from __future__ import annotations

import numpy as np

from pointsman.predict.quality.neighbours import FARTHEST, Neighbours, nearest


def vectors(n: int, width: int = 16, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)


def test_nearest_are_those_of_a_full_sort() -> None:
    similarity = np.random.default_rng(1).random((20, 300)).astype(np.float32)
    known = np.random.default_rng(2).random(300) < 0.5
    index, values = nearest(similarity, known, 7)
    for row in range(20):
        wanted = [i for i in np.argsort(-similarity[row], kind="stable") if known[i]][:7]
        assert index[row].tolist() == wanted
        np.testing.assert_array_equal(values[row], similarity[row, wanted])


def test_of_equally_similar_rows_the_earlier_are_taken() -> None:
    similarity = np.array([[0.5, 0.9, 0.5, 0.5, 0.1, 0.5]], np.float32)
    index, _ = nearest(similarity, np.array([True, True, False, True, True, True]), 3)
    assert index.tolist() == [[1, 0, 3]]
    index, _ = nearest(np.zeros((2, 6), np.float32), np.ones(6, bool), 4)
    assert index.tolist() == [[0, 1, 2, 3]] * 2


def test_fewer_known_rows_than_k_are_all_given() -> None:
    index, _ = nearest(np.array([[0.1, 0.2, 0.3]], np.float32), np.array([True, False, True]), 16)
    assert index.tolist() == [[2, 0]]


def test_similarity_is_the_cosine_and_a_row_of_zeros_has_none() -> None:
    rows = vectors(50)
    rows[3] = 0
    found = Neighbours.build(rows, 0).similarity(rows[:5] * 7)
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    np.testing.assert_allclose(found, unit[:5] @ unit.T, atol=2e-3)
    assert (found[3] == 0).all()


def test_the_index_finds_almost_all_of_what_a_full_search_finds() -> None:
    centres = 4 * vectors(30, seed=3)
    rows = centres[np.arange(3_000) % 30] + vectors(3_000, seed=4)
    full = Neighbours.build(rows, 0).similarity(rows[:40])
    built = Neighbours.build(rows, 0, index_rows=1_000)
    indexed = built.similarity(rows[:40])
    compared = indexed > FARTHEST
    np.testing.assert_array_equal(indexed[compared], full[compared])
    assert compared.mean() < 0.5
    every = np.ones(3_000, bool)
    same = [
        len(set(a) & set(b))
        for a, b in zip(nearest(full, every, 20)[0], nearest(indexed, every, 20)[0], strict=True)
    ]
    assert np.mean(same) > 19
    again = Neighbours.from_arrays(built.to_arrays())
    np.testing.assert_array_equal(again.similarity(rows[:3]), indexed[:3])


def test_later_rows_follow_the_others_and_are_all_compared_beside_an_index() -> None:
    rows = vectors(3_000, seed=5)
    full = Neighbours.build(rows, 0).similarity(rows[:10])
    for index_rows in (10_000, 1_000):
        found = (
            Neighbours.build(rows[:2_500], 0, index_rows=index_rows)
            .followed_by(rows[2_500:])
            .similarity(rows[:10])
        )
        np.testing.assert_allclose(found[:, 2_500:], full[:, 2_500:], atol=2e-6)
        compared = found > FARTHEST
        np.testing.assert_allclose(found[compared], full[compared], atol=2e-6)
        assert compared[:, :2_500].all() == (index_rows > 2_500)
