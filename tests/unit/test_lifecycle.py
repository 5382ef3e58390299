import pytest

from pointsman.errors import IllegalTransition
from pointsman.lifecycle import TRANSITIONS, Ledger, Move, State
from pointsman.testing.fakes import make_request
from pointsman.types import Disposition

# How a request gets into each state, by moves that the table allows.
WAY = {
    State.PREDICTING: (),
    State.DEFERRED: (Move.DEFER,),
    State.QUEUED: (Move.QUEUE,),
    State.RUNNING: (Move.QUEUE, Move.DISPATCH),
}
# The table once more, by hand, so that a slip in either is seen.
ENDS = {
    Move.ANSWER: Disposition.ANSWERED,
    Move.SKIP: Disposition.SKIPPED,
    Move.REFUSE: Disposition.REFUSED,
    Move.FAIL: Disposition.FAILED,
}
LEADS = {
    Move.DEFER: State.DEFERRED,
    Move.PREDICT: State.PREDICTING,
    Move.QUEUE: State.QUEUED,
    Move.DISPATCH: State.RUNNING,
    Move.ESCALATE: State.QUEUED,
}
LEGAL = {
    *((state, move) for state in (State.PREDICTING, State.DEFERRED, State.QUEUED) for move in Move
      if move not in (Move.DISPATCH, Move.ANSWER, Move.ESCALATE, Move.PREDICT)),
    (State.DEFERRED, Move.PREDICT),
    (State.QUEUED, Move.DISPATCH),
    (State.QUEUED, Move.ANSWER),
    (State.RUNNING, Move.ANSWER),
    (State.RUNNING, Move.FAIL),
    (State.RUNNING, Move.ESCALATE),
}  # fmt: skip


@pytest.mark.parametrize("move", Move)
@pytest.mark.parametrize("state", State)
def test_every_state_and_move_either_moves_or_raises_and_changes_nothing(state, move):
    ledger = Ledger()
    entry = ledger.arrive(make_request("a"), 1.0)
    for step in WAY[state]:
        ledger.move(entry, step)
    assert entry.state is state
    if (state, move) not in LEGAL:
        with pytest.raises(IllegalTransition, match=f"'a' is {state} and can't {move}; it can "):
            ledger.move(entry, move)
        assert entry.state is state
        assert ledger.get("a") is entry
        assert not ledger.ended
        return
    ledger.move(entry, move)
    if move in ENDS:
        assert ledger.get("a") is None
        assert ledger.ended == {ENDS[move]: 1}
    else:
        assert entry.state is LEADS[move]
        assert ledger.get("a") is entry
    assert ledger.arrivals == len(ledger) + ledger.ended.total() == 1


def test_the_table_has_a_row_for_every_state_and_every_move_is_used():
    assert set(TRANSITIONS) == set(State)
    assert {move for row in TRANSITIONS.values() for move in row} == set(Move)


def test_arrivals_are_numbered_and_ids_of_living_requests_unique():
    ledger = Ledger()
    first, second = ledger.arrive(make_request("a"), 1.0), ledger.arrive(make_request("b"), 2.0)
    assert (first.seq, second.seq, second.arrived_s) == (0, 1, 2.0)
    with pytest.raises(IllegalTransition, match="'a' arrived twice"):
        ledger.arrive(make_request("a"), 3.0)
    assert len(ledger) == ledger.arrivals == 2


def test_an_id_may_come_again_once_its_request_has_ended():
    ledger = Ledger()
    ledger.move(ledger.arrive(make_request("a"), 1.0), Move.SKIP)
    assert ledger.arrive(make_request("a"), 2.0).seq == 1
    assert (len(ledger), ledger.arrivals) == (1, 2)


def test_asking_for_a_request_that_is_not_alive_raises():
    with pytest.raises(IllegalTransition, match="'a' is not alive"):
        Ledger().entry("a")
