"""A `CostCurve` as JSON and back."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from pointsman.errors import DataError
from pointsman.predict.base import CostModel
from pointsman.predict.cost import OlsCost, ShapeCost
from pointsman.predict.json_reader import REMEDY, Reader
from pointsman.predict.model_profile import CostCurve, LoadFactors, Spread
from pointsman.predict.refined import RefinedCost

_LEAST_FLOOR: Final = 1e-12


def curve_to_json(curve: CostCurve) -> dict[str, Any]:
    """Plain values only; a spread that was not measured (NaN) is null."""
    model = curve.model
    document: dict[str, Any] = {
        "kind": model.name,
        "coefficients": [float(value) for value in model.coefficients],
        "terms": list(model.terms),
        "floor": curve.floor,
        "load": {
            "concurrency": list(curve.load.concurrency),
            "input_side": list(curve.load.input_side),
            "output_side": list(curve.load.output_side),
            "grows": curve.load.grows,
        },
        "spread": None,
    }
    if isinstance(model, OlsCost | ShapeCost | RefinedCost):
        document["unidentified"] = list(model.unidentified)
    if isinstance(model, RefinedCost):
        for name, axis in zip(("knots_log2_in", "knots_log2_out"), model.knots.T, strict=True):
            document[name] = [float(value) for value in axis]
        document["knot_weights"] = [float(value) for value in model.knot_weights]
    if all(math.isfinite(width) for width in curve.spread.below):
        document["spread"] = {
            "concurrency": list(curve.spread.concurrency),
            "below": list(curve.spread.below),
            "above": list(curve.spread.above),
            "scale_below": curve.spread.scale_below,
            "scale_above": curve.spread.scale_above,
        }
    return document


def curve_from_json(reader: Reader) -> CostCurve:
    """Raises DataError with the place of the first wrong value."""
    model = _model_from_json(reader)
    load = reader.child("load")
    levels = tuple(int(level) for level in load.numbers("concurrency", low=1.0))
    factors = LoadFactors(
        levels,
        load.numbers("input_side", len(levels), 0.0),
        load.numbers("output_side", len(levels), 0.0),
        load.flag("grows"),
    )
    load.end()
    spread = Spread()
    part = reader.child_or_none("spread")
    if part is not None:
        at = tuple(int(level) for level in part.numbers("concurrency", low=1.0))
        spread = Spread(
            at,
            part.numbers("below", len(at), 0.0),
            part.numbers("above", len(at), 0.0),
            part.number("scale_below", 0.0),
            part.number("scale_above", 0.0),
        )
        part.end()
    curve = CostCurve(model, reader.number("floor", _LEAST_FLOOR), factors, spread)
    reader.end()
    return curve


def _model_from_json(reader: Reader) -> CostModel:
    kind = reader.text("kind")
    kinds: dict[str, type[OlsCost | ShapeCost | RefinedCost]] = {
        each.name: each for each in (OlsCost, ShapeCost, RefinedCost)
    }
    if kind not in kinds:
        raise DataError(
            f"{reader.place}: cost model {kind!r} is not known", remedy=f"One of {', '.join(kinds)}"
        )
    chosen = kinds[kind]
    terms = reader.take("terms")
    if terms != list(chosen.terms):
        raise DataError(
            f"{reader.place}: cost model {kind} has the terms {terms}, not {list(chosen.terms)}",
            remedy=REMEDY,
        )
    least = -math.inf if chosen is OlsCost else 0.0
    coefficients = np.array(reader.numbers("coefficients", len(terms), least))
    unidentified = reader.texts("unidentified")
    if chosen is not RefinedCost:
        return chosen(coefficients, unidentified=unidentified)
    weights = np.array(reader.numbers("knot_weights"))
    knots = [reader.numbers(name, len(weights)) for name in ("knots_log2_in", "knots_log2_out")]
    return RefinedCost(coefficients, np.array(knots).T, weights, unidentified)
