import numpy as np

from pointsman.metrics.cascades import Played, play_cascade, play_choice
from pointsman.metrics.run_or_skip import SKIP, Stakes, costs_of

RIGHT = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
C_RUN = np.array([[[0.1, 0.2, 0.4]] * 3, [[0.1, np.nan, np.nan]] * 3])
ALL = np.arange(3)


def test_a_choice_costs_what_run_or_skip_says():
    for choice in ([0, 1, 2], [SKIP, SKIP, SKIP], [2, SKIP, 1]):
        made = play_choice(np.array(choice), RIGHT, C_RUN)
        expected = costs_of(np.array(choice), RIGHT, Stakes(C_RUN[0]))
        np.testing.assert_allclose(made.cost(RIGHT), expected)


def test_a_cascade_pays_for_every_step_and_gives_the_last_answer():
    asked = []

    def ask(column, rows):
        asked.append((column, rows.tolist()))
        return np.where(RIGHT[rows, column] > 0, column, column + 1)

    made = play_cascade((0, 1, 2), ask, RIGHT, C_RUN, ALL)
    assert asked == [(0, [0, 1, 2]), (1, [1, 2])]
    np.testing.assert_allclose(made.run, [0.1, 0.3, 0.7])
    np.testing.assert_allclose(made.right, [1.0, 1.0, 0.0])
    np.testing.assert_allclose(made.escalated, [0.0, 1.0, 1.0])
    np.testing.assert_allclose(made.cost(RIGHT), [0.1, 0.3, 1.7])


def test_an_endpoint_may_be_passed_over_and_samples_are_paid_where_there_are_any():
    def ask(column, rows):
        return np.full(len(rows), 2)

    made = play_cascade((0, 1, 2), ask, RIGHT, C_RUN, np.array([1]), samples=True)
    np.testing.assert_allclose(made, Played(*np.array([[0.6], [1.0], [1.0], [0.0]])))
