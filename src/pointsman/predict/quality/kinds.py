"""The quality models and the features by their names: fitted, and read back from an artifact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

from numpy.typing import NDArray

from pointsman.errors import BadRequest, DataError
from pointsman.predict.features.base import TextEncoder
from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import QualityModel, Queries
from pointsman.predict.quality.blend import BlendQuality
from pointsman.predict.quality.knn import KnnQuality
from pointsman.predict.quality.prior import PriorQuality
from pointsman.predict.quality.scipy_parts import scipy_part
from pointsman.predict.quality.trained import TrainedQuality

MODELS: Final = ("blend", "trained", "knn", "prior")
FEATURES: Final = ("hot", "minilm")
"""`hot`: surface, hashed words and the static embedding; `minilm`: those and a sentence embedding."""


SLOW: Final = frozenset({"minilm", "knn", "blend"})
"""Encoders and models that take milliseconds a text."""


def check_fittable(kind: str) -> None:
    """Raises: MissingError where fitting the model needs what is not installed."""
    if kind in ("blend", "trained"):
        scipy_part("optimize")


def encoders_of(features: str) -> tuple[TextEncoder, ...]:
    """The encoders of some features: none, the hot ones, or those and a sentence embedding.

    Raises: BadRequest, MissingError.
    """
    if features == "none":
        return ()
    if features not in FEATURES:
        raise BadRequest(f"there are no features {features!r}", remedy=f"There are {', '.join(FEATURES)}")
    return (_hot(),) if features == "hot" else (_hot(), _sentence())


def fit_model(kind: str, matrix: OutcomeMatrix, queries: Queries, features: str, seed: int) -> QualityModel:
    """Fit one of `MODELS`.

    Args:
        kind: which.
        matrix: outcomes; its tasks are not looked at.
        queries: those of the matrix, with the tasks that may be used and what is encoded of them.
        features: what the model may read; "none" for `prior`.
        seed: of all that is drawn.

    Raises: BadRequest, MissingError.
    """
    seen = replace(matrix, tasks=tuple(queries.tasks))
    if kind == "prior":
        return PriorQuality.fit(seen)
    hot, sentence = _pair(features)
    match kind:
        case "knn":
            return KnnQuality.fit(seen, hot, sentence, queries=queries, seed=seed)
        case "trained":
            return TrainedQuality.fit(seen, hot, sentence, queries=queries, seed=seed)
        case "blend":
            return BlendQuality.fit(seen, hot, sentence, queries=queries, seed=seed)
    raise BadRequest(f"there is no model {kind!r}", remedy=f"There are {', '.join(MODELS)}")


def model_from_arrays(
    kind: str, arrays: Mapping[str, NDArray[Any]], rest: Mapping[str, Any], features: str
) -> QualityModel:
    """What `to_arrays` gave. Raises: DataError for a kind that is not known."""
    if kind == "prior":
        return PriorQuality.from_arrays(arrays, rest)
    hot, sentence = _pair(features)
    match kind:
        case "knn":
            return KnnQuality.from_arrays(arrays, rest, hot, sentence)
        case "trained":
            return TrainedQuality.from_arrays(arrays, rest, hot, sentence)
        case "blend":
            return BlendQuality.from_arrays(arrays, rest, hot, sentence)
    raise DataError(f"there is no model {kind!r}", remedy="Train it again, with this version")


def as_kept(model: QualityModel, features: str) -> QualityModel:
    """The model as an artifact will give it back, so that both say the same to the last bit."""
    arrays, rest = model.to_arrays()
    return model_from_arrays(model.name, arrays, rest, features)


def _pair(features: str) -> tuple[HotFeatures, TextEncoder | None]:
    return _hot(), _sentence() if features == "minilm" else None


@cache
def _hot() -> HotFeatures:
    return HotFeatures()


@cache
def _sentence() -> TextEncoder:
    from pointsman.predict.features.minilm import MiniLmEncoder

    return MiniLmEncoder()
