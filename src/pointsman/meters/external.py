"""A power meter outside this machine: watts or a joule counter, sampled by a thread and integrated.

Between two good samples watts are taken as a straight line (trapezoid). A sample that fails makes a
gap: watts are not guessed across it, so those joules are missing; a joule counter goes on over it and
loses nothing. Gaps are counted and shown. The counter grows in steps of the sampling period, so use it
over spans well above that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from threading import Lock
from typing import Final

from pointsman.errors import ConfigError, DataError, PointsmanError
from pointsman.meters.reading import Reading
from pointsman.meters.sampler import Sampler

MAX_W: Final = 1e7
"""A reading above ten megawatts is a fault of the meter, not of a machine."""


class Quantity(StrEnum):
    """What a reading is, once multiplied by its scale."""

    WATTS = "watts"
    JOULES = "joules"


@dataclass(frozen=True, slots=True)
class Sample:
    """A scaled reading and when it was complete."""

    at_s: float
    value: float


class ExternalMeter:
    """Counts joules from an outside meter since this one was made.

    The first sample is taken before the constructor returns, so a wrong address or key shows at once.

    Args:
        reading: where the number comes from, e.g. `CommandReading` or `UrlReading`.
        quantity: watts, or a counter of joules.
        scale: factor to W or J; 3.6e6 for a counter in kWh, 3600 in Wh, 0.001 for milliwatts.
        period_s: pause between two samples, seconds.
        idle_w: power to subtract at every moment; the counter holds rather than falls. None: idle
            power stays included.
        now_s: a monotonic clock.

    Attributes:
        gaps: samples that failed or were implausible.
        last_fault: what was wrong with the latest of them; empty if none.

    Raises:
        ConfigError: scale, period or idle power out of range.
        MissingError, DataError: the first sample failed.
    """

    name = "external"
    modelled = False

    def __init__(
        self,
        reading: Reading,
        quantity: Quantity,
        *,
        scale: float = 1.0,
        period_s: float = 1.0,
        idle_w: float | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        _check("scale", scale, above=0.0)
        _check("period_s", period_s, above=0.0)
        if idle_w is not None and not 0.0 <= idle_w <= MAX_W:
            raise ConfigError(f"idle_w is {idle_w}; it must lie in 0 to {MAX_W:g} W", param="idle_w")
        self._reading = reading
        self._quantity = Quantity(quantity)
        self._scale = scale
        self._idle_w = idle_w or 0.0
        self._now_s = now_s
        self._lock = Lock()
        self._net_j = 0.0
        self._total_j = 0.0
        self._closed = False
        self.gaps = 0
        self.last_fault = ""
        self._last: Sample | None = self._take()
        idle = "idle power is included" if idle_w is None else f"idle power of {idle_w:g} W is subtracted"
        how = "integrated by the trapezoid" if self._quantity is Quantity.WATTS else "as counted there"
        self.description = (
            f"measured outside: {self._quantity} from {reading.label}, every {period_s:g} s, {how}; {idle}"
        )
        self._sampler = Sampler(self.sample, period_s, "pointsman-external-meter")

    def read_j(self) -> float:
        """Joules up to the latest sample. Never waits for the meter."""
        with self._lock:
            return self._total_j

    def sample(self) -> None:
        """Ask the meter now and count; a failure is a gap. The thread's task: no other may call it."""
        try:
            sample = self._take()
        except PointsmanError as error:
            self._gap(str(error))
            if self._quantity is Quantity.WATTS:
                self._last = None
            return
        last, self._last = self._last, sample
        if last is None:
            return
        elapsed_s = sample.at_s - last.at_s
        if self._quantity is Quantity.WATTS:
            grown_j = (self._above_idle_w(last) + self._above_idle_w(sample)) / 2 * elapsed_s
        else:
            counted_j = sample.value - last.value
            if not 0.0 <= counted_j <= MAX_W * max(elapsed_s, 1.0):
                self._gap(f"{self._reading.label} counted {counted_j:g} J in {elapsed_s:g} s")
                return
            grown_j = counted_j - self._idle_w * elapsed_s
        with self._lock:
            if not self._closed:
                self._net_j += grown_j
                # A coarse counter stands still and then jumps: its idle power is paid by the jump.
                self._total_j = max(self._total_j, self._net_j)

    def close(self) -> None:
        """Stop sampling; the last value stays readable."""
        with self._lock:
            self._closed = True
        self._sampler.close()

    def _take(self) -> Sample:
        value = self._reading.read() * self._scale
        limit = MAX_W if self._quantity is Quantity.WATTS else float("inf")
        if not 0.0 <= value <= limit or not isfinite(value):
            raise DataError(
                f"{self._reading.label} gave {value:g} {self._quantity}", remedy="Check quantity and scale"
            )
        return Sample(self._now_s(), value)

    def _above_idle_w(self, sample: Sample) -> float:
        return max(0.0, sample.value - self._idle_w)

    def _gap(self, fault: str) -> None:
        self.gaps += 1
        self.last_fault = fault


def _check(name: str, value: float, *, above: float) -> None:
    if not (isfinite(value) and value > above):
        raise ConfigError(f"{name} is {value}; it must be finite and above {above:g}", param=name)
