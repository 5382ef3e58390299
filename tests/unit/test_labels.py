"""Labels join the decision log by request id: late, repeated, contradictory, before their request, while it is written."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import BadRequest, DataError
from pointsman.store.decision_log import DecisionLog, read_outcomes
from pointsman.store.labels import Served, add_labels, insert_labels, read_labels, read_served
from pointsman.store.rows import SCHEMA
from pointsman.testing.fakes import make_endpoints, make_table
from pointsman.types import Admission, Decision, Disposition, Kept, Label, Outcome, Prompt, Request

NOW_S = 1_000.0


@pytest.fixture
def log(tmp_path: Path):
    made = DecisionLog(tmp_path / "log.db", store_prompts=True)
    yield made
    made.close()


def path_of(log: DecisionLog) -> Path:
    assert log.flush()
    return log._path


def serve(log: DecisionLog, *request_ids: str, text: str = "why?", **fields) -> None:
    """What a driver tells the log of requests that are answered."""
    table = make_table(make_endpoints(2))
    for request_id in request_ids:
        request = Request(request_id, Prompt(text, task="physics"))
        log.record(
            Decision(request_id, 0.0, Admission.RUN, "", "p", table, 0, {}, None, "e1"), request
        )  # fmt: skip
        log.finish(Outcome(request_id, "e1", Disposition.ANSWERED, output_tokens=7, **fields))


def scores(path: Path) -> dict[str, float | None]:
    return {outcome.request_id: outcome.quality for outcome in read_outcomes(path)}


def test_a_label_joins_its_outcome_and_only_that(log: DecisionLog) -> None:
    serve(log, "r1", "r2")
    assert log.label([Label("r1", 0.25, "form")]).result(10) == Kept(new=1)
    assert scores(path_of(log)) == {"r1": 0.25, "r2": None}


def test_said_again_it_changes_nothing_and_said_otherwise_the_last_counts(log: DecisionLog) -> None:
    serve(log, "r1")
    assert log.label([Label("r1", 1, "form")]).result(10) == Kept(new=1)
    assert log.label([Label("r1", 1, "form")]).result(10) == Kept(repeated=1)
    assert log.label([Label("r1", 0, "form")]).result(10) == Kept(new=1)
    assert scores(path_of(log)) == {"r1": 0}
    assert log.label([Label("r1", 1, "form")]).result(10) == Kept(new=1), "a mind may be changed back"
    assert scores(path_of(log)) == {"r1": 1}
    assert [label.score for label in read_labels(path_of(log), request_id="r1")] == [1, 0, 1], "all are kept"


def test_sources_are_averaged(log: DecisionLog) -> None:
    serve(log, "r1")
    log.label([Label("r1", 1, "a"), Label("r1", 0, "b"), Label("r1", 0.5, "b")]).result(10)
    assert scores(path_of(log)) == {"r1": 0.75}


def test_the_time_it_was_said_goes_before_the_time_it_came(log: DecisionLog) -> None:
    serve(log, "r1")
    late, early = Label("r1", 0, "a", 20.0), Label("r1", 1, "a", 10.0)
    assert log.label([late]).result(10) == log.label([early]).result(10) == Kept(new=1)
    assert scores(path_of(log)) == {"r1": 0}
    assert log.label([early, late]).result(10) == Kept(repeated=2)
    assert scores(path_of(log)) == {"r1": 0}


@given(
    st.lists(
        st.builds(
            Label,
            st.sampled_from(["r1", "r2"]),
            st.sampled_from([0.0, 0.5, 1.0]),
            st.sampled_from(["a", "b"]),
            st.sampled_from([1.0, 2.0, 3.0]),
        ),
        max_size=6,
    ),
    st.randoms(use_true_random=False),
)
def test_labels_with_a_time_come_to_the_same_in_any_order_and_sent_any_number_of_times(
    labels: list[Label], rng
) -> None:
    """But for two that one source says at one time, of which the last counts."""
    once = list({(label.request_id, label.source, label.at_unix_s): label for label in labels}.values())
    again = [*once, *once]
    rng.shuffle(again)
    seen = []
    for order in (once, again):
        with contextlib.closing(sqlite3.connect(":memory:")) as connection:
            connection.executescript(SCHEMA)
            kept = [insert_labels(connection, NOW_S, [label]) for label in order]
            assert sum(each.new for each in kept) == len(once)
            seen.append(connection.execute("SELECT * FROM scores ORDER BY request_id").fetchall())
    assert seen[0] == seen[1]


def test_a_label_before_its_request_is_kept_and_joins_it_later(log: DecisionLog) -> None:
    assert log.label([Label("r1", 0.5, "a")]).result(10) == Kept(new=1, unknown=1)
    serve(log, "r1")
    assert scores(path_of(log)) == {"r1": 0.5}
    assert log.label([Label("r1", 0.5, "a")]).result(10) == Kept(repeated=1)


def test_only_the_answer_that_was_given_out_is_labelled(log: DecisionLog) -> None:
    log.finish(Outcome("r1", "e0", Disposition.ESCALATED))
    serve(log, "r1")
    log.label([Label("r1", 1, "a")]).result(10)
    assert [(o.endpoint, o.quality) for o in read_outcomes(path_of(log))] == [("e0", None), ("e1", 1)]


def test_an_id_that_came_again_has_its_labels_at_its_last_answer(log: DecisionLog) -> None:
    serve(log, "r1", "r1")
    log.label([Label("r1", 1, "a")]).result(10)
    assert [outcome.quality for outcome in read_outcomes(path_of(log))] == [None, 1]


def test_what_can_be_learnt_from_is_read_newest_last_with_its_labels(log: DecisionLog) -> None:
    serve(log, "r1", "r2", "r3")
    log.finish(Outcome("r4", "e1", Disposition.FAILED))
    log.label([Label("r2", 1, "a", 5.0), Label("r1", 0, "a")]).result(10)
    served, labels = read_served(path_of(log), 2)
    assert served == [Served(name, "why?", "physics", "e1", 7) for name in ("r2", "r3")]
    assert labels == [Label("r2", 1, "a", 5.0)]


def test_what_lies_far_back_is_not_looked_for(log: DecisionLog) -> None:
    serve(log, *(f"r{n}" for n in range(5)))
    for number in range(28):
        log.finish(Outcome(f"s{number}", "e1", Disposition.SKIPPED))
    assert [each.request_id for each in read_served(path_of(log), 3)[0]] == ["r3", "r4"], "of the last 30"
    assert [each.request_id for each in read_served(path_of(log), 4)[0]] == ["r1", "r2", "r3", "r4"]


def test_without_prompts_nothing_can_be_learnt_again(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log.db")
    serve(log, "r1")
    log.close()
    assert read_served(tmp_path / "log.db", 10) == ([], [])


def test_labels_are_added_offline_while_a_gateway_writes(log: DecisionLog) -> None:
    serve(log, *(f"r{n}" for n in range(500)))
    path = log._path
    assert add_labels(path, NOW_S, [Label("r1", 1, "a")]).new == 1
    serve(log, *(f"s{n}" for n in range(500)))
    assert add_labels(path, NOW_S, [Label("r1", 1, "a"), Label("none", 0, "a")]) == Kept(1, 1, 1)
    assert scores(path_of(log))["r1"] == 1
    assert log.dropped == 0


def test_labels_that_cant_be_kept_are_told_to_who_gave_them(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log.db")
    with sqlite3.connect(tmp_path / "log.db") as other:
        other.execute("ALTER TABLE labels RENAME TO away")
    other.close()
    with pytest.raises(DataError, match=r"can't be written.*Send them again later"):
        log.label([Label("r1", 1, "a")]).result(10)
    assert log.dropped == 1
    with pytest.raises(DataError, match="did not take the labels"):
        add_labels(tmp_path / "log.db", NOW_S, [Label("r1", 1, "a")])
    log.close()
    with pytest.raises(DataError, match="busy or closed"):
        log.label([Label("r1", 1, "a")]).result(10)


def test_one_broken_entry_costs_no_label_of_its_batch(log: DecisionLog) -> None:
    broken = Decision("r0", 0.0, Admission.RUN, "", "p", make_table(make_endpoints(2)), 0, {"e0": object()}, None, None)  # type: ignore[dict-item]  # fmt: skip
    log.record(broken, Request("r0", Prompt("x")))
    assert log.label([Label("r1", 1, "a")]).result(10).new == 1
    assert log.dropped == 1


def test_adding_to_no_log_makes_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        add_labels(tmp_path / "none.db", NOW_S, [Label("r1", 1, "a")])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (("", 1, "a"), "request_id is ''"),
        (("r" * 257, 1, "a"), "not 1 to 256 printable characters"),
        (("r", 1, ""), "source is ''"),
        (("r", 1, "a\nb"), "source"),
        (("r", 1, "s" * 65), "not 1 to 64"),
        (("r", 1.01, "a"), r"score is 1.01, not in \[0, 1\]"),
        (("r", -0.0001, "a"), "Divide by the best possible score"),
        (("r", float("nan"), "a"), "score is nan"),
        (("r", float("inf"), "a"), "score is inf"),
        (("r", 1, "a", -1.0), "at is -1"),
        (("r", 1, "a", 1.7e12), "seconds since 1970"),
        (("r", 1, "a", float("nan")), "at is nan"),
    ],
)
def test_what_is_no_label_is_refused_with_value_limit_and_remedy(fields: Sequence, why: str) -> None:
    with pytest.raises(BadRequest, match=why) as refused:
        Label(*fields)
    assert refused.value.remedy
    assert refused.value.param


def test_every_label_of_a_long_list_is_kept(log: DecisionLog) -> None:
    labels = [Label(f"r{n}", n % 2, s) for n, s in itertools.product(range(1000), "ab")]
    assert log.label(labels).result(30) == Kept(new=2000, unknown=2000)
    assert [label.request_id for label in read_labels(path_of(log))] == [x.request_id for x in labels]
