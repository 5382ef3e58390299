"""The claims of `bench/fit_energy_inference.py` and `bench/prequential_small_llms.py`, in small."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pointsman.data.shared_profiles import ENERGY_INFERENCE, SMALL_LLMS, energy_inference, small_llms

BENCH = Path(__file__).resolve().parents[2] / "bench"
pytestmark = pytest.mark.data


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_held_out_cells_of_energy_inference(shared_data: Path) -> None:
    bench = load("fit_energy_inference")
    series = energy_inference(shared_data / "profiles" / ENERGY_INFERENCE)
    assert len(series) == 9
    found = {
        (row["model"], row["quantity"], str(row["series"]).partition(" ")[0]): row
        for row in bench.summary(bench.measure(series, partitions=4, seed=1))
    }
    limits = {
        ("shape", "time_s"): (7.0, 24.0),
        ("shape", "energy_j"): (5.6, 19.0),
        ("refined", "time_s"): (5.3, 10.0),
        ("refined", "energy_j"): (5.3, 9.0),
    }
    for (model, quantity), (median, worst) in limits.items():
        assert found[model, quantity, "median"]["mean_ape_percent"] <= median
        assert found[model, quantity, "worst"]["mean_ape_percent"] <= worst
        assert found[model, quantity, "median"]["negative_predictions"] == 0
    assert found["ols", "time_s", "median"]["mean_ape_percent"] > 1000


def test_one_step_ahead_on_small_llms(shared_data: Path) -> None:
    bench = load("prequential_small_llms")
    for series in small_llms(shared_data / "profiles" / SMALL_LLMS):
        rows = {row["prediction"]: row for row in bench.measure(series, "time_s", 500)}
        drift = rows["shape with drift"]
        assert drift["r2"] >= 0.89
        assert drift["mape_percent"] <= 19.5
        assert abs(drift["coverage"] - 0.9) <= 0.03
        assert rows["ols, whole series"]["r2"] <= 0.23
        energy = bench.measure(series, "energy_j", 500)[0]
        assert energy["mape_percent"] <= 23
        assert np.isfinite(energy["coverage"])
