"""RAPL on a made-up powercap tree: which domains count, wrap-around, and what is missing."""

import os
import time

import pytest

from pointsman.errors import MissingError
from pointsman.meters.rapl import RaplMeter


def _zone(root, folder, name, energy_uj, range_uj=1_000_000_000):
    zone = root / folder
    zone.mkdir()
    (zone / "name").write_text(f"{name}\n")
    (zone / "max_energy_range_uj").write_text(f"{range_uj}\n")
    (zone / "energy_uj").write_text(f"{energy_uj}\n")
    return zone / "energy_uj"


@pytest.fixture
def server(tmp_path):
    """Two packages with memory, their parts, the platform and a second view of package 0."""
    return {
        folder: _zone(tmp_path, folder, name, 5_000_000)
        for folder, name in [
            ("intel-rapl:0", "package-0"),
            ("intel-rapl:0:0", "core"),
            ("intel-rapl:0:1", "uncore"),
            ("intel-rapl:0:2", "dram"),
            ("intel-rapl:1", "package-1"),
            ("intel-rapl:1:0", "dram"),
            ("intel-rapl:2", "psys"),
            ("intel-rapl-mmio:0", "package-0"),
        ]
    }


def test_each_joule_counts_once(server, tmp_path):
    meter = RaplMeter(tmp_path)
    assert [domain.name for domain in meter.domains] == ["package-0", "dram-0", "package-1", "dram-1"]
    assert meter.read_j() == 0.0
    for energy_uj in server.values():
        energy_uj.write_text("7000000")
    assert meter.read_j() == pytest.approx(4 * 2.0)
    assert "package-0, dram-0, package-1, dram-1" in meter.description
    meter.close()


def test_a_counter_that_wraps_goes_on(tmp_path):
    energy_uj = _zone(tmp_path, "intel-rapl:0", "package-0", 90_000_000, range_uj=100_000_000)
    meter = RaplMeter(tmp_path)
    energy_uj.write_text("95000000")
    assert meter.read_j() == pytest.approx(5.0)
    energy_uj.write_text("3000000")
    assert meter.read_j() == pytest.approx(13.0)
    meter.close()


def test_the_thread_sees_a_wrap_that_nobody_asked_about(tmp_path):
    energy_uj = _zone(tmp_path, "intel-rapl:0", "package-0", 0, range_uj=100_000_000)
    meter = RaplMeter(tmp_path, poll_s=0.001)
    energy_uj.write_text("90000000")
    give_up_s = time.monotonic() + 20.0
    while meter._last_uj != [90_000_000] and time.monotonic() < give_up_s:
        time.sleep(0.001)
    energy_uj.write_text("50000000")
    # Without the read in between this would look like 50 J.
    assert meter.read_j() == pytest.approx(90.0 + 60.0)
    meter.close()


def test_a_counter_that_is_away_for_a_moment_is_reported_and_loses_nothing(tmp_path):
    energy_uj = _zone(tmp_path, "intel-rapl:0", "package-0", 0)
    meter = RaplMeter(tmp_path, poll_s=0.001)
    energy_uj.unlink()
    with pytest.raises(MissingError, match="energy_uj can't be read"):
        meter.read_j()
    energy_uj.write_text("4000000")
    assert meter.read_j() == pytest.approx(4.0)
    meter.close()
    energy_uj.write_text("9000000")
    assert meter.read_j() == pytest.approx(4.0)


def test_mmio_serves_where_it_is_the_only_one(tmp_path):
    _zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1)
    meter = RaplMeter(tmp_path)
    assert len(meter.domains) == 1
    meter.close()


def test_multi_die_packages_all_count(tmp_path):
    _zone(tmp_path, "intel-rapl:0", "package-0-die-0", 1)
    _zone(tmp_path, "intel-rapl:1", "package-0-die-1", 1)
    meter = RaplMeter(tmp_path)
    assert len(meter.domains) == 2
    meter.close()


def test_no_rapl_at_all_says_what_to_use(tmp_path):
    with pytest.raises(MissingError, match=r"no RAPL package counter.*another meter"):
        RaplMeter(tmp_path / "nowhere")
    _zone(tmp_path, "intel-rapl:0", "psys", 1)
    with pytest.raises(MissingError, match="no RAPL package counter"):
        RaplMeter(tmp_path)


def test_a_counter_that_holds_no_number_is_refused(tmp_path):
    _zone(tmp_path, "intel-rapl:0", "package-0", "-7")
    with pytest.raises(MissingError, match="holds '-7', not a count"):
        RaplMeter(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_counter_for_root_only_gives_the_command_that_opens_it(tmp_path):
    _zone(tmp_path, "intel-rapl:0", "package-0", 1).chmod(0)
    with pytest.raises(MissingError, match=r"may not be read by this user.*sudo chmod a\+r"):
        RaplMeter(tmp_path)
