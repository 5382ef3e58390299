"""The quality models and the features by their names: fitted, and read back from an artifact."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from numpy.typing import NDArray

from pointsman.errors import BadRequest, DataError
from pointsman.predict.features.base import TextEncoder
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import QualityModel, Queries
from pointsman.predict.quality.knn import KnnQuality
from pointsman.predict.quality.prior import PriorQuality

MODELS: Final = ("blend", "trained", "knn", "prior")
FEATURES: Final = ("hot", "minilm")
"""`hot`: surface, hashed words and the static embedding; `minilm`: those and a sentence embedding."""


SLOW: Final = frozenset({"minilm"})
"""Encoders that take milliseconds a text."""


@cache
def encoders_of(features: str) -> tuple[TextEncoder, ...]:
    """The encoders of some features, made once. Raises: BadRequest, MissingError."""
    match features:
        case "none":
            return ()
        case "hot":
            from pointsman.predict.features.hot import HotFeatures

            return (HotFeatures(),)
        case "minilm":
            from pointsman.predict.features.minilm import MiniLmEncoder

            return (*encoders_of("hot"), MiniLmEncoder())
    raise BadRequest(f"there are no features {features!r}", remedy=f"There are {', '.join(FEATURES)}")


def fit_model(kind: str, matrix: OutcomeMatrix, queries: Queries, features: str, seed: int) -> QualityModel:
    """Fit one of `MODELS`; `queries` are those of the matrix, with what is encoded of them."""
    seen = OutcomeMatrix(
        matrix.query_ids,
        matrix.prompts,
        tuple(queries.tasks),
        matrix.endpoints,
        matrix.quality,
        matrix.output_tokens,
    )
    match kind:
        case "prior":
            return PriorQuality.fit(seen)
        case "knn":
            encoder = encoders_of(features)[-1]
            return KnnQuality.fit(seen, encoder, encoding=queries.encoded(encoder), seed=seed)
    raise BadRequest(f"there is no model {kind!r}", remedy=f"There are {', '.join(MODELS)}")


def model_from_arrays(
    kind: str, arrays: Mapping[str, NDArray[Any]], rest: Mapping[str, Any], features: str
) -> QualityModel:
    """What `to_arrays` gave."""
    match kind:
        case "prior":
            return PriorQuality.from_arrays(arrays, rest)
        case "knn":
            return KnnQuality.from_arrays(arrays, rest, encoders_of(features)[-1])
    raise DataError(f"there is no model {kind!r}", remedy="Train it again, with this version")


def as_kept(model: QualityModel, features: str) -> QualityModel:
    """The model as an artifact will give it back, so that both say the same to the last bit."""
    arrays, rest = model.to_arrays()
    return model_from_arrays(model.name, arrays, rest, features)
