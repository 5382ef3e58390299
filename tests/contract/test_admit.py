"""Every admit policy crossed with the checks that any must pass."""

import numpy as np
import pytest

from pointsman.admit.always import AlwaysAdmit
from pointsman.admit.asked import AskedAdmit
from pointsman.admit.put_off import Patience, PutOffAdmit
from pointsman.admit.random import RandomAdmit
from pointsman.admit.threshold import ThresholdAdmit
from pointsman.admit.value import ValueAdmit
from pointsman.testing.contract import ContractBroken, check_admit_policy
from pointsman.testing.fakes import make_endpoints, make_request, make_table
from pointsman.types import Admission, Admit, RunCost, Valuation, ValueTerms

TERMS = ValueTerms(RunCost(constant=0.1, per_usd=50.0, per_s=0.02, per_j=1e-4))
MAKERS = {
    "always": AlwaysAdmit,
    "value": lambda: ValueAdmit(TERMS),
    "threshold": lambda: ThresholdAdmit(0.7),
    "random": lambda: RandomAdmit(0.4, seed=3),
    "put off": lambda: PutOffAdmit(ThresholdAdmit(0.8), Patience(retry_s=5.0, max_s=60.0)),
    "asked": lambda: AskedAdmit(AlwaysAdmit(), ValueAdmit(TERMS)),
}


@pytest.mark.parametrize("name", MAKERS)
def test_contract(name):
    for seed in range(5):
        check_admit_policy(MAKERS[name], seed=seed)


@pytest.mark.parametrize("name", ["value", "threshold", "random", "put off"])
def test_it_does_not_always_say_the_same(name):
    endpoints, n = make_endpoints(3), 60
    requests = [make_request(f"r{row}") for row in range(n)]
    admits = MAKERS[name]().admit(requests, make_table(endpoints, n), np.ones((n, 3), dtype=bool), 0.0)
    assert len({admit.action for admit in admits}) == 2


class Broken(AlwaysAdmit):
    def __init__(self, admits):
        self.admits = iter(admits)

    def admit(self, requests, table, eligible, now):
        return [next(self.admits) for _ in requests]


class WritesToTheTable(AlwaysAdmit):
    def admit(self, requests, table, eligible, now):
        table.quality.value[0] = 1.0
        return super().admit(requests, table, eligible, now)


RUN = Admit(Admission.RUN, "yes")


@pytest.mark.parametrize(
    ("admits", "said"),
    [
        ([Admit(Admission.RUN, " ")], "no reason of one line"),
        ([Admit(Admission.RUN, "two\nlines")], "no reason of one line"),
        ([Admit(Admission.RUN, "yes", valuation=Valuation(9, 0.5))], "can't run it"),
        ([Admit(Admission.RUN, "yes", valuation=Valuation(2, float("nan")))], "not finite"),
        ([Admit(Admission.DEFER, "later", 3.0)], "wakes at 3.0"),
        ([Admit(Admission.RUN, "yes", 2e9)], "without being deferred"),
        ([RUN, Admit(Admission.SKIP, "no")], "asked again"),
    ],
)
def test_the_check_finds_what_is_broken(admits, said):
    with pytest.raises(ContractBroken, match=said):
        check_admit_policy(lambda: Broken(admits))


def test_the_check_finds_who_writes_to_its_arguments():
    with pytest.raises(ValueError, match="read-only"):
        check_admit_policy(WritesToTheTable)
