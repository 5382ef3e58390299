"""Whatever `pointsman fit` can read, as rows by endpoint: our profiles and two of others.

A file is known by its columns: `endpoint` is ours, `gpu_energy_j` is `energy_inference_runs`,
`new_tokens` is `gpu_energy_small_llms`. A folder with `model_regression_summary.csv` holds fits already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pointsman.data.fit_rows import endpoint_rows, provenance
from pointsman.data.profiles import read_profile
from pointsman.data.shared_profiles import CostSeries, energy_inference, small_llms
from pointsman.data.tables import column_names
from pointsman.errors import DataError
from pointsman.predict.model_profile import Provenance
from pointsman.predict.profile_rows import ProfileRows


@dataclass(frozen=True, slots=True)
class FitSource:
    """One endpoint's rows and where they are from.

    Attributes:
        natural: answers had their own length and could be judged, so that length and quality can be
            fitted; False where the length was forced.
    """

    name: str
    rows: ProfileRows
    provenance: Provenance
    natural: bool


def read_sources(path: Path) -> tuple[FitSource, ...]:
    """All endpoints of one parquet file. Raises DataError for an unknown layout or bad values."""
    if path.suffix != ".parquet":
        raise DataError(
            f"{path} is neither a parquet file nor a folder",
            remedy="Give a profile, or the folder with model_regression_summary.csv",
        )
    names = column_names(path)
    if "endpoint" in names:
        run = read_profile(path)
        return tuple(
            FitSource(name, endpoint_rows(run, name), provenance(run, name, path), natural=True)
            for name in run.endpoints()
        )
    if "gpu_energy_j" in names:
        return _forced(path, energy_inference(path), "GPU energy, batches of 32")
    if "new_tokens" in names:
        return _forced(path, small_llms(path), "NVML, one GPU, model not stated")
    raise DataError(
        f"{path} is no profile: its columns are {', '.join(sorted(names))}",
        remedy="A profile has the columns endpoint, prompt_id, ...; make one with: pointsman profile",
    )


def fingerprint(paths: Sequence[Path]) -> str:
    """`sha256:` and the hash of the files' bytes, in order; of a folder the CSV files by name."""
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(path.glob("*.csv")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return f"sha256:{digest.hexdigest()}"


def _forced(path: Path, all_series: Sequence[CostSeries], meter: str) -> tuple[FitSource, ...]:
    return tuple(
        FitSource(series.name, _rows(series), Provenance(path.name, meter=meter), natural=False)
        for series in all_series
    )


def _rows(series: CostSeries) -> ProfileRows:
    count = len(series.time_s)
    return ProfileRows(
        prompt=series.cells(),
        task=np.full(count, "chat"),
        prompt_bytes=4.0 * series.input_tokens,
        input_tokens=series.input_tokens,
        output_tokens=series.output_tokens,
        cut=np.ones(count, dtype=bool),
        max_tokens=series.output_tokens,
        concurrency=np.ones(count),
        time_s=series.time_s,
        energy_j=series.energy_j,
        score=np.full(count, np.nan),
    )
