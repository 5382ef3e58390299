"""CPU and memory energy from RAPL (running average power limit), as Linux shows it under powercap.

    /sys/class/powercap/intel-rapl:0/       name "package-0": cores, caches, graphics    counted
    /sys/class/powercap/intel-rapl:0:0/     name "core": a part of package-0             not counted again
    /sys/class/powercap/intel-rapl:0:1/     name "dram": beside the package              counted
    /sys/class/powercap/intel-rapl:1/       name "psys": the platform, packages included not counted
    /sys/class/powercap/intel-rapl-mmio:0/  package-0 through another interface          not counted

AMD processors appear under the same names. Source: Documentation/power/powercap/powercap.rst of Linux.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

from pointsman.errors import MissingError
from pointsman.meters.sampler import Sampler

POWERCAP: Final = Path("/sys/class/powercap")

POLL_S: Final = 30.0
"""A counter of 65 kJ, the smallest range in use, wraps within 30 s only above 2 kW a package."""

NO_RAPL: Final = "Use another meter (external, cpu_time); virtual machines and containers often hide RAPL"


@dataclass(frozen=True, slots=True)
class Domain:
    """One counter: `energy_uj` in `path` grows to `range_uj` and starts again at 0."""

    name: str
    path: Path
    range_uj: int

    def read_uj(self) -> int:
        """Microjoules now. Raises MissingError if the counter can't be read."""
        return _read_int(self.path / "energy_uj")


class RaplMeter:
    """Counts joules of all CPU packages and their memory since the meter was made.

    The whole machine is measured, idle power included, not one process. A thread reads now and then so
    that no wrap-around is missed while nobody asks.

    Args:
        root: the powercap directory.
        poll_s: pause between two reads of the thread, seconds.

    Raises: MissingError, if there is no RAPL or it can't be read.
    """

    name = "rapl"
    modelled = False

    def __init__(self, root: Path = POWERCAP, *, poll_s: float = POLL_S) -> None:
        self.domains = find_domains(root)
        self._last_uj = [domain.read_uj() for domain in self.domains]
        self._total_uj = 0
        self._closed = False
        self._lock = Lock()
        names = ", ".join(domain.name for domain in self.domains)
        self.description = f"measured by RAPL: {names}; the whole machine, idle power included"
        self._sampler = Sampler(self._poll, poll_s, "pointsman-rapl")

    def read_j(self) -> float:
        """Joules since the meter was made; after `close` the last value. Raises MissingError."""
        with self._lock:
            if not self._closed:
                self._count()
            return self._total_uj / 1e6

    def close(self) -> None:
        """Stop counting; the last value stays readable."""
        self._sampler.close()
        with self._lock:
            self._closed = True

    def _count(self) -> None:
        now_uj = [domain.read_uj() for domain in self.domains]
        for domain, last_uj, uj in zip(self.domains, self._last_uj, now_uj, strict=True):
            self._total_uj += uj - last_uj if uj >= last_uj else uj + domain.range_uj - last_uj
        self._last_uj = now_uj

    def _poll(self) -> None:
        try:
            self.read_j()
        except MissingError:
            # The next reader meets the same fault and reports it; nothing was counted or lost here.
            return


def find_domains(root: Path) -> tuple[Domain, ...]:
    """The counters that together cover packages and memory once. Raises MissingError if none is readable."""
    for control_type in ("intel-rapl", "intel-rapl-mmio"):
        found = [
            Domain(_label(zone, name), zone, _read_int(zone / "max_energy_range_uj"))
            for zone in sorted(root.glob(f"{control_type}:*"))
            if _counts(zone, name := _read_text(zone / "name"))
        ]
        if any(domain.name.startswith("package") for domain in found):
            return tuple(found)
    raise MissingError(f"no RAPL package counter under {root}", remedy=NO_RAPL)


def _counts(zone: Path, name: str) -> bool:
    is_part = zone.name.count(":") > 1
    return name == "dram" if is_part else name.startswith("package")


def _label(zone: Path, name: str) -> str:
    """Memory zones of all packages are called `dram`; add the package's number."""
    return f"dram-{zone.name.split(':')[1]}" if name == "dram" else name


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except PermissionError as error:
        raise MissingError(
            f"{path} may not be read by this user",
            remedy=f"Only root may since Linux 5.10; run: sudo chmod a+r {path.parent.parent}/*/energy_uj "
            "(until the next boot), or use another meter",
        ) from error
    except OSError as error:
        raise MissingError(f"{path} can't be read: {error.strerror}", remedy=NO_RAPL) from error


def _read_int(path: Path) -> int:
    text = _read_text(path)
    if not text.isdecimal():
        raise MissingError(f"{path} holds {text[:40]!r}, not a count of microjoules", remedy=NO_RAPL)
    return int(text)
