"""Predictors from fits, declared figures and the grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

from pointsman.build.plugins import plugin
from pointsman.build.source import endpoints_of, shipped
from pointsman.clock import Clock
from pointsman.config import Config
from pointsman.errors import ConfigError, DataError
from pointsman.live.grid import GridPredictor
from pointsman.live.growth import check_growing
from pointsman.meters.carbon import GridIntensity
from pointsman.predict.artifact import FitArtifact
from pointsman.predict.base import Predictor
from pointsman.predict.endpoint import ProfilePredictor
from pointsman.predict.learned import LearnedPredictor
from pointsman.predict.length.columns import EndpointLengths
from pointsman.predict.length.learned import LearnedLengths
from pointsman.predict.model_profile import QualityPrior, default_profile
from pointsman.predict.quality.held_out_rows import HeldOutRows
from pointsman.predict.quality.learned_model import LearnedModel
from pointsman.types import Endpoint

SHIPPED_FIT: Final = "fleet_fit.json"


def artifact_of(config: Config) -> FitArtifact | None:
    """The fit of the configuration, else the shipped one of the embedded fleet, with what is declared.

    A declared accuracy replaces a measured one: the caller's task counts, not ours. An endpoint's
    `profile` names whose curves it has; without one those of its name, its model, or what its server runs
    (of a fleet model: its weights). Raises: ConfigError, DataError.
    """
    fitted = FitArtifact.read(config.fit or shipped(SHIPPED_FIT))
    declared = [
        (model.name, model.profile, model.accuracy, model.accuracy_source) for model in config.fleet.models
    ]
    declared += [
        (made.endpoint.name, made.profile, made.accuracy, made.accuracy_source) for made in config.endpoints
    ]
    served = {each.name: (each.name, each.model, each.upstream_model) for each in endpoints_of(config)}
    profiles = []
    for name, profile, accuracy, source in declared:
        names = (profile,) if profile else served[name]
        found = next((own for known in names if (own := fitted.find(known)) is not None), None)
        if profile and found is None:
            raise ConfigError(
                f"endpoint {name} names profile {profile!r}, which the fit does not hold",
                remedy=f"It holds {', '.join(p.endpoint for p in fitted.profiles)}",
            )
        known = replace(found or default_profile(name), endpoint=name)
        if accuracy is not None:
            why = f"accuracy declared{f' ({source})' if source else ''}"
            known = replace(
                known,
                quality={"": QualityPrior(accuracy, accuracy, accuracy)},
                provenance=replace(known.provenance, source=f"{known.provenance.source}; {why}"),
            )
        profiles.append(known)
    return replace(fitted, profiles=tuple(profiles)) if profiles else None


def predictor_of(config: Config, clock: Clock) -> tuple[ProfilePredictor, Predictor]:
    """The predictor by profiles, and the one to ask: the same, a learned one over it, or a plugin.

    Where a grid is configured, the one to ask looks its hour up first. Raises: ConfigError, DataError,
    MissingError.
    """
    endpoints = endpoints_of(config)
    inner = ProfilePredictor(endpoints, artifact_of(config), lengths=_lengths(config, endpoints))
    match config.predictor.name:
        case inner.name:
            asked: Predictor = inner
        case LearnedPredictor.name:
            asked = _learned(config, endpoints, inner)
        case name:
            return inner, cast(Predictor, plugin("predict", name)(config, endpoints))
    grid = config.energy.grid_gco2e_per_kwh
    if grid is None:
        return inner, asked
    source = config.energy.grid_source or ""
    intensity = (
        GridIntensity.from_csv(grid, source=source)
        if isinstance(grid, Path)
        else GridIntensity.constant(grid, source=source)
    )
    return inner, GridPredictor(asked, inner, intensity, clock)


def held_out_of(config: Config, predictor: Predictor) -> HeldOutRows:
    """What the learned predictor's fit held out, with a column for each endpoint.

    Raises: ConfigError where the predictor is not learned, DataError where its artifact keeps nothing held out;
    BadRequest for an endpoint that was not learnt.
    """
    learned = predictor.asked if isinstance(predictor, GridPredictor) else predictor
    if not isinstance(learned, LearnedPredictor) or config.predictor.artifact is None:
        raise ConfigError(
            f"a confidence needs forecasts of prompts that were held out, and the predictor {predictor.name!r} has none",
            remedy="Train one with: pointsman train; and set predictor: {name: learned, artifact: FOLDER}",
        )
    return learned.matched(HeldOutRows.read(config.predictor.artifact))


def _lengths(config: Config, endpoints: Sequence[Endpoint]) -> EndpointLengths | None:
    folder = config.predictor.lengths
    if folder is None:
        return None
    try:
        return EndpointLengths(endpoints, LearnedLengths.read(folder))
    except DataError as error:
        raise ConfigError(
            f"{config.file}: pointsman.predictor.lengths: {error.message}", remedy=error.remedy
        ) from error


def _learned(config: Config, endpoints: Sequence[Endpoint], profiles: ProfilePredictor) -> LearnedPredictor:
    artifact = config.predictor.artifact
    if artifact is None:
        raise ConfigError(
            f"{config.file} names no artifact", remedy="Set predictor: {name: learned, artifact: FOLDER}"
        )
    try:
        model = LearnedModel.read(artifact)
        if config.predictor.grow is not None:
            check_growing(model)
        return LearnedPredictor(endpoints, profiles, model)
    except DataError as error:
        raise ConfigError(
            f"{config.file}: pointsman.predictor.artifact: {error.message}", remedy=error.remedy
        ) from error
