"""Lengths learnt from texts, as one object and its artifact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import BadRequest, DataError
from pointsman.predict.length.curves import QUANTILES
from pointsman.predict.length.design import LengthDesign, ScoreWeights
from pointsman.predict.length.grams import BUCKETS, VERSION
from pointsman.predict.length.heads import LengthHeads, features_of
from pointsman.predict.quality.base import Queries, arrays_under
from pointsman.predict.quality.bundle import Bundle
from pointsman.predict.quality.kinds import SLOW, encoders_of
from pointsman.types import Floats

FORMAT: Final = "pointsman-length"
REMEDY: Final = "Make it again with: pointsman train --target length"
_TRIAL: Final = ("", "List 17 uses of a brick.\n\nBe brief.", "\N{GREEK SMALL LETTER LAMDA}x. x\x00")


@dataclass(frozen=True, slots=True)
class LearnedLengths:
    """How long each endpoint's answer to a text will be.

    Attributes:
        endpoints: the columns of a forecast.
        features: what is read, one of `kinds.FEATURES`.
        design, score, heads: fitted.
        about: where it came from, as JSON can hold it: data, settings, held-out measures.
    """

    endpoints: tuple[str, ...]
    features: str
    design: LengthDesign
    score: ScoreWeights
    heads: LengthHeads
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def slow(self) -> bool:
        """Whether a forecast of one text takes milliseconds."""
        return any(encoder.name in SLOW for encoder in encoders_of(self.features))

    def scores(self, queries: Queries) -> Floats:
        """One rank score a text, whatever the endpoint: the higher, the longer; shape (R,)."""
        made: Floats = self.score.scores(self.design.rows(queries))[:, 0].astype(np.float64)
        return made

    def forecast(self, queries: Queries) -> Floats:
        """Quantiles of the tokens of an answer without a cap, at `LEVELS`, shape (R, E, QUANTILES), rising.

        A text alone gives what it gives in any batch. Cost: some .3 ms a text of 100 words.
        """
        rows = self.design.rows(queries)
        return self.heads.curves(features_of(self.score.scores(rows)[:, 0], rows.dense))

    def sentence(self, endpoint: str) -> str:
        """Where its lengths for an endpoint are from, for explanations."""
        labels = self.about.get("labels", {}).get(endpoint)
        tau = self.about.get("held_out", {}).get("tau_within")
        from_labels = "" if labels is None else f" from {labels:,} answers"
        return f"length learnt{from_labels}" + ("" if tau is None else f", held-out Kendall's tau {tau:.2f}")

    def write(self, path: Path, about: Mapping[str, Any] | None = None) -> None:
        """Write the artifact; see `Bundle.write`. `about` is added to what it says of itself."""
        of_heads, rest = self.heads.to_arrays()
        arrays: dict[str, NDArray[Any]] = {"design/mean": self.design.mean, "design/scale": self.design.scale}
        arrays |= {f"score/{name}": array for name, array in self.score.to_arrays().items()}
        arrays |= {f"heads/{name}": array for name, array in of_heads.items()}
        document = {
            "endpoints": list(self.endpoints),
            "features": self.features,
            "reads": _reads(self.features),
            "heads": rest,
        }
        Bundle(dict(self.about) | dict(about or {}), document, arrays, FORMAT).write(path)

    @classmethod
    def read(cls, path: Path) -> LearnedLengths:
        """What was written there, tried on a few texts.

        Raises: DataError if it is altered, of another version, fitted with other features, or gives no usable
        forecast; MissingError if its features need an extra.
        """
        bundle = Bundle.read(path, FORMAT)
        try:
            made = _assembled(bundle)
            with np.errstate(all="ignore"):  # what is not finite is found below
                fault = _fault_of(made.forecast(Queries.without_task(_TRIAL)), len(made.endpoints))
        except (BadRequest, DataError) as error:
            raise DataError(f"{path} holds no usable lengths: {error.message}", remedy=REMEDY) from error
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise DataError(
                f"{path} holds no usable lengths: {type(error).__name__}: {error}", remedy=REMEDY
            ) from error
        if fault is not None:
            raise DataError(f"{path} holds no usable lengths: {fault}", remedy=REMEDY)
        return made


def design_parts(features: str) -> tuple[Any, Any]:
    """The cheap features, and the sentence encoder or None."""
    hot, *rest = encoders_of(features)
    return hot, rest[0] if rest else None


def _assembled(bundle: Bundle) -> LearnedLengths:
    document = bundle.model
    features = document["features"]
    if document["reads"] != _reads(features):
        raise DataError(f"fitted with other features {features!r} than this Pointsman has")
    hot, encoder = design_parts(features)
    design = arrays_under(bundle.arrays, "design/")
    score = ScoreWeights.from_arrays(arrays_under(bundle.arrays, "score/"))
    if score.buckets.shape != (BUCKETS, 1):
        raise ValueError(f"weights of the shape {score.buckets.shape}, not {(BUCKETS, 1)}")
    return LearnedLengths(
        tuple(map(str, document["endpoints"])),
        features,
        LengthDesign(hot, encoder, design["mean"], design["scale"]),
        score,
        LengthHeads.from_arrays(arrays_under(bundle.arrays, "heads/"), document["heads"]),
        bundle.about,
    )


def _reads(features: str) -> dict[str, str]:
    return {encoder.name: encoder.fingerprint() for encoder in encoders_of(features)} | {
        "grams": f"{VERSION}/{BUCKETS}"
    }


def _fault_of(curves: Floats, n_endpoints: int) -> str | None:
    """What is wrong with the forecast of the trial texts, or None."""
    shape = (len(_TRIAL), n_endpoints, QUANTILES)
    if curves.shape != shape:
        return f"forecast lengths have the shape {curves.shape}, not {shape}"
    if not (np.isfinite(curves).all() and (curves >= 0).all() and (np.diff(curves, axis=-1) >= 0).all()):
        return "forecast lengths are negative, infinite or fall"
    return None
