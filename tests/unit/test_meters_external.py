"""Sampling and integration of an outside meter, with gaps; the test asks, the thread sleeps."""

import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.errors import ConfigError, DataError, MissingError
from pointsman.meters.external import ExternalMeter, Quantity
from pointsman.meters.reading_command import CommandReading


class Plug:
    """Gives what the test sets; None fails as an unreachable plug does."""

    label = "plug"

    def __init__(self, value):
        self.value = value
        self.now_s = 10.0

    def read(self):
        if self.value is None:
            raise MissingError("plug did not answer within 5 s")
        return self.value

    def meter(self, quantity=Quantity.WATTS, **kwargs):
        kwargs.setdefault("period_s", 3600.0)
        return ExternalMeter(self, quantity, now_s=lambda: self.now_s, **kwargs)

    def feed(self, meter, *samples):
        """Samples of (seconds later, value); the counter after each."""
        joules = []
        for later_s, value in samples:
            self.now_s += later_s
            self.value = value
            meter.sample()
            joules.append(meter.read_j())
        meter.close()
        return joules


def test_watts_are_integrated_by_the_trapezoid():
    plug = Plug(10.0)
    meter = plug.meter()
    assert plug.feed(meter, (2.0, 20.0), (1.0, 0.0), (0.0, 50.0)) == pytest.approx([30.0, 40.0, 40.0])
    assert meter.gaps == 0
    assert meter.description == (
        "measured outside: watts from plug, every 3600 s, integrated by the trapezoid; idle power is included"
    )


def test_idle_power_is_subtracted_and_never_below_nothing():
    plug = Plug(10.0)
    meter = plug.meter(idle_w=15.0)
    assert plug.feed(meter, (1.0, 10.0), (1.0, 35.0), (1.0, 35.0)) == pytest.approx([0.0, 10.0, 30.0])
    assert "idle power of 15 W is subtracted" in meter.description


def test_a_coarse_counter_pays_its_idle_power_when_it_jumps():
    plug = Plug(1.0)
    meter = plug.meter(Quantity.JOULES, scale=1000.0, idle_w=10.0)
    joules = plug.feed(meter, (10.0, 1.0), (10.0, 1.0), (10.0, 2.0), (10.0, 2.0), (10.0, 3.0))
    assert joules == pytest.approx([0.0, 0.0, 700.0, 700.0, 1500.0])
    assert "as counted there" in meter.description


def test_the_counter_holds_over_a_gap_in_watts_and_the_gap_is_visible():
    plug = Plug(10.0)
    meter = plug.meter()
    joules = plug.feed(meter, (1.0, 10.0), (1.0, None), (1.0, None), (1.0, 10.0), (1.0, 10.0))
    assert joules == pytest.approx([10.0, 10.0, 10.0, 10.0, 20.0])
    assert meter.gaps == 2
    assert "did not answer" in meter.last_fault


def test_a_joule_counter_goes_on_over_a_gap():
    plug = Plug(100.0)
    meter = plug.meter(Quantity.JOULES)
    assert plug.feed(meter, (1.0, 105.0), (1.0, None), (1.0, 120.0)) == pytest.approx([5.0, 5.0, 20.0])
    assert meter.gaps == 1


def test_a_counter_that_falls_or_leaps_is_a_gap():
    plug = Plug(100.0)
    meter = plug.meter(Quantity.JOULES)
    joules = plug.feed(meter, (1.0, 110.0), (1.0, 3.0), (1.0, 5.0), (1.0, 1e15), (1.0, 1e15 + 4.0))
    assert joules == pytest.approx([10.0, 10.0, 12.0, 12.0, 16.0])
    assert meter.gaps == 2
    assert "counted 1e+15 J in 1 s" in meter.last_fault


@pytest.mark.parametrize("value", [-1.0, 2e7])
def test_impossible_watts_are_refused_at_the_start_and_a_gap_later(value):
    with pytest.raises(DataError, match=r"plug gave .* watts.*Check quantity and scale"):
        Plug(value).meter()
    plug = Plug(10.0)
    meter = plug.meter()
    assert plug.feed(meter, (1.0, value), (1.0, 10.0), (1.0, 10.0)) == pytest.approx([0.0, 0.0, 10.0])
    assert meter.gaps == 1


def test_a_plug_that_is_not_there_is_an_error_at_the_start():
    with pytest.raises(MissingError, match="did not answer"):
        Plug(None).meter()


@pytest.mark.parametrize(
    "option", [{"scale": 0.0}, {"period_s": -1.0}, {"idle_w": float("nan")}, {"idle_w": -1.0}]
)
def test_impossible_options_are_refused_by_name(option):
    with pytest.raises(ConfigError, match=f"{next(iter(option))} is"):
        Plug(1.0).meter(**option)


def test_the_thread_samples_a_real_command_until_closed(tmp_path):
    watts = tmp_path / "watts"
    watts.write_text("20")
    reading = CommandReading([sys.executable, "-S", "-c", f"print(open({str(watts)!r}).read())"])
    meter = ExternalMeter(reading, Quantity.WATTS, period_s=0.001)
    give_up_s = time.monotonic() + 20.0
    while meter.read_j() == 0.0 and time.monotonic() < give_up_s:
        time.sleep(0.005)
    meter.close()
    joules = meter.read_j()
    assert joules > 0.0
    meter.sample()
    meter.close()
    assert meter.read_j() == joules


@settings(deadline=None)
@given(
    quantity=st.sampled_from(Quantity),
    idle_w=st.none() | st.floats(0.0, 100.0),
    samples=st.lists(st.tuples(st.floats(0.0, 10.0), st.none() | st.floats(-10.0, 1e9)), max_size=12),
)
def test_the_counter_never_falls_whatever_comes(quantity, idle_w, samples):
    plug = Plug(50.0)
    meter = plug.meter(quantity, idle_w=idle_w)
    joules = plug.feed(meter, *samples)
    assert joules == sorted(joules)
    assert all(j >= 0.0 for j in joules)
