"""Settings of energy: what joules are read from, and the grid that turns them into carbon."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pointsman.config.parse import (
    either,
    flag,
    integer,
    many,
    number,
    one_of,
    optional,
    path,
    secret,
    section,
    setting,
    shorthand,
    text,
    url,
)
from pointsman.config.problem import Problem
from pointsman.config.secret import Secret
from pointsman.config.tree import Node

METERS: Final = ("auto", "command", "cpu_time", "none", "nvml", "rapl", "replay", "url")
_EXTERNAL: Final = ("key", "quantity", "scale", "period_s", "timeout_s", "idle_w")
_METER_OPTIONS: Final = {
    "auto": ("watts_per_core", "watts_per_gib"),
    "cpu_time": ("watts_per_core", "watts_per_gib"),
    "command": ("command", *_EXTERNAL),
    "url": ("url", "authorization", *_EXTERNAL),
    "nvml": ("gpu_indices",),
    "replay": ("file", "modelled"),
}
_METER_NEEDS: Final = {"command": "command", "url": "url", "replay": "file"}


def _check_meter(meter: MeterConfig, node: Node) -> Iterator[Problem]:
    if meter.kind not in METERS:
        return  # a plugin's, which reads what it needs; `load` asks whether there is such a plugin
    allowed = _METER_OPTIONS.get(meter.kind, ())
    default = MeterConfig()
    for key, _ in node:
        if key not in {"kind", *allowed} and getattr(meter, key) != getattr(default, key):
            takes = ", ".join(allowed) or "no options"
            message = f"not an option of the meter {meter.kind!r}"
            yield node.key_problem(key, message, f"It takes {takes}; remove this, or choose another kind")
    need = _METER_NEEDS.get(meter.kind)
    if need and not getattr(meter, need):
        yield node.problem(f"the meter {meter.kind!r} has no `{need}`", f"Add `{need}:`")


@dataclass(frozen=True, slots=True)
class MeterConfig:
    """What joules are read from. An option that its kind does not have is refused."""

    kind: str = setting(
        "auto",
        text,
        "auto (rapl, else cpu_time), cpu_time, rapl, nvml, command, url, replay or none",
    )
    watts_per_core: float = setting(6.75, number(0, 1e4), "of cpu_time: W of one busy core")
    watts_per_gib: float = setting(0.4, number(0, 1e3), "of cpu_time: W of one GiB of resident memory")
    gpu_indices: tuple[int, ...] = setting((), many(integer(0, 1023)), "of nvml: which GPUs; empty: all")
    command: tuple[str, ...] = setting((), many(text), "of command: program and arguments, no shell")
    url: str | None = field(
        default=None, repr=False, metadata={"parse": optional(url), "doc": "of url: the address to ask"}
    )
    authorization: Secret | None = setting(
        None, secret, "of url: the Authorization header, best as os.environ/NAME"
    )
    key: str | None = setting(
        None, optional(text), "of command, url: where the number stands in a JSON answer"
    )
    quantity: str = setting(
        "watts", one_of(("watts", "joules")), "of command, url: a power, or a growing counter"
    )
    scale: float = setting(
        1.0, number(0, 1e9, above=True), "of command, url: factor to W or J; 3.6e6 from kWh"
    )
    period_s: float = setting(1.0, number(0.01, 3600), "of command, url: seconds between samples")
    timeout_s: float = setting(
        5.0, number(0, 3600, above=True), "of command, url: seconds to wait for an answer"
    )
    idle_w: float | None = setting(
        None, optional(number(0, 1e7)), "of command, url: W to subtract; null: none"
    )
    file: Path | None = setting(None, optional(path), "of replay: a CSV recorded earlier")
    modelled: bool = setting(False, flag, "of replay: it was recorded from a modelled meter")


def _check_energy(energy: EnergyConfig, node: Node) -> Iterator[Problem]:
    if energy.grid_gco2e_per_kwh is not None and energy.grid_source is None:
        yield node.problem(
            "a grid intensity without `grid_source`", "Say where the figure is from, and of which year"
        )


@dataclass(frozen=True, slots=True)
class EnergyConfig:
    """Joules, and the carbon that follows from them."""

    meter: MeterConfig = setting(
        MeterConfig(), shorthand("kind", section(MeterConfig, _check_meter)), "what joules are read from"
    )
    grid_gco2e_per_kwh: float | Path | None = setting(
        None,
        optional(either(number(0, 1e4), path)),
        "g CO2e a kWh, or an hourly CSV; null: no carbon figures",
    )
    grid_source: str | None = setting(None, optional(text), "where that intensity is from")


read_energy: Final = section(EnergyConfig, _check_energy)
"""The parser of the section."""
