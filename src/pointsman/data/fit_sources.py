"""Whatever `pointsman fit` can read, as rows by endpoint: our profiles and five of others.

A file is known by one of its columns, whatever its name. A folder with `model_regression_summary.csv`
holds fits already.

    column                 file                          what follows
    endpoint               ours                          time, energy, length, accuracy
    gpu_energy_j           energy_inference_runs         time, energy
    new_tokens             gpu_energy_small_llms         time, energy
    inter_token_latency_s  llmperf_api_latency           time
    token_time_ms          splitwise_llama70b_bloom      time
    runtime_for_prompt_s   helm_api_runtimes             time, computed
    avg_batch_size         ml_energy_v3                  nothing: refused with the reason
    mlp_up_proj_ms         vidur_layer_kernels           nothing: refused with the reason
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.data.fit_rows import endpoint_rows, provenance
from pointsman.data.profiles import read_profile
from pointsman.data.shared_profiles import CostSeries, energy_inference, small_llms
from pointsman.data.shared_times import helm, llmperf, splitwise
from pointsman.data.tables import column_names
from pointsman.errors import DataError, NotFittable
from pointsman.predict.model_profile import Provenance
from pointsman.predict.profile_rows import ProfileRows


@dataclass(frozen=True, slots=True)
class FitSource:
    """One endpoint's rows and where they are from.

    Attributes:
        natural: answers had their own length and could be judged, so that length and quality can be
            fitted; False where the length was forced.
        computed: the rows are points of another's curve, not measurements.
        notes: what the reader of a report should know of the rows.
    """

    name: str
    rows: ProfileRows
    provenance: Provenance
    natural: bool
    computed: bool = False
    notes: tuple[str, ...] = ()


def read_sources(path: Path) -> tuple[FitSource, ...]:
    """All endpoints of one parquet file.

    Raises: NotFittable for another kind of file or a layout that no curve follows from. DataError for a
    file that is missing or broken, or a bad value.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist", remedy="Check the path")
    if path.suffix != ".parquet":
        raise NotFittable(
            f"{path} is neither a parquet file nor a folder",
            remedy="Give a profile, or the folder with model_regression_summary.csv",
        )
    names = column_names(path)
    for column, read in _LAYOUTS.items():
        if column in names:
            return read(path)
    for column, (reason, remedy) in _REFUSED.items():
        if column in names:
            raise NotFittable(f"{path} {reason}", remedy=remedy)
    raise NotFittable(
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


def _own(path: Path) -> tuple[FitSource, ...]:
    run = read_profile(path)
    return tuple(
        FitSource(name, endpoint_rows(run, name), provenance(run, name, path), natural=True)
        for name in run.endpoints()
    )


def _others(
    read: Callable[[Path], Sequence[CostSeries]],
    meter: str = "",
    *,
    computed: bool = False,
    own_prompts: bool = False,
) -> Callable[[Path], tuple[FitSource, ...]]:
    """Rows of forced length; `own_prompts`: each row is a prompt of its own, else each token count is."""

    def sources(path: Path) -> tuple[FitSource, ...]:
        origin = Provenance(path.name, meter=meter)
        return tuple(
            FitSource(
                series.name,
                _rows(series, np.arange(len(series.time_s)) if own_prompts else series.cells()),
                origin,
                natural=False,
                computed=computed,
                notes=series.notes,
            )
            for series in read(path)
        )

    return sources


_LAYOUTS: Final[Mapping[str, Callable[[Path], tuple[FitSource, ...]]]] = {
    "endpoint": _own,
    "gpu_energy_j": _others(energy_inference, "GPU energy, batches of 32"),
    "new_tokens": _others(small_llms, "NVML, one GPU, model not stated"),
    "inter_token_latency_s": _others(llmperf, own_prompts=True),
    "token_time_ms": _others(splitwise),
    "runtime_for_prompt_s": _others(helm, computed=True),
}
_INSTEAD: Final = "For curves of GPUs use energy_inference_runs.parquet, or measure: pointsman profile"
_REFUSED: Final[Mapping[str, tuple[str, str]]] = {
    "avg_batch_size": (
        "can't be fitted: it holds averages of full servers by batch size, without any input length",
        _INSTEAD,
    ),
    "mlp_up_proj_ms": (
        "can't be fitted: it holds kernel times of one layer without attention, no whole request",
        _INSTEAD,
    ),
}


def _rows(series: CostSeries, prompt: NDArray[np.int64]) -> ProfileRows:
    count = len(series.time_s)
    return ProfileRows(
        prompt=prompt,
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
