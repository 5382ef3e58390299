"""The two profiles of others that have energy, as arrays; those of time alone: `shared_times.py`.

`energy_inference_runs.parquet`: one row a batch of 32, seven models on A100 and V100.
`gpu_energy_small_llms.parquet`: one row a request, three models on one GPU, in order of time.
Their sources stand in the shared data's README.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pointsman.data.tables import read_columns
from pointsman.types import Floats

ENERGY_INFERENCE: Final = "energy_inference_runs.parquet"
SMALL_LLMS: Final = "gpu_energy_small_llms.parquet"


@dataclass(frozen=True, slots=True)
class CostSeries:
    """Measured costs of one model on one machine, in the order of the file; shapes (N,).

    Attributes:
        name: model, system and GPUs, as far as the source tells.
        time_s, energy_j: of a batch or a request; energy is NaN where it was not measured.
        notes: what was left out, and what the rows can't tell; for the reader of a report.
    """

    name: str
    input_tokens: Floats
    output_tokens: Floats
    time_s: Floats
    energy_j: Floats
    notes: tuple[str, ...] = ()

    def cells(self) -> NDArray[np.int64]:
        """A number for each different (input, output) pair, shape (N,)."""
        pairs = np.stack([self.input_tokens, self.output_tokens], axis=1)
        return np.asarray(np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1), dtype=np.int64)


def energy_inference(path: Path, *, min_rows: int = 40, min_cells: int = 15) -> tuple[CostSeries, ...]:
    """Series by (model, system, GPUs) with at least so many runs and (input, output) cells.

    Energy is that of the GPUs: the CPU's counter wrapped in some runs (negative values). Raises DataError for a missing column or a bad value.
    """
    columns = read_columns(
        path,
        texts=("model", "system"),
        numbers=("num_gpus", "input_tokens", "output_tokens", "latency_s", "gpu_energy_j"),
    )
    keys = [
        f"{model}, {system}, {int(gpus)} GPU"
        for model, system, gpus in zip(columns["model"], columns["system"], columns["num_gpus"], strict=True)
    ]
    series = _split(np.array(keys), columns, "output_tokens", columns["gpu_energy_j"])
    return tuple(
        each for each in series if len(each.time_s) >= min_rows and len(np.unique(each.cells())) >= min_cells
    )


def small_llms(path: Path) -> tuple[CostSeries, ...]:
    """Series by model, without the rows that generated nothing; output is what was generated."""
    columns = read_columns(
        path,
        texts=("model",),
        numbers=("input_tokens", "new_tokens", "latency_s", "energy_j"),
    )
    keep = (columns["new_tokens"] > 0) & (columns["latency_s"] > 0) & (columns["energy_j"] > 0)
    kept = {name: column[keep] for name, column in columns.items()}
    return _split(kept["model"], kept, "new_tokens", kept["energy_j"])


def _split(
    keys: NDArray[Any], columns: dict[str, NDArray[Any]], output: str, energy_j: Floats
) -> tuple[CostSeries, ...]:
    return tuple(
        CostSeries(
            str(key),
            columns["input_tokens"][keys == key],
            columns[output][keys == key],
            columns["latency_s"][keys == key],
            energy_j[keys == key],
        )
        for key in dict.fromkeys(keys.tolist())
    )
