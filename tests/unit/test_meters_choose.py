"""Which meter is taken, and that the reason names what stood against the better ones."""

import os

import pytest

from pointsman.errors import ConfigError, MissingError
from pointsman.meters.choose import best_meter, first_that_opens
from pointsman.meters.cpu_time import CpuTimeMeter


def _missing(what):
    def opens():
        raise MissingError(what, remedy="Buy one")

    return opens


def _cpu_time():
    return CpuTimeMeter([os.getpid()])


def test_the_first_that_opens_is_taken_and_later_ones_stay_closed():
    choice = first_that_opens([("a", _missing("no socket")), ("b", _cpu_time), ("c", pytest.fail)])
    assert choice.meter.name == "cpu_time"
    assert choice.why == "b (modelled): no a: no socket"
    assert first_that_opens([("b", _cpu_time)]).why == "b (modelled): the first choice"


def test_none_that_opens_names_every_reason():
    with pytest.raises(MissingError, match=r"no a: this; no b: that.*external meter"):
        first_that_opens([("a", _missing("this")), ("b", _missing("that"))])


def test_a_fault_in_the_options_is_not_taken_for_a_missing_meter():
    with pytest.raises(ConfigError, match="watts_per_core is -1"):
        first_that_opens(
            [("cpu_time", lambda: CpuTimeMeter([os.getpid()], watts_per_core=-1.0)), ("b", _cpu_time)]
        )


@pytest.mark.parametrize("gpu", [True, False])
def test_this_machine_has_some_meter(gpu):
    choice = best_meter([os.getpid()], gpu=gpu)
    try:
        assert choice.meter.name in {"nvml", "rapl", "cpu_time"}
        assert choice.why.startswith(choice.meter.name)
        if not gpu:
            assert "nvml" not in choice.why
        if choice.meter.name == "cpu_time":
            assert "no rapl: " in choice.why
    finally:
        choice.meter.close()
