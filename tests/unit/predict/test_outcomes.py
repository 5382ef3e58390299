"""The matrix of outcomes: what it takes from rows, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pointsman.errors import DataError
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.testing.outcomes import made_outcomes

QUERIES = {"a": ("Why?", "x"), "b": ("why? ", "x"), "c": ("How?", "")}


def rows(*cells: tuple[str, str, float, float]) -> dict[str, object]:
    ids, endpoints, quality, tokens = zip(*cells, strict=True)
    return {
        "query_id": ids,
        "endpoint": endpoints,
        "quality": np.array(quality),
        "output_tokens": np.array(tokens),
    }


def test_rows_become_cells_and_gaps() -> None:
    nan = float("nan")
    matrix = OutcomeMatrix.from_rows(
        QUERIES, ("m", "n"), rows(("c", "n", 0.5, 7.0), ("a", "m", 1.0, nan), ("a", "other", 0.0, 1.0))
    )
    np.testing.assert_array_equal(matrix.quality, [[1, nan], [nan, nan], [nan, 0.5]])
    np.testing.assert_array_equal(matrix.output_tokens, [[nan, nan], [nan, nan], [nan, 7]])
    assert matrix.tasks == ("x", "x", "")


def test_equal_prompts_are_one_group_whatever_case_and_space() -> None:
    matrix = OutcomeMatrix.from_rows(QUERIES, ("m",), rows(("a", "m", 1, 1)))
    assert matrix.groups.tolist() == [0, 0, 1]


def test_a_row_may_come_twice_if_it_says_the_same() -> None:
    nan = float("nan")
    matrix = OutcomeMatrix.from_rows(QUERIES, ("m",), rows(("a", "m", 1, nan), ("a", "m", 1, nan)))
    assert matrix.quality[0, 0] == 1


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([("a", "m", 1, 3), ("a", "m", 0, 3)], "'a' on 'm' has two outcomes"),
        ([("z", "m", 1, 3)], "the query 'z'"),
        ([("a", "m", 1.5, 3)], r"quality of 'a' on 'm' is 1.5, not in \[0, 1\]"),
        ([("a", "m", -0.1, 3)], "is -0.1"),
        ([("a", "m", 1, -3)], "output_tokens of 'a' on 'm' is -3"),
        ([("a", "m", 1, np.inf)], "is inf"),
    ],
)
def test_labels_that_can_not_be_are_refused(cells: list[tuple[str, str, float, float]], words: str) -> None:
    with pytest.raises(DataError, match=words):
        OutcomeMatrix.from_rows(QUERIES, ("m",), rows(*cells))


def test_names_that_come_twice_and_wrong_shapes_are_refused() -> None:
    matrix = made_outcomes(np.random.default_rng(1), 4)
    with pytest.raises(DataError, match="1 query ids come more than once: 'q0'"):
        replace(matrix, query_ids=("q0", "q0", "q2", "q3"))
    with pytest.raises(DataError, match="endpoints come more than once"):
        replace(matrix, endpoints=("both", "both"))
    with pytest.raises(DataError, match="tasks has the shape"):
        replace(matrix, tasks=("x",))
    with pytest.raises(DataError, match="at least one query"):
        OutcomeMatrix.from_rows({}, ("m",), dict.fromkeys(rows(("a", "m", 1, 1)), ()))


def test_take_keeps_rows_together() -> None:
    matrix = made_outcomes(np.random.default_rng(1), 6)
    part = matrix.take(np.array([4, 1]))
    assert part.query_ids == ("q4", "q1")
    assert part.prompts == (matrix.prompts[4], matrix.prompts[1])
    np.testing.assert_array_equal(part.quality, matrix.quality[[4, 1]])


def test_some_endpoints_in_another_order() -> None:
    matrix = made_outcomes(np.random.default_rng(4), 20, ("a", "b", "c"))
    some = matrix.of_endpoints(np.array([2, 0]))
    assert (some.endpoints, some.query_ids) == (("c", "a"), matrix.query_ids)
    np.testing.assert_array_equal(some.quality, matrix.quality[:, [2, 0]])
    np.testing.assert_array_equal(some.output_tokens, matrix.output_tokens[:, [2, 0]])
