"""Validation data from outcomes: predicted by an artifact that has not learnt them, or out of fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pointsman.build import endpoints_of, predictor_of, read_config
from pointsman.cli.calibrate_inputs import COSTS, Given
from pointsman.cli.progress import progress
from pointsman.clock import RealClock
from pointsman.config import Config, PredictorConfig
from pointsman.data.outcome_folders import read_outcomes
from pointsman.errors import BadRequest, DataError
from pointsman.metrics.budget import Validation
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.fit import FitOptions, fingerprint, fit_quality
from pointsman.predict.quality.learned_model import LearnedModel
from pointsman.types import Floats, Prompt, Request

_BATCH = 2_000


def from_outcomes(
    folders: Sequence[Path], artifact: Path | None, config: Path | None, cost: str | None, seed: int
) -> Given:
    """Predictions for the queries of which every endpoint's outcome is known.

    Args:
        folders: as `pointsman train` reads them.
        artifact: predicts; None: a model is fitted to the other folds for each fold.
        config: its endpoints and profiles predict costs, with the artifact's lengths.
        cost: `cost_usd` or `energy_j` where costs are needed.
        seed: of the folds.

    Raises: BadRequest, ConfigError, DataError, MissingError.
    """
    if (cost is not None or config is not None) and (artifact is None or config is None):
        raise BadRequest(
            "costs are predicted from an artifact and the endpoints of a configuration",
            remedy="Give --artifact and --config, or --run-share alone",
        )
    matrix = read_outcomes(folders)
    if artifact is None:
        with progress() as say:
            held_out = fit_quality(matrix, FitOptions(seed=seed), progress=say).held_out
        if held_out is None:
            raise DataError("too few outcomes to predict out of fold", remedy="Give more, or an artifact")
        return _complete(matrix, held_out.quality.value, matrix.quality, "predicted out of fold")
    model = LearnedModel.read(artifact)
    if model.about.get("data") == fingerprint(matrix):
        raise DataError(
            f"{artifact} was learnt from these very outcomes, which it predicts too well",
            remedy="Give outcomes that it has not seen, or leave --artifact out",
        )
    about = f"predicted by {artifact.name}"
    if config is None:
        forecast = model.forecast(Queries.without_task(matrix.prompts)).quality.value
        columns = _columns(model.endpoints, [(name,) for name in model.endpoints], matrix)
        known = columns >= 0
        return _complete(matrix, forecast[:, known], matrix.quality[:, columns[known]], about)
    return _with_costs(matrix, artifact, read_config(config), cost, about)


def _with_costs(matrix: OutcomeMatrix, artifact: Path, config: Config, cost: str | None, about: str) -> Given:
    """Quality and cost as the gateway would predict them under the configuration."""
    config = replace(config, predictor=PredictorConfig("learned", artifact))
    endpoints = endpoints_of(config)
    _, predictor = predictor_of(config, RealClock())
    named = [(endpoint.name, endpoint.model, endpoint.upstream_model) for endpoint in endpoints]
    columns = _columns([endpoint.name for endpoint in endpoints], named, matrix)
    idle = (0,) * len(endpoints)
    requests = [
        Request(query, Prompt(text, total_bytes=len(text.encode())))
        for query, text in zip(matrix.query_ids, matrix.prompts, strict=True)
    ]
    tables = [
        predictor.predict(requests[start : start + _BATCH], idle) for start in range(0, len(requests), _BATCH)
    ]
    known = columns >= 0
    quality = np.concatenate([table.quality.value[:, known] for table in tables])
    spent = {
        "cost_usd": np.concatenate([table.price_usd.value[:, known] for table in tables]),
        "energy_j": np.concatenate([table.energy_j.value[:, known] for table in tables]),
    }
    right = matrix.quality[:, columns[known]]
    return _complete(matrix, quality, right, f"{about}, costs predicted too", spent, cost)


def _columns(
    endpoints: Sequence[str], named: Sequence[tuple[str, ...]], matrix: OutcomeMatrix
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """For each endpoint its column of the outcomes, -1 where there is none. Raises: DataError for none at all."""
    places = {name: column for column, name in enumerate(matrix.endpoints)}
    found = [next((places[name] for name in own if name in places), -1) for own in named]
    if max(found, default=-1) < 0:
        raise DataError(
            f"the outcomes are of {', '.join(matrix.endpoints)}, and none of {', '.join(endpoints)}",
            remedy="Give outcomes of these endpoints",
        )
    return np.array(found, dtype=np.int64)


def _complete(
    matrix: OutcomeMatrix,
    probability: Floats,
    right: Floats,
    about: str,
    spent: Mapping[str, Floats] | None = None,
    cost: str | None = None,
) -> Given:
    """Rows without gaps. Raises: DataError where there are none."""
    rows = np.flatnonzero(~np.isnan(right).any(axis=1))
    if not len(rows):
        raise DataError(
            "no query has an outcome of every endpoint",
            remedy="Give outcomes of fewer endpoints, or more of them",
        )
    costs = {name: (spent or {})[name][rows] for name in COSTS if cost}
    data = Validation(
        np.clip(probability[rows], 0.0, 1.0),
        right[rows],
        costs[cost] if cost else None,
        matrix.groups[rows],
        tuple(costs.values()),
    )
    left_out = len(matrix.query_ids) - len(rows)
    gaps = f"; {left_out:,} more lack the outcome of some endpoint and are left out" if left_out else ""
    return Given(
        data,
        f"{len(rows):,} queries on {right.shape[1]} endpoint{'s' if right.shape[1] > 1 else ''}, {about}{gaps}",
    )
