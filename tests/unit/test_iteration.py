"""The plan of one step: who runs, who is preempted, with what tokens."""

from __future__ import annotations

from pointsman.order.iteration import EngineBudget, EngineSequence, plan
from pointsman.order.iteration_orders import FcfsIteration, MlfqIteration, RankedIteration

FCFS, SHORTEST = FcfsIteration(), RankedIteration(preempts=True)


def decoding(number: int, held: int = 4, needed: int = 4, predicted: float = 50.0) -> EngineSequence:
    return EngineSequence(number, 0.0, predicted, 10, 0, held, needed, True, 0)


def waiting(number: int, prompt: int = 10, blocks: int = 3, predicted: float = 50.0) -> EngineSequence:
    return EngineSequence(number, 0.0, predicted, 0, prompt, 0, blocks, False, 0)


def test_who_waits_gets_free_slots_in_order_and_the_tokens_that_are_left():
    here = [decoding(0), waiting(1, prompt=12), waiting(2, prompt=12), waiting(3)]
    found = plan(FCFS, here, EngineBudget(8, 20, 100), 5)
    assert found.run == ((0, 1), (1, 12), (2, 7))
    assert found.preempt == ()


def test_a_prompt_goes_on_before_another_is_let_in():
    begun = EngineSequence(1, 0.0, None, 0, 30, 5, 5, True, 0)
    found = plan(FCFS, [decoding(0), begun, waiting(2)], EngineBudget(8, 16, 100), 5)
    assert found.run == ((0, 1), (1, 15))


def test_slots_are_never_exceeded():
    found = plan(FCFS, [decoding(0), waiting(1), waiting(2)], EngineBudget(2, 64, 100), 5)
    assert [number for number, _ in found.run] == [0, 1]


def test_who_ranks_last_gives_its_memory_back_and_nobody_is_let_in_then():
    here = [decoding(0, 4, 5), decoding(1, 4, 5), decoding(2, 4, 5), waiting(3, blocks=1)]
    found = plan(FCFS, here, EngineBudget(8, 64, 1), 5)
    assert found.preempt == (2,)
    assert [number for number, _ in found.run] == [0, 1]


def test_one_that_does_not_fit_is_passed_by_nobody():
    found = plan(FCFS, [decoding(0), waiting(1, blocks=9), waiting(2, blocks=1)], EngineBudget(8, 64, 5), 5)
    assert found.run == ((0, 1),)


def test_a_shorter_one_takes_the_slot_of_the_longest_only_where_the_order_preempts():
    here = [decoding(0, predicted=10), decoding(1, predicted=90), waiting(2, predicted=40)]
    budget = EngineBudget(2, 64, 100)
    assert plan(SHORTEST, here, budget, 5).preempt == (1,)
    assert plan(SHORTEST, here, budget, 5).run == ((0, 1), (2, 10))
    assert plan(RankedIteration(), here, budget, 5).preempt == ()


def test_nobody_is_preempted_for_one_that_would_not_fit_even_then():
    here = [decoding(0, held=4, predicted=90), waiting(1, blocks=9, predicted=10)]
    found = plan(SHORTEST, here, EngineBudget(2, 64, 2), 5)
    assert (found.run, found.preempt) == (((0, 1),), ())


def test_levels_of_feedback_double():
    order = MlfqIteration(4)
    levels = [
        order.rank(EngineSequence(0, 0.0, None, served, 0, 1, 1, True, 0), 7)[0] for served in range(29)
    ]
    assert levels == [0.0] * 4 + [1.0] * 8 + [2.0] * 16 + [3.0]
    assert order.rank(EngineSequence(0, 0.0, None, 5, 0, 1, 1, True, 0), 100)[2] == 107
