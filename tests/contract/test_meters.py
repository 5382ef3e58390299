"""Every meter crossed with the checks that any meter must pass."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from pointsman.meters.base import Meter
from pointsman.meters.cpu_time import CpuTimeMeter
from pointsman.meters.external import ExternalMeter, Quantity
from pointsman.meters.nvml import NvmlMeter
from pointsman.meters.rapl import RaplMeter
from pointsman.meters.reading_command import CommandReading
from pointsman.meters.replay import ReplayMeter


@dataclass
class Rig:
    """A meter, and what makes its counter grow a little."""

    meter: Meter
    work: Callable[[], None]


class OneGpu:
    """A GPU whose counter, in millijoules, the test moves."""

    energy_mj = 7

    def __len__(self):
        return 1

    def get_name(self, gpu_index):
        return "Test GPU"

    def supports_get_total_energy_consumption(self, gpu_index):
        return True

    def get_total_energy_consumption(self, gpu_index):
        return self.energy_mj


class Steps:
    """A clock that moves by a tenth of a second when told."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s

    def forward(self):
        self.now_s += 0.1


def _cpu_time(folder):
    clock = Steps()
    return Rig(CpuTimeMeter([os.getpid()], now_s=clock), clock.forward)


def _rapl(folder):
    zone = folder / "intel-rapl:0"
    zone.mkdir()
    energy_uj = zone / "energy_uj"
    for name, text in {"name": "package-0", "max_energy_range_uj": "1000", "energy_uj": "990"}.items():
        (zone / name).write_text(text)

    def work():
        energy_uj.write_text(str((int(energy_uj.read_text()) + 70) % 1000))

    return Rig(RaplMeter(folder), work)


def _nvml(folder):
    gpus = OneGpu()

    def work():
        gpus.energy_mj += 12

    return Rig(NvmlMeter(gpus=gpus), work)


def _replay(folder, **kwargs):
    path = folder / "run.csv"
    path.write_text("time_s,power_w\n0,5\n1,50\n2,0\n")
    clock = Steps()
    return Rig(ReplayMeter(path, clock, **kwargs), clock.forward)


def _replay_modelled(folder):
    return _replay(folder, modelled_as="6 W a core")


def _external(folder):
    clock = Steps()
    reading = CommandReading([sys.executable, "-S", "-c", "print(30)"], timeout_s=30.0)
    meter = ExternalMeter(reading, Quantity.WATTS, period_s=3600.0, now_s=clock)

    def work():
        clock.forward()
        meter.sample()

    return Rig(meter, work)


@pytest.fixture(params=[_cpu_time, _rapl, _nvml, _replay, _replay_modelled, _external])
def rig(request, tmp_path):
    rig = request.param(tmp_path)
    yield rig
    rig.meter.close()


def test_the_counter_starts_near_nothing_grows_with_work_and_never_falls(rig):
    joules = [rig.meter.read_j()]
    for _ in range(15):
        rig.work()
        joules += [rig.meter.read_j(), rig.meter.read_j()]
    assert all(isinstance(j, float) for j in joules)
    assert 0.0 <= joules[0] < 1.0
    assert joules == sorted(joules)
    assert joules[-1] > joules[0]


def test_it_says_what_it_is_in_one_sentence(rig):
    meter = rig.meter
    assert type(meter.modelled) is bool
    assert meter.name.isidentifier()
    assert "\n" not in meter.description
    assert meter.description.startswith("modelled" if meter.modelled else "measured")
    if meter.modelled:
        assert " W " in meter.description


def test_close_can_be_repeated_and_the_last_value_stays(rig):
    rig.work()
    rig.meter.read_j()
    rig.meter.close()
    joules = rig.meter.read_j()
    rig.work()
    rig.meter.close()
    assert rig.meter.read_j() == joules > 0.0
