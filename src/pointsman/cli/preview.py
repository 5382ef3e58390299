"""What would be decided for a prompt, without running it: shared by `route` and `plot`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from pointsman.assign.asked import CHOOSE
from pointsman.assign.explain import EndpointFacts, explain
from pointsman.assign.explanation import Explanation
from pointsman.build import decider_of, edge_of, endpoints_of, predictor_of, read_config
from pointsman.clock import RealClock
from pointsman.config import Config
from pointsman.errors import BadRequest, NoEligibleEndpoint
from pointsman.predict.base import Predictor, quality_sources
from pointsman.predict.endpoint import ProfilePredictor
from pointsman.predict.model_profile import Provenance
from pointsman.types import (
    AUTO,
    Admission,
    Decision,
    Endpoint,
    EndpointView,
    Limits,
    Prompt,
    Request,
    Weights,
)

PromptText = Annotated[
    str | None, typer.Option("--prompt", metavar="TEXT", help="The prompt; `-` reads it from stdin.")
]
PromptFile = Annotated[Path | None, typer.Option("--prompt-file", help="Read the prompt from a file.")]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", "--max_tokens", min=1, help="The longest answer, in tokens.")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="A configuration; the embedded fleet by default.")
]
FitFile = Annotated[
    Path | None, typer.Option("--fit", help="What `pointsman fit` wrote; the configured one by default.")
]
AccuracyWeight = Annotated[
    float | None, typer.Option("--weight-accuracy", "--weight_accuracy", help="Weight of being right.")
]
EnergyWeight = Annotated[
    float | None, typer.Option("--weight-energy", "--weight_energy", help="Weight of joules.")
]
TimeWeight = Annotated[
    float | None, typer.Option("--weight-time", "--weight_time", help="Weight of seconds.")
]
PriceWeight = Annotated[
    float | None, typer.Option("--weight-price", "--weight_price", help="Weight of dollars.")
]
CarbonWeight = Annotated[
    float | None, typer.Option("--weight-carbon", "--weight_carbon", help="Weight of grams of CO2e.")
]

MinQuality = Annotated[
    float | None,
    typer.Option("--min-quality", "--min_quality", help="The least predicted probability of being right."),
]
MaxPriceUsd = Annotated[
    float | None, typer.Option("--max-price-usd", "--max_price_usd", help="The most dollars, as predicted.")
]
MaxEnergyJ = Annotated[
    float | None, typer.Option("--max-energy-j", "--max_energy_j", help="The most joules, as predicted.")
]

_WITHOUT_WEIGHTS = ("cascade", "cheapest", "constrained", "floor", "random", "single", "value")


@dataclass(frozen=True, slots=True)
class Preview:
    """A decision that was not carried out.

    Attributes:
        facts: by endpoint name, for `explain`.
    """

    config: Config
    endpoints: tuple[Endpoint, ...]
    request: Request
    decision: Decision
    facts: dict[str, EndpointFacts]

    def explanation(self) -> Explanation:
        """The decision in words."""
        return explain(self.decision, self.facts, self.config.costs.terms())


def preview(config: Config, request: Request) -> Preview:
    """Decide for a request on idle endpoints, with the configured policies.

    Raises: NoEligibleEndpoint where none can serve it; BadRequest for weights that can't be used.
    """
    endpoints = endpoints_of(config)
    _check_weights(request, config)
    inner, predictor = predictor_of(config, RealClock())
    idle = [EndpointView(e.name, 0, 0, e.max_concurrent, healthy=True) for e in endpoints]
    table = predictor.predict([request], [0] * len(endpoints))
    decision = decider_of(config).decide([request], table, idle, 0.0)[0].decision
    if decision.action is Admission.REFUSE and decision.score is None:
        raise NoEligibleEndpoint(decision.reason)
    return Preview(config, endpoints, request, decision, _facts(inner, predictor))


def _facts(inner: ProfilePredictor, predictor: Predictor) -> dict[str, EndpointFacts]:
    """Where the numbers are from; endpoints measured in one run share one sentence, their rows summed."""
    rows: Counter[Provenance] = Counter()
    for profile in inner.profiles:
        rows[replace(profile.provenance, rows=0)] += profile.provenance.rows
    learned = quality_sources(predictor)
    facts = {}
    for name, profile in zip(inner.endpoints, inner.profiles, strict=True):
        of_run = rows[replace(profile.provenance, rows=0)]
        origin = replace(profile.provenance, rows=of_run).sentence()
        facts[name] = EndpointFacts(profile.provenance.energy_modelled, origin, learned.get(name, ""))
    return facts


def configured(config_file: Path | None, fit_file: Path | None) -> Config:
    """The configuration, with another fit where one is named. Raises: ConfigError."""
    config = read_config(config_file)
    return config if fit_file is None else replace(config, fit=fit_file)


def given_weights(
    accuracy: float | None,
    energy: float | None,
    time: float | None,
    price: float | None,
    carbon: float | None,
) -> Weights | None:
    """The weights of the command line with sum 1; None where none was given.

    Raises: BadRequest if one is negative or not finite, or if all are 0.
    """
    given = (accuracy, energy, time, price, carbon)
    if all(weight is None for weight in given):
        return None
    return Weights(*(weight or 0.0 for weight in given)).normalised()


def given_limits(
    min_quality: float | None, max_price_usd: float | None, max_energy_j: float | None
) -> Limits | None:
    """The limits of the command line; None where none was given. Raises: BadRequest for one that can't be used."""
    limits = Limits(min_quality, max_price_usd, max_energy_j).checked()
    return None if limits == Limits() else limits


def read_prompt(text: str | None, file: Path | None) -> str:
    """The prompt of the command line.

    Raises: BadRequest if there is none or two, if it is empty, no UTF-8 or can't be read.
    """
    if (text is None) == (file is None):
        raise BadRequest(
            "a prompt is needed, once", remedy="Give --prompt TEXT, --prompt - or --prompt-file FILE"
        )
    if file is not None:
        try:
            prompt = _decoded(file.read_bytes(), str(file))
        except OSError as error:
            raise BadRequest(f"{file} can't be read: {error.strerror}", remedy="Check the path") from error
    elif text == "-":
        prompt = _decoded(sys.stdin.buffer.read(), "stdin")
    else:
        prompt = _decoded((text or "").encode(errors="surrogateescape"), "--prompt")
    if not prompt.strip():
        raise BadRequest("the prompt is empty", remedy="Give at least one character that is no space")
    return prompt


def prompt_request(
    prompt: str,
    max_tokens: int | None,
    weights: Weights | None,
    config: Config,
    model: str = AUTO,
    limits: Limits | None = None,
) -> Request:
    """The request as an OpenAI client would send it.

    Raises: BadRequest if it is longer than the configuration takes in, or for a `model` that nobody serves.
    """
    pinned, router = edge_of(config).read_model(model)
    body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    payload = json.dumps(body | ({"max_tokens": max_tokens} if max_tokens else {})).encode()
    limit = config.server.max_body_bytes
    if len(payload) > limit:
        raise BadRequest(
            f"the request has {len(payload):,} bytes, and the limit is {limit:,}",
            remedy="Shorten the prompt, or raise pointsman.server.max_body_bytes",
            param="prompt",
        )
    size = len(prompt.encode())
    return Request(
        "route",
        Prompt(prompt, total_bytes=size),
        max_tokens,
        model=pinned,
        weights=weights,
        limits=limits,
        router=router,
        payload=payload,
    )


def _decoded(raw: bytes, source: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(
            f"{source} is no UTF-8: byte {raw[error.start]:#04x} at position {error.start}",
            remedy="Save the prompt as UTF-8",
        ) from error


def _check_weights(request: Request, config: Config) -> None:
    weights, router = request.weights, request.router
    if weights is None:
        return
    policy = router.policy if router is not None and router.policy in CHOOSE else config.policy.name
    if policy in _WITHOUT_WEIGHTS:
        raise BadRequest(
            f"the policy {policy!r} reads no weights", remedy="Set policy: weighted, or give no weights"
        )
    if weights.carbon > 0 and config.energy.grid_gco2e_per_kwh is None:
        raise BadRequest(
            f"a weight of {weights.carbon:g} on carbon, but the grid's intensity is not known",
            remedy="Set energy: {grid_gco2e_per_kwh: ..., grid_source: ...} in a configuration",
        )
