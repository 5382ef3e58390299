"""A quality model with its calibration and conformal limits as one object, and its artifact.

What a forecast is made of: the model's, calibrated per endpoint, with the range of lengths made to hold
what it says. An artifact holds it whole, with where it came from, and reads back to the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import BadRequest, DataError
from pointsman.predict.features.base import Encoding
from pointsman.predict.length import QUANTILES
from pointsman.predict.quality.base import QualityForecast, QualityModel, Queries
from pointsman.predict.quality.blend import BlendQuality
from pointsman.predict.quality.bundle import REMEDY, Bundle
from pointsman.predict.quality.calibration import Calibration
from pointsman.predict.quality.conformal import PredictionSets
from pointsman.predict.quality.conformal_limits import ConformalLimits, Range
from pointsman.predict.quality.kinds import SLOW, encoders_of, model_from_arrays
from pointsman.predict.quality.knn import KnnQuality
from pointsman.types import Floats

_PARTS: Final = ("model", "calibration", "sets", "scores", "lengths")
_TRIAL: Final = ("", "What is 17 times 23?", "\N{GREEK SMALL LETTER LAMDA}x. x\x00")


@dataclass(frozen=True, slots=True)
class LearnedModel:
    """Implements `QualityModel`'s forecast.

    Attributes:
        model: fitted.
        calibration: of the same endpoints.
        features: what the model reads, one of `kinds.FEATURES`.
        limits: what a single answer may turn out to be; none without folds.
        about: where it came from, as JSON can hold it: data, settings, held-out measures.
    """

    model: QualityModel
    calibration: Calibration
    features: str
    limits: ConformalLimits = field(default_factory=ConformalLimits)
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the model inside."""
        return self.model.name

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The columns of a forecast."""
        return self.model.endpoints

    @property
    def slow(self) -> bool:
        """Whether a forecast of one query takes milliseconds."""
        return self.name in SLOW or any(encoder.name in SLOW for encoder in encoders_of(self.features))

    def forecast(self, queries: Queries) -> QualityForecast:
        """Calibrated, with the range of lengths moved; see `QualityModel`."""
        made = self.model.forecast(queries)
        calibrated = QualityForecast(self.calibration.calibrate(made.log_odds), made.output_tokens)
        return self.limits.applied(calibrated)

    @property
    def retrieval(self) -> KnnQuality | None:
        """The past outcomes it looks up, if that is how it forecasts."""
        match self.model:
            case KnnQuality() as knn:
                return knn
            case BlendQuality(knn=knn):
                return knn
        return None

    def grown(
        self, encoded: Encoding, tasks: Sequence[str], quality: Floats, output_tokens: Floats
    ) -> LearnedModel:
        """With later outcomes among those it looks up; see `KnnQuality.grown`. Itself if it looks up none.

        The calibration and the ranges stay as they were fitted.
        """
        if not isinstance(self.model, KnnQuality | BlendQuality):
            return self
        return replace(self, model=self.model.grown(encoded, tasks, quality, output_tokens))

    def sentence(self, endpoint: str) -> str:
        """Where its quality for an endpoint is from, for explanations."""
        labels = self.about.get("labels", {}).get(endpoint)
        held_out = self.about.get("held_out", {}).get(endpoint, {}).get("auroc")
        from_labels = "" if labels is None else f" from {labels:,} labels"
        measured = "" if held_out is None else f", held-out AUROC {held_out:.2f}"
        return f"quality learnt by {self.name}{from_labels}{measured}"

    def prediction_sets(self, forecast: QualityForecast) -> PredictionSets | None:
        """Which labels are possible, shape (R, E); None where labels were not all 0 or 1."""
        sets = self.limits.sets
        return None if sets is None else sets.sets(forecast.quality.value)

    def score_range(self, forecast: QualityForecast) -> Range | None:
        """Between which ends a score will lie, shape (R, E) each; None where labels were all 0 or 1."""
        return self.limits.score_range(forecast.quality.value)

    def write(
        self,
        path: Path,
        about: Mapping[str, Any] | None = None,
        held_out: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        """Write the artifact; see `Bundle.write`. `about` is added to what it says of itself."""
        arrays: dict[str, NDArray[Any]] = {}
        document: dict[str, Any] = {
            "kind": self.name,
            "features": self.features,
            "encoders": _fingerprints(self.features),
        }
        for part, (own, rest) in self._parts().items():
            arrays |= {f"{part}/{name}": array for name, array in own.items()}
            document[part] = rest
        Bundle(dict(self.about) | dict(about or {}), document, arrays).write(path, held_out)

    def _parts(self) -> dict[str, tuple[dict[str, NDArray[Any]], dict[str, Any]]]:
        parts = {"model": self.model.to_arrays(), "calibration": self.calibration.to_arrays()}
        return parts | self.limits.to_arrays()

    @classmethod
    def read(cls, path: Path) -> LearnedModel:
        """The model that was written there, tried on a few texts.

        Raises: DataError if it is altered, of another version, fitted with other features, or gives no
            usable forecast; MissingError if its features need an extra.
        """
        bundle = Bundle.read(path)
        try:
            made = _assembled(bundle)
            with np.errstate(all="ignore"):  # what is not finite is found below
                trial = made.forecast(Queries.without_task(_TRIAL))
            fault = _fault_of(trial, len(made.endpoints))
        except DataError as error:
            raise DataError(f"{path} holds no usable model: {error.message}", remedy=REMEDY) from error
        except (BadRequest, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise DataError(
                f"{path} holds no usable model: {type(error).__name__}: {error}", remedy=REMEDY
            ) from error
        if fault is not None:
            raise DataError(f"{path} holds no usable model: {fault}", remedy=REMEDY)
        return made


def _assembled(bundle: Bundle) -> LearnedModel:
    document = bundle.model
    features = document["features"]
    for name, fingerprint in _fingerprints(features).items():
        if document["encoders"].get(name) != fingerprint:
            raise DataError(
                f"fitted with other features {name!r} than this Pointsman has: "
                f"{document['encoders'].get(name)}, not {fingerprint}"
            )
    parts: dict[str, dict[str, NDArray[Any]]] = {name: {} for name in _PARTS}
    for place, array in bundle.arrays.items():
        part, _, name = place.partition("/")
        parts[part][name] = array
    model = model_from_arrays(document["kind"], parts["model"], document["model"], features)
    calibration = Calibration.from_arrays(parts["calibration"], document["calibration"])
    limits = ConformalLimits.from_arrays(parts, document, len(model.endpoints))
    if calibration.endpoints != model.endpoints:
        raise ValueError(f"calibration of {calibration.endpoints} for a model of {model.endpoints}")
    return LearnedModel(model, calibration, features, limits, bundle.about)


def _fingerprints(features: str) -> dict[str, str]:
    return {encoder.name: encoder.fingerprint() for encoder in encoders_of(features)}


def _fault_of(forecast: QualityForecast, n_endpoints: int) -> str | None:
    """What is wrong with the forecast of the trial texts, or None."""
    shape = (len(_TRIAL), n_endpoints)
    value, low, high = forecast.quality.value, forecast.quality.low, forecast.quality.high
    if not value.shape == low.shape == high.shape == shape:
        return f"a forecast has the shape {value.shape}, not {shape}"
    if not ((low >= 0) & (low <= value) & (value <= high) & (high <= 1)).all():
        return "a forecast quality or its interval is not in [0, 1]"
    tokens = forecast.output_tokens
    if tokens is None:
        return None
    if tokens.shape != (*shape, QUANTILES):
        return f"forecast lengths have the shape {tokens.shape}, not {(*shape, QUANTILES)}"
    known = tokens[~np.isnan(tokens).any(axis=-1)]
    if not (np.isfinite(known).all() and (known >= 0).all() and (np.diff(known, axis=-1) >= 0).all()):
        return "forecast lengths are negative, infinite or fall"
    return None
