"""The NVML meter on GPUs that the test drives."""

import importlib.util

import pytest

from pointsman.errors import ConfigError, MissingError
from pointsman.meters.nvml import NvmlMeter


class FakeGpus:
    """Counters in millijoules; `lost` makes every read fail as a driver would."""

    def __init__(self, *counters_mj, has_counter=True):
        self.counters_mj = list(counters_mj)
        self.has_counter = has_counter
        self.lost = False

    def __len__(self):
        return len(self.counters_mj)

    def get_name(self, gpu_index):
        return f"Test GPU {gpu_index}"

    def supports_get_total_energy_consumption(self, gpu_index):
        return self.has_counter

    def get_total_energy_consumption(self, gpu_index):
        if self.lost:
            raise RuntimeError("GPU is lost")
        return self.counters_mj[gpu_index]


def test_the_chosen_gpus_are_summed_once_each():
    gpus = FakeGpus(1_000, 2_000, 3_000)
    every = NvmlMeter(gpus=gpus)
    some = NvmlMeter([2, 0, 2], gpus=gpus)
    assert every.read_j() == 0.0
    gpus.counters_mj = [2_000, 4_000, 7_500]
    assert every.read_j() == pytest.approx(7.5)
    assert some.read_j() == pytest.approx(5.5)
    assert "GPU 2 (Test GPU 2), 0 (Test GPU 0)" in some.description


def test_a_reloaded_driver_does_not_make_the_counter_fall():
    gpus = FakeGpus(9_000)
    meter = NvmlMeter(gpus=gpus)
    gpus.counters_mj[0] = 10_000
    assert meter.read_j() == pytest.approx(1.0)
    gpus.counters_mj[0] = 0
    assert meter.read_j() == pytest.approx(1.0)
    gpus.counters_mj[0] = 500
    assert meter.read_j() == pytest.approx(1.5)


def test_a_lost_gpu_is_reported_and_counting_goes_on_when_it_is_back():
    gpus = FakeGpus(0)
    meter = NvmlMeter(gpus=gpus)
    gpus.lost = True
    with pytest.raises(MissingError, match="GPU is lost"):
        meter.read_j()
    gpus.lost = False
    gpus.counters_mj[0] = 3_000
    assert meter.read_j() == pytest.approx(3.0)
    meter.close()
    gpus.lost = True
    assert meter.read_j() == pytest.approx(3.0)


def test_what_cannot_be_metered_is_refused():
    with pytest.raises(MissingError, match=r"Test GPU 0\) has no energy counter"):
        NvmlMeter(gpus=FakeGpus(0, has_counter=False))
    with pytest.raises(MissingError, match="sees no GPU"):
        NvmlMeter(gpus=FakeGpus())
    with pytest.raises(ConfigError, match=r"no GPU 1.*0 to 0"):
        NvmlMeter([1], gpus=FakeGpus(0))
    with pytest.raises(ConfigError, match="no GPU was chosen"):
        NvmlMeter([], gpus=FakeGpus(0))


@pytest.mark.skipif(importlib.util.find_spec("zeus") is not None, reason="Zeus is installed")
def test_without_the_extra_the_error_says_how_to_install_it():
    with pytest.raises(MissingError, match=r"pip install 'pointsman\[gpu\]'"):
        NvmlMeter()
