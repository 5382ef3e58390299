"""Every order policy crossed with the checks that any must pass."""

from itertools import count

import pytest

from pointsman.order.bounded import BoundedOrder
from pointsman.order.deadline import DeadlineOrder
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.order.head_start import HeadStart
from pointsman.order.ranked import ShortestPredicted
from pointsman.testing.contract import ContractBroken, check_order_policy

ORDERS = {
    "fcfs": FirstComeFirstServed,
    "ranked": ShortestPredicted,
    "bounded": lambda: BoundedOrder(10.0, 60.0),
    "edf": lambda: DeadlineOrder(30.0),
    "slack": lambda: DeadlineOrder(30.0, slack=True),
    "with a head start": lambda: HeadStart(BoundedOrder(2.0, 60.0), {"priority": 20.0, "flex": -5.0}),
}


@pytest.mark.parametrize("make", ORDERS.values(), ids=ORDERS)
def test_contract(make):
    check_order_policy(make)


class Endless(FirstComeFirstServed):
    def key(self, request, decision, arrived_s):
        return float("inf")


class Unbounded(FirstComeFirstServed):
    bound = ""


class Counting(FirstComeFirstServed):
    def __init__(self):
        self.keys = count()

    def key(self, request, decision, arrived_s):
        return float(next(self.keys))


@pytest.mark.parametrize(
    ("make", "said"),
    [(Endless, "a finite number"), (Unbounded, "no bound on overtaking"), (Counting, "asked again")],
)
def test_the_check_finds_what_is_broken(make, said):
    with pytest.raises(ContractBroken, match=said):
        check_order_policy(make)
