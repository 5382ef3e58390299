"""Buckets of a text: bounded, rising, the same everywhere; what is asked for differs from what is given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.predict.length.grams import BUCKETS, text_buckets


@given(st.text(max_size=300))
def test_any_text_has_buckets(text: str) -> None:
    buckets = text_buckets(text)
    assert buckets.dtype == np.uint32
    assert (np.diff(buckets.astype(np.int64)) > 0).all()
    assert not len(buckets) or buckets[-1] < BUCKETS
    np.testing.assert_array_equal(buckets, text_buckets(text))


@pytest.mark.parametrize("text", ["", " \n\t ", "x" * 100_000, "\ud800\x00", "?!" * 5_000, "a\n" * 5_000])
def test_odd_texts(text: str) -> None:
    assert len(text_buckets(text)) < 40_000


def test_the_order_of_words_and_the_line_they_stand_in_count() -> None:
    asked = text_buckets("Describe the poem\n\nRoses are red")
    for other in (
        "Describe poem the\n\nRoses are red",
        "Roses are red\n\nDescribe the poem",
        "Describe the poem",
    ):
        own = text_buckets(other)
        assert 0 < len(np.intersect1d(asked, own)) < len(np.union1d(asked, own))


def test_buckets_are_those_of_the_artifacts_that_exist() -> None:
    """Another hash needs another `VERSION`."""
    assert text_buckets("List 3 uses.\nof a brick").tolist()[:4] == [6256, 13384, 15031, 18367]
