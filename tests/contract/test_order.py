"""Every order policy crossed with the checks that any must pass."""

from itertools import count

import pytest

from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.testing.contract import ContractBroken, check_order_policy


@pytest.mark.parametrize("make", [FirstComeFirstServed])
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
