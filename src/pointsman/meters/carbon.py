"""Grams of CO2-equivalent by the intensity of the grid: a constant, or hours from a CSV file.

A CSV file has the columns `hour` and `gco2e_per_kwh`, in one of two kinds:

    hour of day    0 to 23, each once: a typical day
    ISO timestamp  the start of an hour, e.g. 2026-03-01T14:00+01:00, in any order, each once

Times without an offset, and hours of day, are in the zone that is given (UTC by default). A moment that
a series of timestamps doesn't cover gets the series' mean for that hour of day (its whole mean where
that hour never occurs): a typical value, and `covers` says so.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Final

from pointsman.errors import ConfigError, DataError
from pointsman.units import gco2e

HOUR_S: Final = 3600.0
HOURS: Final = 24
REMEDY: Final = "Give columns hour (0 to 23, or ISO timestamps) and gco2e_per_kwh"


@dataclass(frozen=True, slots=True)
class GridIntensity:
    """Grams of CO2e per kWh at every moment. Make it with `constant` or `from_csv`.

    Attributes:
        source: where the numbers are from, shown beside every result.
        by_hour: typical intensity by hour of day, 24 values, g/kWh.
        starts_s: starts of the hours that are known exactly, rising, seconds since 1970.
        values: their intensities, g/kWh.
        zone: in which `by_hour` counts.
    """

    source: str
    by_hour: tuple[float, ...]
    starts_s: tuple[float, ...] = field(default=(), repr=False)
    values: tuple[float, ...] = field(default=(), repr=False)
    zone: tzinfo = UTC

    @classmethod
    def constant(cls, gco2e_per_kwh: float, *, source: str) -> GridIntensity:
        """The same at all times. Raises ConfigError for a number below 0 or no source."""
        if not (isfinite(gco2e_per_kwh) and gco2e_per_kwh >= 0):
            raise ConfigError(
                f"gco2e_per_kwh is {gco2e_per_kwh}; it must be finite, 0 or more", param="gco2e_per_kwh"
            )
        return cls(_named(source), (float(gco2e_per_kwh),) * HOURS)

    @classmethod
    def from_csv(cls, path: Path, *, source: str, zone: tzinfo = UTC) -> GridIntensity:
        """Hours from a file. Raises DataError with file, line and value; ConfigError for no source."""
        rows = _rows(path)
        odd = [hour for hour in rows if not hour.isdecimal()]
        if 0 < len(odd) < len(rows):
            raise DataError(f"{path} mixes hours of day with others, such as {odd[0]!r}", remedy=REMEDY)
        if not odd:
            by_hour = {int(hour): value for hour, value in rows.items()}
            if set(by_hour) != set(range(HOURS)) or len(rows) != HOURS:
                raise DataError(
                    f"{path} has {len(rows)} hours of day: {sorted(by_hour)}",
                    remedy="Give each of 0 to 23 once",
                )
            return cls(_named(source), tuple(by_hour[hour] for hour in range(HOURS)), zone=zone)
        series = sorted((_start_s(path, hour, zone), value) for hour, value in rows.items())
        starts_s, values = zip(*series, strict=True)
        if len(set(starts_s)) != len(starts_s):
            raise DataError(f"{path} gives the same moment twice in different words", remedy=REMEDY)
        return cls(_named(source), _typical_day(starts_s, values, zone), starts_s, values, zone)

    def at(self, wall_s: float) -> float:
        """Intensity in g/kWh at `wall_s` seconds since 1970."""
        index = self._index(wall_s)
        if index is not None:
            return self.values[index]
        return self.by_hour[datetime.fromtimestamp(wall_s, self.zone).hour]

    def covers(self, wall_s: float) -> bool:
        """False where a series of timestamps doesn't cover the moment and a typical hour stands in."""
        return not self.starts_s or self._index(wall_s) is not None

    def grams(self, energy_j: float, wall_s: float) -> float:
        """Grams of CO2e of `energy_j` joules used at `wall_s`."""
        return gco2e(energy_j, self.at(wall_s))

    def _index(self, wall_s: float) -> int | None:
        index = bisect_right(self.starts_s, wall_s) - 1
        return index if index >= 0 and wall_s - self.starts_s[index] < HOUR_S else None


def _typical_day(starts_s: tuple[float, ...], values: tuple[float, ...], zone: tzinfo) -> tuple[float, ...]:
    known: dict[int, list[float]] = {}
    for start_s, value in zip(starts_s, values, strict=True):
        known.setdefault(datetime.fromtimestamp(start_s, zone).hour, []).append(value)
    return tuple(fmean(known.get(hour, values)) for hour in range(HOURS))


def _named(source: str) -> str:
    if not source.strip():
        raise ConfigError("the grid intensity names no source", remedy="Say where the numbers are from")
    return source


def _rows(path: Path) -> dict[str, float]:
    """Intensity by the text of the hour; at least one row."""
    rows: dict[str, float] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            if not {"hour", "gco2e_per_kwh"} <= set(reader.fieldnames or ()):
                raise DataError(f"{path} has the columns {list(reader.fieldnames or ())}", remedy=REMEDY)
            for row in reader:
                hour = (row["hour"] or "").strip()
                if hour in rows:
                    raise DataError(f"{path}, line {reader.line_num}: hour {hour!r} comes twice")
                rows[hour] = _intensity(path, reader.line_num, row["gco2e_per_kwh"])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} can't be read as CSV: {error}", remedy="Give a UTF-8 CSV file") from error
    if not rows:
        raise DataError(f"{path} has no rows", remedy=REMEDY)
    return rows


def _intensity(path: Path, line: int, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not (isfinite(value) and value >= 0):
        raise DataError(
            f"{path}, line {line}: gco2e_per_kwh is {text!r}; it must be finite, 0 or more",
            param="gco2e_per_kwh",
        )
    return value


def _start_s(path: Path, hour: str, zone: tzinfo) -> float:
    try:
        moment = datetime.fromisoformat(hour)
    except ValueError as error:
        raise DataError(
            f"{path}: hour {hour!r} is neither 0 to 23 nor an ISO timestamp", remedy=REMEDY
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
