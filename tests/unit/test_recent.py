"""The ring of recent outcomes: bounded, the oldest first, labels counted as the log counts them."""

from __future__ import annotations

import contextlib
import sqlite3

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pointsman.learn.recent import RecentOutcomes, RecentRow
from pointsman.store.labels import insert_labels
from pointsman.store.rows import SCHEMA
from pointsman.types import Label

NAN = float("nan")


def row(request_id: str, column: int = 0, tokens: float = 5.0) -> RecentRow:
    return RecentRow(request_id, np.full(3, len(request_id), np.float32), "t", column, tokens)


def test_a_row_has_its_length_at_its_endpoint_and_its_score_once_it_is_labelled() -> None:
    recent = RecentOutcomes(10, 2)
    recent.add(row("a", 0, 7.0))
    recent.add(row("bb", 1, NAN))
    recent.label([Label("bb", 1, "x"), Label("bb", 0, "y")], 1.0)
    made = recent.arrays()
    np.testing.assert_array_equal(made.quality, [[NAN, NAN], [NAN, 0.5]])
    np.testing.assert_array_equal(made.output_tokens, [[7, NAN], [NAN, NAN]])
    np.testing.assert_array_equal(made.encoded, [[1, 1, 1], [2, 2, 2]])
    assert made.tasks == ("t", "t")


def test_a_label_may_come_before_its_answer() -> None:
    recent = RecentOutcomes(10, 1)
    recent.label([Label("a", 1, "x")], 1.0)
    recent.add(row("a"))
    assert recent.arrays().quality.tolist() == [[1.0]]


def test_an_id_that_comes_again_has_its_labels_at_its_last_answer() -> None:
    recent = RecentOutcomes(10, 1)
    recent.add(row("a"))
    recent.label([Label("a", 1, "x")], 1.0)
    recent.add(row("a"))
    np.testing.assert_array_equal(recent.arrays().quality, [[NAN], [1.0]])


def test_it_holds_no_more_than_it_may_of_rows_and_of_labels() -> None:
    recent = RecentOutcomes(4, 1)
    for number in range(100):
        recent.label([Label(f"early{number}", 1, "x"), Label(f"r{number}", 1, "x")], 1.0)
        recent.add(row(f"r{number}", tokens=number))
        recent.add(row("again", tokens=number))
    np.testing.assert_array_equal(recent.arrays().output_tokens[:, 0], [98, 98, 99, 99])
    assert len(recent) == 4
    assert len(recent._said) <= 8
    assert set(recent._last) == {"r98", "r99", "again"}


@given(
    st.lists(
        st.tuples(
            st.builds(
                Label,
                st.just("r"),
                st.sampled_from([0.0, 0.5, 1.0]),
                st.sampled_from(["a", "b"]),
                st.sampled_from([None, 1.0, 50.0, 200.0]),
            ),
            st.sampled_from([0.0, 60.0]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_labels_come_to_what_they_come_to_in_the_log(said: list[tuple[Label, float]]) -> None:
    """But that the log does not move the time of what a source says again without one."""
    recent, now = RecentOutcomes(10, 1), 0.0
    recent.add(row("r"))
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        for label, later_s in said:
            now += later_s
            if insert_labels(connection, now, [label]).new:
                recent.label([label], now)
        ((score,),) = connection.execute("SELECT score FROM scores")
    assert recent.arrays().quality.tolist() == [[score]]
