"""The best meter this machine offers, and why it is the one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from pointsman.errors import MissingError
from pointsman.meters.base import Meter
from pointsman.meters.cpu_time import WATTS_PER_CORE, WATTS_PER_GIB, CpuTimeMeter
from pointsman.meters.nvml import NvmlMeter
from pointsman.meters.rapl import RaplMeter

Candidate = tuple[str, Callable[[], Meter]]


@dataclass(frozen=True, slots=True)
class MeterChoice:
    """A meter and one sentence on why it was taken, with what stood in the way of better ones."""

    meter: Meter
    why: str


def best_meter(
    pids: Iterable[int],
    *,
    gpu: bool = True,
    gpu_indices: Sequence[int] | None = None,
    watts_per_core: float = WATTS_PER_CORE,
    watts_per_gib: float = WATTS_PER_GIB,
) -> MeterChoice:
    """Open NVML, else RAPL, else the CPU-time model.

    Args:
        pids: the processes to model if nothing measures; each must exist.
        gpu: the models run on GPUs; False leaves NVML out, since a GPU's energy says nothing of a CPU's.
        gpu_indices: which GPUs; None: all that are visible.
        watts_per_core: of the CPU-time model, W.
        watts_per_gib: of the CPU-time model, W.

    Raises:
        MissingError: none can be opened; the message names every reason.
        ConfigError: a GPU index or watts out of range.
    """
    candidates: list[Candidate] = [("nvml", partial(NvmlMeter, gpu_indices))] if gpu else []
    candidates += [
        ("rapl", RaplMeter),
        (
            "cpu_time",
            partial(CpuTimeMeter, pids, watts_per_core=watts_per_core, watts_per_gib=watts_per_gib),
        ),
    ]
    return first_that_opens(candidates)


def first_that_opens(candidates: Iterable[Candidate]) -> MeterChoice:
    """Open the first candidate that is not missing. Raises MissingError if all are."""
    against: list[str] = []
    for name, opens in candidates:
        try:
            meter = opens()
        except MissingError as error:
            against.append(f"no {name}: {error.message}")
            continue
        reasons = "; ".join(against) or "the first choice"
        return MeterChoice(meter, f"{name} ({'modelled' if meter.modelled else 'measured'}): {reasons}")
    raise MissingError("no meter can be opened: " + "; ".join(against), remedy="Configure an external meter")
