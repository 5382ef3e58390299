"""The CPU-time model: its arithmetic, processes that end, and both ways of reading them."""

import os
import subprocess
import sys

import pytest

from pointsman.errors import ConfigError, MissingError
from pointsman.meters.cpu_time import GIB, CpuTimeMeter, ProcessUse, psutil_reader, read_proc

BURN = """
import time
input()
start_s = time.process_time()
while time.process_time() < start_s + 0.3: pass
print("done", flush=True)
input()
"""


class Machine:
    """A clock and a table of processes that the test moves."""

    def __init__(self, **processes):
        self.now_s = 100.0
        self.table = {int(pid[1:]): use for pid, use in processes.items()}

    def meter(self, pids, **kwargs):
        return CpuTimeMeter(pids, read_process=self.table.get, now_s=lambda: self.now_s, **kwargs)


def test_joules_are_core_seconds_and_gib_seconds_times_their_watts():
    machine = Machine(p7=ProcessUse(1.0, cpu_s=50.0, resident_bytes=2 * GIB))
    meter = machine.meter([7], watts_per_core=10.0, watts_per_gib=0.5)
    assert meter.read_j() == 0.0
    machine.now_s += 4.0
    machine.table[7] = ProcessUse(1.0, cpu_s=53.0, resident_bytes=4 * GIB)
    # 3 s * 10 W, and a mean of 3 GiB * 0.5 W over 4 s.
    assert meter.read_j() == pytest.approx(30.0 + 6.0)
    assert "10 W a busy core" in meter.description
    assert "0.5 W a GiB" in meter.description


def test_a_pid_given_twice_counts_once():
    machine = Machine(p7=ProcessUse(1.0, cpu_s=0.0, resident_bytes=0))
    meter = machine.meter([7, 7], watts_per_core=10.0)
    machine.table[7] = ProcessUse(1.0, cpu_s=1.0, resident_bytes=0)
    assert meter.read_j() == pytest.approx(10.0)


def test_an_ended_process_keeps_its_last_reading_and_a_reused_pid_is_not_taken_for_it():
    machine = Machine(p7=ProcessUse(1.0, 0.0, 0), p8=ProcessUse(1.0, 0.0, 0))
    meter = machine.meter([7, 8], watts_per_core=10.0)
    machine.table |= {7: ProcessUse(1.0, 2.0, 0), 8: ProcessUse(1.0, 1.0, 0)}
    assert meter.read_j() == pytest.approx(30.0)
    del machine.table[7]
    assert meter.read_j() == pytest.approx(30.0)
    machine.table[7] = ProcessUse(started=9.0, cpu_s=500.0, resident_bytes=GIB)
    machine.table[8] = ProcessUse(1.0, 1.5, 0)
    assert meter.read_j() == pytest.approx(35.0)


def test_after_close_the_counter_holds():
    machine = Machine(p7=ProcessUse(1.0, 0.0, 0))
    meter = machine.meter([7], watts_per_core=1.0)
    machine.table[7] = ProcessUse(1.0, 2.0, 0)
    meter.close()
    machine.table[7] = ProcessUse(1.0, 9.0, 0)
    meter.close()
    assert meter.read_j() == pytest.approx(2.0)


@pytest.mark.parametrize("watts", [-1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["watts_per_core", "watts_per_gib"])
def test_impossible_watts_are_refused_with_the_value(name, watts):
    with pytest.raises(ConfigError, match=f"{name} is {watts}"):
        CpuTimeMeter([os.getpid()], **{name: watts})


def test_no_process_and_an_unknown_process_are_refused():
    with pytest.raises(ConfigError, match="no process"):
        CpuTimeMeter([])
    with pytest.raises(MissingError, match="process 7 does not exist"):
        Machine().meter([7])


@pytest.mark.parametrize("reader", ["proc", "psutil"])
def test_a_real_process_is_charged_for_what_it_burns_and_nothing_after_it_ends(reader):
    if reader == "proc" and sys.platform != "linux":
        pytest.skip("/proc is Linux's")
    read_process = read_proc if reader == "proc" else psutil_reader()
    with subprocess.Popen(
        [sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        meter = CpuTimeMeter([process.pid], watts_per_core=10.0, watts_per_gib=0.0, read_process=read_process)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"done\n"
        burnt_j = meter.read_j()
        process.communicate(b"\n")
    # 0.3 s at 10 W, less two ticks of 10 ms; Python's own start may be in it.
    assert 2.8 <= burnt_j <= 20.0
    assert meter.read_j() == burnt_j


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_waited_for_children_count():
    before = read_proc(os.getpid())
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.2: pass"], check=True)
    after = read_proc(os.getpid())
    assert before is not None
    assert after is not None
    assert after.cpu_s - before.cpu_s >= 0.19


def test_a_program_name_with_spaces_and_parentheses_is_read(tmp_path):
    fields = ["S", *(["0"] * 10), "100", "50", "30", "20", *(["0"] * 4), "777", "0", "3", "0"]
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "stat").write_text("42 (a b) (c) " + " ".join(fields))
    use = read_proc(42, tmp_path)
    assert use == ProcessUse(777.0, 200 / os.sysconf("SC_CLK_TCK"), 3 * os.sysconf("SC_PAGE_SIZE"))
    assert read_proc(43, tmp_path) is None
