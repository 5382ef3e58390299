"""A set of outcomes with forecasts of rows held out: what ways to choose an endpoint are compared on.

Each outer fold is forecast, and its calibration fitted, by the other folds alone (`predict/quality/nested.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.assign.floor_calibration import FloorCalibration
from pointsman.data.routing_sets import RoutingSet, expected_cost
from pointsman.predict.features.base import TextEncoder
from pointsman.predict.features.cache import CachedEncoder
from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.features.minilm import MiniLmEncoder
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.fit import FitOptions
from pointsman.predict.quality.knn import KnnQuality, KnnSettings
from pointsman.predict.quality.nested import NestedForecasts, nested_forecasts
from pointsman.types import Floats

OURS: Final = "ours"
RAW: Final = "as forecast"
NEAREST: Final = "nearest neighbours"
OUTER_FOLDS: Final = 5


@dataclass(frozen=True, slots=True)
class Case:
    """A set with the forecasts of one seed, and what was fitted on them; arrays of shape (N, E).

    Attributes:
        known: what the forecasts may read.
        planned: the cost that a plan goes by.
        forecasts: by the name of the way that chooses by them.
        tokens: mean length of the nearest neighbours' answers; None where no length is known.
        calibrations: one for each outer fold.
        folds: shape (N,).
    """

    data: RoutingSet
    known: str
    planned: Floats
    forecasts: Mapping[str, Floats]
    tokens: Floats | None
    calibrations: Sequence[FloorCalibration]
    folds: NDArray[np.int64]


def held_out_case(data: RoutingSet, known: str, options: FitOptions, keep: Path | None = None) -> Case:
    """Forecast every row by models that have not seen its fold.

    Args:
        data: the set.
        known: what the forecasts may read, in words.
        options: of each fit; the tasks are told if they say so.
        keep: a folder in which finished forecasts and encodings are kept, and looked for.
    """
    made = kept_forecasts(data, known, options, keep)
    nearest = plain_neighbours(data, made.outer, options.features, keep)
    tasks = data.matrix.tasks if options.tasks else ("",) * len(data.matrix.tasks)
    return _fitted(data, known, tasks, made, nearest)


def kept_forecasts(data: RoutingSet, known: str, options: FitOptions, keep: Path | None) -> NestedForecasts:
    """Made, or read where they were made before; see `held_out_case`."""
    name = f"{data.name} {len(data.matrix.query_ids)} {known} {options.seed}.npz".replace(" ", "_")
    if keep is not None and (keep / name).exists():
        with np.load(keep / name) as found:
            return NestedForecasts(
                found["outer"],
                found["forecast"].astype(float),
                found["inner"],
                found["held_out"].astype(float),
            )
    queries, _ = _encoded(data, options.features, keep)
    made = nested_forecasts(data.matrix, options, queries, OUTER_FOLDS)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        np.savez(
            keep / name,
            outer=made.outer,
            forecast=made.forecast.astype(np.float32),
            inner=made.inner,
            held_out=made.held_out.astype(np.float32),
        )
    return made


def _encoded(data: RoutingSet, features: str, keep: Path | None) -> tuple[Queries, TextEncoder | None]:
    """The set's queries, and the sentence encoder that they have been encoded with, if any."""
    queries = Queries(data.matrix.prompts, data.matrix.tasks)
    if features != "minilm":
        return queries, None
    encoder = MiniLmEncoder()
    cached = encoder if keep is None else CachedEncoder(encoder, keep / "minilm.sqlite")
    return queries.with_encoding(encoder, cached.encode(queries.texts)), encoder


def _fitted(
    data: RoutingSet,
    known: str,
    tasks: Sequence[str],
    made: NestedForecasts,
    nearest: tuple[Floats, Floats | None],
) -> Case:
    """Calibrate each outer fold by what the fit without it said of its own rows."""
    matrix = data.matrix
    ours, planned = np.empty_like(made.forecast), data.cost.copy()
    calibrations = []
    for fold, inner in enumerate(made.inner):
        rest, own = np.flatnonzero(made.outer != fold), np.flatnonzero(made.outer == fold)
        cost = expected_cost(data.cost, matrix.tasks, rest) if data.measured else data.cost
        planned[own] = cost[own]
        calibration = FloorCalibration.fit(
            matrix.endpoints, cost[rest], made.held_out[fold, rest], matrix.quality[rest],
            tasks=[tasks[row] for row in rest.tolist()], groups=matrix.groups[rest], folds=inner[rest],
        )  # fmt: skip
        ours[own] = calibration.contrasts.applied(made.forecast[own], [tasks[row] for row in own.tolist()])
        calibrations.append(calibration)
    quality, tokens = nearest
    forecasts = {OURS: ours, RAW: made.forecast, NEAREST: quality}
    return Case(data, known, planned, forecasts, tokens, calibrations, made.outer)


def plain_neighbours(
    data: RoutingSet, folds: NDArray[np.int64], features: str, keep: Path | None
) -> tuple[Floats, Floats | None]:
    """Mean quality and length of the 16 nearest of the other folds, shape (N, E); by the sentence embedding if any.

    Lengths are None where an endpoint has none.
    """
    hot = HotFeatures()
    queries, sentence = _encoded(data, features, keep)
    unknown = queries.with_tasks(("",) * queries.n)
    made = np.empty_like(data.matrix.quality)
    tokens = np.full_like(made, np.nan)
    for fold in np.unique(folds):
        rest, own = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        model = KnnQuality.fit(
            data.matrix.take(rest), hot, sentence, queries=unknown.take(rest), settings=KnnSettings.eccos()
        )
        found = model.forecast(unknown.take(own))
        made[own] = found.quality.value
        if found.output_tokens is not None:
            tokens[own] = found.output_tokens.mean(axis=-1)
    return made, tokens if np.isfinite(tokens).all() else None
