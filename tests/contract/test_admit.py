"""Every admit policy crossed with the checks that any must pass."""

import pytest

from pointsman.admit.always import AlwaysAdmit
from pointsman.testing.contract import ContractBroken, check_admit_policy
from pointsman.types import Admission, Admit


@pytest.mark.parametrize("make", [AlwaysAdmit])
def test_contract(make):
    check_admit_policy(make)


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
        ([Admit(Admission.RUN, " ")], "no reason"),
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
