"""Whatever a text is, its cheap features are finite and the same alone as in any batch."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.features.ngrams import BUCKETS
from pointsman.predict.features.words import readable, split_words
from pointsman.predict.task import TASKS

HOT = HotFeatures()
CHARACTERS = st.characters(exclude_categories=())  # surrogates too
TEXTS = st.lists(
    st.one_of(
        st.text(CHARACTERS, max_size=300),
        st.text("ABCD.)\n ?19", max_size=200),
        st.builds(
            lambda part, times: part * times, st.text(CHARACTERS, min_size=1, max_size=20), st.just(5000)
        ),
    ),
    max_size=6,
)


@given(TEXTS)
def test_a_text_alone_is_as_in_a_batch(texts: list[str]) -> None:
    together = HOT.rows(texts)
    assert together.dense.shape == (len(texts), HOT.width)
    assert np.isfinite(together.dense).all()
    for number, text in enumerate(texts):
        alone = HOT.rows([text])
        assert (alone.dense[0] == together.dense[number]).all()
        assert alone.grams[0].tolist() == together.grams[number].tolist()
        assert not len(alone.grams[0]) or alone.grams[0].max() < BUCKETS


@given(st.text(CHARACTERS, max_size=500))
def test_one_pair_fewer_than_words_and_one_type(text: str) -> None:
    words = len(split_words(readable(text)))
    row = HOT.rows([text])
    assert len(row.grams[0]) == max(2 * words - 1, 0)
    types = [row.dense[0, HOT.columns.index(f"type_{task}")] for task in TASKS]
    assert sorted(types) == [0] * (len(TASKS) - 1) + [1]


@given(st.text(st.characters(codec="ascii"), max_size=300))
def test_ascii_is_split_as_any_text(text: str) -> None:
    """The quick way and the general one agree: a word beyond ASCII behind the text adds itself alone."""
    assert [*split_words(text), "日"] == split_words(f"{text} 日")
