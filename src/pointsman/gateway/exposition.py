"""Counters and histograms in Prometheus' text format, version 0.0.4.

Label values come from the configuration or from enumerations, never from callers, so that the number
of series is bounded. Everything runs on one event loop, so there are no locks.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
_Labels = tuple[str, ...]


class Counter:
    """A sum that only grows; `name` must end in `_total`."""

    def __init__(self, name: str, text: str, labels: Sequence[str] = ()) -> None:
        self.name, self.text, self.labels = name, text, tuple(labels)
        self._values: dict[_Labels, float] = {} if labels else {(): 0.0}

    def add(self, *values: str, by: float = 1.0) -> None:
        """Grow the series of these label values by `by`, which must not be negative."""
        self._values[values] = self._values.get(values, 0.0) + by

    def lines(self) -> Iterator[str]:
        """Its block of the exposition."""
        yield from _head(self.name, self.text, "counter")
        for values, total in self._values.items():
            yield f"{self.name}{_labels(self.labels, values)} {_number(total)}"


class Histogram:
    """Observations counted in buckets by their upper bounds."""

    def __init__(self, name: str, text: str, bounds: Sequence[float], labels: Sequence[str] = ()) -> None:
        self.name, self.text, self.labels = name, text, tuple(labels)
        self._bounds = tuple(bounds)
        self._series: dict[_Labels, _Series] = {}

    def observe(self, value: float, *values: str) -> None:
        """Count a finite value in the series of these label values."""
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = _Series(len(self._bounds) + 1)
        series.counts[bisect_left(self._bounds, value)] += 1
        series.total += value

    def lines(self) -> Iterator[str]:
        """Its block of the exposition; buckets are cumulative."""
        yield from _head(self.name, self.text, "histogram")
        names = (*self.labels, "le")
        for values, series in self._series.items():
            count = 0
            for bound, in_bucket in zip((*self._bounds, math.inf), series.counts, strict=True):
                count += in_bucket
                yield f"{self.name}_bucket{_labels(names, (*values, _number(bound)))} {count}"
            labels = _labels(self.labels, values)
            yield f"{self.name}_sum{labels} {_number(series.total)}"
            yield f"{self.name}_count{labels} {count}"


class _Series:
    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.total = 0.0


def gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> Iterator[str]:
    """The block of values read at the moment of the scrape, by one label."""
    yield from _head(name, text, "gauge")
    for value, reading in values.items():
        yield f"{name}{_labels((label,), (value,))} {_number(reading)}"


def _head(name: str, text: str, kind: str) -> tuple[str, str]:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {name} {escaped}", f"# TYPE {name} {kind}"


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    if not names:
        return ""
    pairs = (f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return f"{{{','.join(pairs)}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))  # noqa: PLR2004
