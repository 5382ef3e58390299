"""The settings, their defaults and their limits.

`Settings` is the section `pointsman:` of the file; what LiteLLM calls `model_list` becomes
`Config.endpoints`. Everything is frozen: a changed configuration is another one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pointsman.config.admission import AdmissionConfig, check_admission
from pointsman.config.breaker import BreakerConfig, check_breaker
from pointsman.config.costs import CostsConfig
from pointsman.config.energy import METERS, EnergyConfig, read_energy
from pointsman.config.feedback import FeedbackConfig, read_feedback
from pointsman.config.order import OrderConfig, read_order
from pointsman.config.parse import (
    flag,
    integer,
    keyed,
    many,
    names,
    number,
    optional,
    path,
    required,
    section,
    setting,
    shorthand,
    text,
)
from pointsman.config.policy import PolicyConfig, check_policy
from pointsman.config.predictor import PredictorConfig, check_predictor
from pointsman.config.problem import Problem, listed
from pointsman.config.secret import Secret
from pointsman.config.tree import Node
from pointsman.engines.catalogue import lookup
from pointsman.engines.fleet_model import FleetModel
from pointsman.engines.priority import Telling
from pointsman.errors import BadRequest
from pointsman.types import BATCH, Endpoint, Slo


@dataclass(frozen=True, slots=True)
class NamedPart:
    """A setting that names a part: one of ours, or a plugin's under the entry-point group `pointsman.STAGE`.

    Attributes:
        path: where it stands in the section `pointsman:`; a list may stand there.
        key: of the name, where the setting is a map.
    """

    stage: str
    path: tuple[str, ...]
    built_in: tuple[str, ...]
    key: str = "name"


NAMED_PARTS: Final = (
    NamedPart("admit", ("admission",), ("always", "random", "threshold", "value")),
    NamedPart(
        "assign",
        ("policy",),
        ("cascade", "cheapest", "constrained", "floor", "random", "single", "value", "weighted"),
    ),
    NamedPart("order", ("order",), ("bounded", "edf", "fcfs", "ranked", "slack")),
    NamedPart("predict", ("predictor",), ("learned", "profile")),
    NamedPart("meter", ("energy", "meter"), METERS, "kind"),
    NamedPart("grade", ("feedback", "graders"), ()),
)

MAX_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class TimeoutsConfig:
    """Limits on an endpoint's silence; an endpoint's own `timeout` replaces `total_s`."""

    connect_s: float = setting(5.0, number(0, MAX_SECONDS, above=True), "seconds to open a connection")
    first_byte_s: float = setting(
        300.0, number(0, MAX_SECONDS, above=True), "seconds to the first byte of an answer"
    )
    between_chunks_s: float = setting(
        60.0, number(0, MAX_SECONDS, above=True), "longest silence within an answer, s"
    )
    total_s: float = setting(900.0, number(0, MAX_SECONDS, above=True), "seconds for a whole request")


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where the gateway listens and how much it takes in."""

    host: str = setting("127.0.0.1", text, "address to listen on; 0.0.0.0 opens it to the network")
    port: int = setting(8080, integer(0, 65535), "port to listen on; 0 takes any free one")
    max_body_bytes: int = setting(10 * 2**20, integer(1024, 2**30), "largest request body (10 MiB)")
    max_queue: int = setting(
        256, integer(0), "most requests that wait at one endpoint; more are refused (429)"
    )


def _check_fleet_model(model: FleetModelConfig, node: Node) -> Iterator[Problem]:
    if (model.weights is None) == (model.path is None):
        found = "neither `weights` nor `path`" if model.path is None else "both `weights` and `path`"
        yield node.problem(
            found, "Give one: a name that `pointsman fleet pull` knows, or the path of a GGUF file"
        )
        return
    try:
        if model.weights is not None:
            lookup(model.weights)
        FleetModel(model.name, Path(), model.port, model.threads, model.slots, model.context_tokens)
    except BadRequest as error:
        yield node.problem(error.message, error.remedy)


@dataclass(frozen=True, slots=True)
class FleetModelConfig:
    """A small model that Pointsman runs itself."""

    name: str = required(text, "the model name it answers to")
    weights: str | None = setting(
        None, optional(text), "weights that `pointsman fleet pull` knows by this name"
    )
    path: Path | None = setting(None, optional(path), "a GGUF file of your own")
    threads: int | None = setting(None, optional(integer(1)), "compute threads; null shares the cores evenly")
    slots: int = setting(4, integer(1), "requests it runs at once")
    context_tokens: int = setting(2048, integer(1), "prompt and answer of one request, tokens")
    port: int = setting(0, integer(0, 65535), "loopback port; 0 takes any free one")
    accuracy: float | None = setting(None, optional(number(0, 1)), "share of right answers, 0 to 1, if known")
    accuracy_source: str | None = setting(None, optional(text), "where that figure is from")
    profile: str | None = setting(
        None, optional(text), "its name in the fit file; null: its own name, or its weights'"
    )
    privacy: tuple[str, ...] = setting((), names, "privacy tags it satisfies")
    tags: tuple[str, ...] = setting((), names, "free tags")


def _fleet_models(node: Node) -> tuple[FleetModelConfig, ...]:
    models = many(section(FleetModelConfig, _check_fleet_model))(node)
    for index, model in enumerate(models):
        if model.name in {other.name for other in models[:index]}:
            place = (node.items or ())[index]
            raise place.refused(f"the name {model.name!r} stands twice", "Give each fleet model its own name")
    return models


@dataclass(frozen=True, slots=True)
class FleetConfig:
    """The embedded fleet: started and stopped with the gateway."""

    models: tuple[FleetModelConfig, ...] = setting((), _fleet_models, "the models to run; none by default")


@dataclass(frozen=True, slots=True)
class LogConfig:
    """The decision log."""

    path: Path | None = setting(
        None, optional(path), "SQLite file of decisions and outcomes; null: none is written"
    )
    store_prompts: bool = setting(False, flag, "keep prompts and answers in it")


@dataclass(frozen=True, slots=True)
class _Deadlines:
    """Deadlines of a service class, seconds from arrival."""

    ttft_s: float | None = setting(None, optional(number(0, above=True)), "to the first token")
    tpot_s: float | None = setting(None, optional(number(0, above=True)), "a token after the first")
    e2e_s: float | None = setting(None, optional(number(0, above=True)), "to the last byte")


def _service_class(name: str, node: Node) -> Slo:
    read = section(_Deadlines)(node)
    return Slo(name, read.ttft_s, read.tpot_s, read.e2e_s)


def _service_classes(node: Node) -> tuple[Slo, ...]:
    read = tuple(map(Slo, names(node))) if node.items is not None else keyed(_service_class)(node)
    return read if any(slo.service_class == "default" for slo in read) else (Slo(), *read)


@dataclass(frozen=True, slots=True)
class Settings:
    """The section `pointsman:`."""

    policy: PolicyConfig = setting(
        PolicyConfig(), shorthand("name", section(PolicyConfig, check_policy)), "where requests run"
    )
    fit: Path | None = setting(
        None,
        optional(path),
        "the artifact that `pointsman fit` wrote; null: the shipped fit of the embedded fleet",
    )
    fleet: FleetConfig = setting(
        FleetConfig(), section(FleetConfig), "small models that Pointsman runs itself"
    )
    server: ServerConfig = setting(ServerConfig(), section(ServerConfig), "the gateway's address and limits")
    timeouts: TimeoutsConfig = setting(
        TimeoutsConfig(), section(TimeoutsConfig), "limits on an endpoint's silence"
    )
    breaker: BreakerConfig = setting(
        BreakerConfig(), section(BreakerConfig, check_breaker), "when an endpoint that fails is left alone"
    )
    log: LogConfig = setting(LogConfig(), section(LogConfig), "the decision log")
    feedback: FeedbackConfig = setting(
        FeedbackConfig(), read_feedback, "what is learnt of answers after they were given"
    )
    energy: EnergyConfig = setting(EnergyConfig(), read_energy, "meter and grid")
    admission: AdmissionConfig = setting(
        AdmissionConfig(),
        shorthand("name", section(AdmissionConfig, check_admission)),
        "whether requests run",
    )
    costs: CostsConfig = setting(
        CostsConfig(), section(CostsConfig), "what a run, a wrong answer and a missed one cost"
    )
    order: OrderConfig = setting(OrderConfig(), read_order, "when requests run")
    predictor: PredictorConfig = setting(
        PredictorConfig(),
        shorthand("name", section(PredictorConfig, check_predictor)),
        "what is expected of a request",
    )
    service_classes: tuple[Slo, ...] = setting(
        (Slo(),), _service_classes, "classes and their deadlines, by name"
    )
    tenants: tuple[str, ...] = setting(("default",), names, "who may be named as a request's tenant")


def check_settings(settings: Settings, node: Node) -> Iterable[Problem]:
    """What is wrong between sections."""
    if settings.policy.weights.carbon > 0 and settings.energy.grid_gco2e_per_kwh is None:
        yield node.problem(
            "a weight on carbon without a grid intensity",
            "Add `energy: {grid_gco2e_per_kwh: ..., grid_source: ...}`, or set the weight to 0",
        )
    if settings.feedback.graders and settings.log.path is None:
        yield node.problem(
            "graders without a decision log, which their labels join", "Add `log: {path: ...}`"
        )
    if settings.predictor.grow is not None and settings.log.path is None:
        yield node.problem("a predictor that grows without a decision log", "Add `log: {path: ...}`")
    known = {BATCH, *(slo.service_class for slo in settings.service_classes)}
    yield from _unknown_groups(settings, node, known)
    costs = (node.entries or {}).get("costs")
    classes = ((costs and costs.entries) or {}).get("classes", node)
    for own in settings.costs.classes:
        if own.name not in known:
            yield classes.key_problem(
                own.name, "no service class", f"Add it to `service_classes:`; there are {listed(known)}"
            )


def _unknown_groups(settings: Settings, node: Node, classes: Collection[str]) -> Iterator[Problem]:
    """Settings for tenants and service classes that are not configured."""
    limits = settings.policy.limits
    for key, entries, known, where in (
        ("order.head_start_s", settings.order.head_start_s, classes, "service_classes"),
        ("policy.limits.min_quality_by_tenant", limits.min_quality_by_tenant, settings.tenants, "tenants"),
        ("policy.limits.min_quality_by_class", limits.min_quality_by_class, classes, "service_classes"),
    ):
        for entry in entries:
            if entry.name not in known:
                yield node.problem(
                    f"{key} names {entry.name!r}, which is not in `{where}`",
                    f"Add it to `{where}:`; there are {listed(known)}",
                )


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """An endpoint of `model_list`, as far as a configuration knows it.

    Attributes:
        endpoint: name, model, upstream name, capacity, prices, capabilities.
        base_url: with the version, e.g. `http://127.0.0.1:8000/v1`; not shown by repr.
        provider: LiteLLM's word for what speaks there.
        api_key: None where the server asks for none.
        timeouts: the file's, with this endpoint's own.
        rpm, tpm: declared limits a minute; None if none.
        engine: `openai`, or a plugin's name under the entry-point group `pointsman.engine`.
        accuracy: share of right answers in [0, 1], from `accuracy_source`; None if not declared.
        tags: free tags.
        profile: its name in the fit file; None: the endpoint's name.
        priority: how the server is told of the queue's order, a word of `engines.priority.Telling`; None: not at all.
    """

    endpoint: Endpoint
    base_url: str = field(repr=False)
    provider: str
    api_key: Secret | None = None
    timeouts: TimeoutsConfig = field(default_factory=TimeoutsConfig)
    rpm: int | None = None
    tpm: int | None = None
    engine: str = "openai"
    accuracy: float | None = None
    accuracy_source: str | None = None
    tags: tuple[str, ...] = ()
    profile: str | None = None
    priority: Telling | None = None


@dataclass(frozen=True, slots=True)
class Config(Settings):
    """A whole configuration: the settings, the endpoints, and what the reader should know.

    Attributes:
        endpoints: of `model_list`, in the file's order; names are unique, those of the fleet included.
        warnings: what was read but is not used.
        file: where it came from.
    """

    endpoints: tuple[EndpointConfig, ...] = ()
    warnings: tuple[Problem, ...] = field(default=(), compare=False)
    file: Path = field(default=Path("config.yaml"), compare=False)
