"""Replay of recordings: exact between rows, held after the end, and every kind of broken file."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.clock import VirtualClock
from pointsman.errors import DataError
from pointsman.meters.replay import ReplayMeter


def _file(folder, text):
    path = folder / "run.csv"
    path.write_text(text)
    return path


def _read_at(meter, clock, *times_s):
    joules = []
    for time_s in times_s:
        clock.advance_to(time_s)
        joules.append(meter.read_j())
    return joules


def test_watts_are_integrated_along_straight_lines(tmp_path):
    clock = VirtualClock(50.0)
    path = _file(tmp_path, "time_s,power_w,note\n1000,10,a\n1002,20,b\n1003,20,c\n")
    meter = ReplayMeter(path, clock.now)
    # 10 W rising to 15 W after 1 s: 12.5 J; to 20 W: 30 J; then 20 W for 1 s.
    assert _read_at(meter, clock, 50, 51, 52, 52.5, 53, 99) == pytest.approx([0, 12.5, 30, 40, 50, 50])
    assert meter.duration_s == 3.0
    assert meter.modelled is False
    assert (
        meter.description == "measured earlier, replayed from run.csv: watts, integrated, 3 samples over 3 s"
    )


def test_a_counter_is_read_along_straight_lines_from_its_first_row(tmp_path):
    clock = VirtualClock()
    meter = ReplayMeter(
        _file(tmp_path, "energy_j,time_s\n500,0\n600,10\n600,20\n"), clock.now, modelled_as="5 W a core"
    )
    assert _read_at(meter, clock, 0, 5, 10, 30) == pytest.approx([0, 50, 100, 100])
    assert meter.modelled is True
    assert meter.description.startswith("modelled earlier (5 W a core), replayed")


def test_after_close_the_counter_holds(tmp_path):
    clock = VirtualClock()
    meter = ReplayMeter(_file(tmp_path, "time_s,power_w\n0,10\n10,10\n"), clock.now)
    clock.advance_to(3.0)
    meter.close()
    clock.advance_to(9.0)
    meter.close()
    assert meter.read_j() == pytest.approx(30.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"columns \[\].*needs time_s"),
        ("time_s\n1\n2\n", "exactly one of power_w and energy_j"),
        ("power_w\n1\n2\n", "needs time_s"),
        ("time_s,power_w,energy_j\n1,1,1\n2,2,2\n", "exactly one"),
        ("time_s,power_w\n", "has 0 rows.*at least 2"),
        ("time_s,power_w\n1,5\n", "has 1 rows"),
        ("time_s,power_w\n1,5\n2,nan\n", "line 3: power_w is 'nan', not a finite number"),
        ("time_s,power_w\n1,5\n2,inf\n", "line 3: power_w is 'inf'"),
        ("time_s,power_w\n1,5\n2,\n", "line 3: power_w is ''"),
        ("time_s,power_w\n1,5\n2\n", "line 3: power_w is None"),
        ("time_s,power_w\nnoon,5\n2,5\n", "line 2: time_s is 'noon'"),
        ("time_s,power_w\n1,-5\n2,5\n", "line 2: power_w is -5, below 0"),
        ("time_s,power_w\n1,5\n1,5\n", "row 2: time_s goes from 1 to 1; it must rise"),
        ("time_s,power_w\n1,5\n3,5\n2,5\n", "row 3: time_s goes from 3 to 2"),
        ("time_s,energy_j\n1,5\n2,4\n", "row 2: energy_j falls from 5 to 4.*reset"),
        ('time_s,power_w\n1,"5\n', "can't be read as CSV"),
    ],
)
def test_a_broken_recording_is_refused_with_its_place(tmp_path, text, says):
    with pytest.raises(DataError, match=says):
        ReplayMeter(_file(tmp_path, text), VirtualClock().now)


def test_a_missing_file_and_a_binary_file_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.csv can't be read"):
        ReplayMeter(tmp_path / "nowhere.csv", VirtualClock().now)
    (tmp_path / "run.csv").write_bytes(b"time_s,power_w\n1,\xff\xfe\n")
    with pytest.raises(DataError, match="can't be read as CSV"):
        ReplayMeter(tmp_path / "run.csv", VirtualClock().now)


@settings(deadline=None)
@given(
    steps_s=st.lists(st.floats(0.01, 50.0), min_size=1, max_size=15),
    power_w=st.lists(st.floats(0.0, 500.0), min_size=16, max_size=16),
    reads=st.lists(st.floats(0.0, 1.2), max_size=20),
)
def test_the_counter_never_falls_and_ends_at_the_trapezoid_sum(tmp_path_factory, steps_s, power_w, reads):
    times_s = np.concatenate(([0.0], np.cumsum(steps_s)))
    power_w = np.array(power_w[: len(times_s)])
    rows = "\n".join(f"{t!r},{p!r}" for t, p in zip(times_s.tolist(), power_w.tolist(), strict=True))
    clock = VirtualClock()
    meter = ReplayMeter(_file(tmp_path_factory.mktemp("r"), f"time_s,power_w\n{rows}\n"), clock.now)
    end_s = float(times_s[-1])
    joules = _read_at(meter, clock, *sorted(part * end_s for part in reads), 2 * end_s)
    assert joules == sorted(joules)
    assert joules[-1] == pytest.approx(float(np.sum(np.diff(times_s) * (power_w[:-1] + power_w[1:]) / 2)))
