"""Profile tables as the arrays that fits take."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pointsman.data.profiles import ProfileRow, ProfileRun
from pointsman.errors import DataError
from pointsman.predict.model_profile import Provenance
from pointsman.predict.profile_rows import ProfileRows
from pointsman.predict.task import prompt_task
from pointsman.types import Floats


def endpoint_rows(run: ProfileRun, endpoint: str, texts: Mapping[str, str] | None = None) -> ProfileRows:
    """The endpoint's measured requests in order of time.

    Args:
        run: a profile.
        endpoint: one of `run.endpoints()`.
        texts: prompt id -> text where known, so that the task is what `prompt_task` says; else the
            task written in the profile stands (`ramp` becomes `chat`).

    Raises: DataError if the endpoint has no row with token counts and a time.
    """
    rows = run.measured(endpoint)
    if not rows:
        raise DataError(
            f"endpoint {endpoint} has no measured row", remedy="Run pointsman profile for it, or leave it out"
        )
    originals = {name: index for index, name in enumerate(dict.fromkeys(_original(row) for row in rows))}
    return ProfileRows(
        prompt=np.array([originals[_original(row)] for row in rows], dtype=np.int64),
        task=np.array([_task(row, texts or {}) for row in rows]),
        prompt_bytes=np.array([row.prompt_bytes for row in rows], dtype=np.float64),
        input_tokens=_numbers([_computed(row) for row in rows]),
        output_tokens=_numbers([row.output_tokens for row in rows]),
        cut=np.array([row.finish_reason == "length" for row in rows]),
        max_tokens=_numbers([row.max_tokens for row in rows]),
        concurrency=_numbers([row.concurrency for row in rows]),
        time_s=_numbers([row.e2e_s for row in rows]),
        energy_j=_numbers([row.energy_j for row in rows]),
        score=_numbers([row.score for row in rows]),
    )


def provenance(run: ProfileRun, endpoint: str, source: Path) -> Provenance:
    """Where the endpoint's rows are from."""
    rows = run.measured(endpoint)
    meters = sorted({row.meter for row in rows if row.meter})
    hardware = run.metadata.get("hardware", run.metadata.get("machine", ""))
    first = dt.datetime.fromtimestamp(min(row.started_unix_s for row in rows), tz=dt.UTC)
    return Provenance(
        source.name,
        hardware if isinstance(hardware, str) else "; ".join(f"{k} {v}" for k, v in dict(hardware).items()),
        ", ".join(meters),
        any(bool(row.energy_modelled) for row in rows),
        len(rows),
        first.date().isoformat(),
    )


def _original(row: ProfileRow) -> str:
    return row.repeat_of or row.prompt_id


def _task(row: ProfileRow, texts: Mapping[str, str]) -> str:
    text = texts.get(_original(row))
    if text is not None:
        return prompt_task(text)
    return "chat" if row.task == "ramp" else row.task


def _computed(row: ProfileRow) -> float | None:
    return None if row.input_tokens is None else max(row.input_tokens - (row.cached_tokens or 0), 0)


def _numbers(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
