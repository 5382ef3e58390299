"""A `ModelProfile` as JSON and back, each value checked with its place in the file."""

from __future__ import annotations

from typing import Any

from pointsman.errors import DataError
from pointsman.predict.curve_codec import curve_from_json, curve_to_json
from pointsman.predict.json_reader import REMEDY, Reader
from pointsman.predict.length import QUANTILES, LengthModel, LinearLength, TaskMeanLength
from pointsman.predict.model_profile import ModelProfile, Provenance, QualityPrior, TokenCount


def profile_to_json(profile: ModelProfile) -> dict[str, Any]:
    """Plain values only."""
    origin = profile.provenance
    return {
        "endpoint": profile.endpoint,
        "tokens": {"per_byte": profile.tokens.per_byte, "template_tokens": profile.tokens.template_tokens},
        "length": _length_to_json(profile.length),
        "time_s": curve_to_json(profile.time),
        "energy_j": curve_to_json(profile.energy),
        "quality": {
            task: {"mean": prior.mean, "low": prior.low, "high": prior.high, "n": prior.n}
            for task, prior in profile.quality.items()
        },
        "provenance": {name: getattr(origin, name) for name in Provenance.__dataclass_fields__},
    }


def profile_from_json(reader: Reader) -> ModelProfile:
    """Raises DataError with the place of the first wrong value."""
    tokens, quality, origin = reader.child("tokens"), reader.child("quality"), reader.child("provenance")
    profile = ModelProfile(
        reader.text("endpoint"),
        TokenCount(tokens.number("per_byte", 0.0), tokens.number("template_tokens")),
        _length_from_json(reader.child("length")),
        curve_from_json(reader.child("time_s")),
        curve_from_json(reader.child("energy_j")),
        {task: _prior_from_json(quality.child(task)) for task in quality.names()},
        Provenance(
            origin.text("source"),
            origin.text("hardware"),
            origin.text("meter"),
            origin.flag("energy_modelled"),
            origin.whole("rows"),
            origin.text("measured_on"),
        ),
    )
    if "" not in profile.quality:
        quality.take("")
    for part in (tokens, origin, reader):
        part.end()
    return profile


def _prior_from_json(reader: Reader) -> QualityPrior:
    low, high = reader.number("low", 0.0, 1.0), reader.number("high", 0.0, 1.0)
    prior = QualityPrior(reader.number("mean", 0.0, 1.0), low, high, reader.whole("n"))
    reader.end()
    return prior


def _length_to_json(model: LengthModel) -> dict[str, Any]:
    if isinstance(model, LinearLength):
        return {
            "kind": model.name,
            "slope": model.slope,
            "intercept_tokens": model.intercept_tokens,
            "ratios": list(model.ratios),
        }
    tasks = {
        task: {"quantiles_tokens": list(curve), "n": model.rows[task]} for task, curve in model.curves.items()
    }
    return {"kind": model.name, "tasks": tasks}


def _length_from_json(reader: Reader) -> LengthModel:
    kind = reader.text("kind")
    model: LengthModel
    if kind == LinearLength.name:
        model = LinearLength(
            reader.number("slope"),
            reader.number("intercept_tokens"),
            reader.numbers("ratios", QUANTILES, 0.0),
        )
    elif kind == TaskMeanLength.name:
        tasks = reader.child("tasks")
        parts = {task: tasks.child(task) for task in tasks.names()}
        if "" not in parts:
            tasks.take("")
        model = TaskMeanLength(
            {task: part.numbers("quantiles_tokens", QUANTILES, 0.0) for task, part in parts.items()},
            {task: part.whole("n") for task, part in parts.items()},
        )
    else:
        raise DataError(f"{reader.place}: length model {kind!r} is not known", remedy=REMEDY)
    reader.end()
    return model
