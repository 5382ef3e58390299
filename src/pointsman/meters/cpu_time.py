"""Energy from CPU time and resident memory: the last resort, always marked as modelled.

    joules = CPU seconds * watts_per_core  +  integral of resident GiB * watts_per_gib over time

What it leaves out is stated rather than guessed: idle power, fans, disks, losses of the power supply,
and that a core draws more at a higher clock. It ranks models on one machine; it is no bill.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Final

from pointsman.errors import ConfigError, MissingError

WATTS_PER_CORE: Final = 6.75
"""Order of magnitude: Intel Xeon Platinum 8380, 270 W thermal design power over 40 cores (Intel's
product page); Hardwareluxx measured 530 W for two of them under full load, 6.6 W a core. An AMD EPYC
7763 has 280 W / 64 = 4.4 W. Where two hardware threads share a core, a busy thread is overstated."""

WATTS_PER_GIB: Final = 0.4
"""Order of magnitude: 0.392 W per GB of server memory (Cloud Carbon Footprint, methodology page)."""

GIB: Final = 2**30


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """What one process has used up to now.

    Attributes:
        started: when it started, in the system's own unit; tells a reused pid from the old process.
        cpu_s: user and system seconds of all threads, and of children that ended and were waited for.
        resident_bytes: memory it holds now.
    """

    started: float
    cpu_s: float
    resident_bytes: int


ReadProcess = Callable[[int], ProcessUse | None]
"""Gives what a process has used, or None if there is no such process."""


class CpuTimeMeter:
    """Counts modelled joules of some processes since the meter was made.

    CPU time comes in ticks of 10 ms on Linux, so read it over spans well above that. Memory is
    integrated by the trapezoid between two reads. A process that ended keeps its last reading. Children
    count once they ended and their parent waited for them; pass the pids of those that keep running.

    Args:
        pids: the processes, at least one; each must exist.
        watts_per_core: power of one busy core, W.
        watts_per_gib: power of one GiB of resident memory, W.
        read_process: how a process is looked up; default: /proc on Linux, psutil elsewhere.
        now_s: a monotonic clock.

    Raises:
        ConfigError: no pid, or watts that are negative or not finite.
        MissingError: a process does not exist, or psutil is needed and missing.
    """

    name = "cpu_time"
    modelled = True

    def __init__(
        self,
        pids: Iterable[int],
        *,
        watts_per_core: float = WATTS_PER_CORE,
        watts_per_gib: float = WATTS_PER_GIB,
        read_process: ReadProcess | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watts_per_core = _watts("watts_per_core", watts_per_core)
        self._watts_per_gib = _watts("watts_per_gib", watts_per_gib)
        self._read_process = read_process or default_reader()
        self._now_s = now_s
        self._use = {pid: self._first(pid) for pid in dict.fromkeys(pids)}
        if not self._use:
            raise ConfigError("the CPU-time meter was given no process", remedy="Pass at least one pid")
        self._ended: set[int] = set()
        self._read_at_s = now_s()
        self._total_j = 0.0
        self._closed = False
        self.description = (
            f"modelled from CPU time and resident memory of {len(self._use)} process(es): "
            f"{self._watts_per_core:g} W a busy core, {self._watts_per_gib:g} W a GiB; "
            "idle power, cooling and supply losses are not counted"
        )

    def read_j(self) -> float:
        """Modelled joules since the meter was made; after `close` the last value."""
        if self._closed:
            return self._total_j
        now_s = self._now_s()
        elapsed_s = max(0.0, now_s - self._read_at_s)
        self._read_at_s = now_s
        for pid, before in self._use.items():
            if pid in self._ended:
                continue
            use = self._read_process(pid)
            if use is None or use.started != before.started:
                self._ended.add(pid)
                continue
            self._use[pid] = use
            self._total_j += self._joules(before, use, elapsed_s)
        return self._total_j

    def close(self) -> None:
        """Stop counting; the last value stays readable."""
        if not self._closed:
            self.read_j()
            self._closed = True

    def _joules(self, before: ProcessUse, use: ProcessUse, elapsed_s: float) -> float:
        cpu_s = max(0.0, use.cpu_s - before.cpu_s)
        resident_gib = (before.resident_bytes + use.resident_bytes) / 2 / GIB
        return cpu_s * self._watts_per_core + resident_gib * self._watts_per_gib * elapsed_s

    def _first(self, pid: int) -> ProcessUse:
        use = self._read_process(pid)
        if use is None:
            raise MissingError(f"process {pid} does not exist", remedy="Pass the pid of a running process")
        return use


def default_reader() -> ReadProcess:
    """The way to look up processes on this system."""
    if sys.platform == "linux":
        return read_proc
    return psutil_reader()


def read_proc(pid: int, root: Path = Path("/proc")) -> ProcessUse | None:
    """Read `/proc/<pid>/stat` (proc(5)); None if there is no such process."""
    try:
        stat = (root / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    fields = stat[stat.rindex(")") + 2 :].split()
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    utime, stime, cutime, cstime = (int(ticks) for ticks in fields[11:15])
    return ProcessUse(
        started=float(fields[19]),
        cpu_s=(utime + stime + cutime + cstime) / ticks_per_s,
        resident_bytes=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
    )


def psutil_reader() -> ReadProcess:
    """Look processes up with psutil. Raises MissingError if it is not installed."""
    try:
        import psutil
    except ImportError as error:
        raise MissingError(
            "the CPU-time meter needs psutil on this system", remedy="Run: pip install 'pointsman[fleet]'"
        ) from error

    def read(pid: int) -> ProcessUse | None:
        try:
            process = psutil.Process(pid)
            times = process.cpu_times()
            resident_bytes = int(process.memory_info().rss)
            started = float(process.create_time())
        except psutil.NoSuchProcess:
            return None
        cpu_s = times.user + times.system
        cpu_s += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        return ProcessUse(started, float(cpu_s), resident_bytes)

    return read


def _watts(name: str, value: float) -> float:
    if not (isfinite(value) and value >= 0):
        raise ConfigError(f"{name} is {value}; it must be a finite number of watts, 0 or more", param=name)
    return float(value)
