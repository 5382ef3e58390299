"""From the entries of `model_list` to endpoints: address, key, capacity, prices, capabilities, names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pointsman.config.entries import Entry, EntryReader, Info, Params
from pointsman.config.parse import attempt, secret
from pointsman.config.problem import Problem, Refused
from pointsman.config.providers import PROVIDERS, Provider, split_model
from pointsman.config.schema import EndpointConfig, TimeoutsConfig
from pointsman.config.secret import Secret
from pointsman.config.tree import Node
from pointsman.engines.priority import Telling
from pointsman.types import Api, Capabilities, Endpoint, Modality


def read_models(
    node: Node, env: Mapping[str, str], timeouts: TimeoutsConfig
) -> tuple[tuple[EndpointConfig, ...], list[Problem]]:
    """Read `model_list`.

    Args:
        node: the list.
        env: the environment for `os.environ/NAME` and the providers' usual variables.
        timeouts: what holds where an endpoint says nothing.

    Returns: the endpoints in order, with unique names, and warnings.
    Raises: Refused, with the problems of all entries.
    """
    problems: list[Problem] = []
    reader = EntryReader(env)
    entries = reader.read(node, problems)
    problems += _same_ids(entries)
    made = []
    for entry, name in zip(entries, _endpoint_names(entries), strict=True):
        endpoint = attempt(
            problems, lambda named: _endpoint(*named, env=env, timeouts=timeouts), (entry, name)
        )
        if endpoint is not None:
            made.append(endpoint)
            reader.warnings += _warnings(entry, endpoint)
    if problems:
        raise Refused(problems)
    return tuple(made), reader.warnings


def _endpoint(entry: Entry, name: str, env: Mapping[str, str], timeouts: TimeoutsConfig) -> EndpointConfig:
    params, info = entry.params, entry.info
    has_base = bool(params.api_base or params.base_url)
    word, upstream = split_model(params.model, params.custom_llm_provider, has_api_base=has_base)
    provider = PROVIDERS[word]
    base_url = _base_url(params, provider, entry.node)
    usd_per_input_token, usd_per_output_token = _prices(params, info)
    default = Endpoint(name, entry.model_name)
    return EndpointConfig(
        endpoint=replace(
            default,
            upstream_model=upstream,
            max_concurrent=info.max_concurrent or params.max_parallel_requests or default.max_concurrent,
            usd_per_input_token=usd_per_input_token or 0.0,
            usd_per_output_token=usd_per_output_token or 0.0,
            capabilities=_capabilities(info, provider),
        ),
        base_url=base_url,
        provider=word,
        api_key=_api_key(entry, provider, base_url, env),
        timeouts=_timeouts(timeouts, params),
        rpm=params.rpm,
        tpm=params.tpm,
        engine=info.engine,
        accuracy=info.accuracy,
        accuracy_source=info.accuracy_source,
        tags=info.tags,
        profile=info.profile,
        priority=None if info.priority is None else Telling(info.priority),
    )


def _base_url(params: Params, provider: Provider, place: Node) -> str:
    base_url = params.api_base or params.base_url or provider.base_url or ""
    if "?" in base_url:
        raise place.refused("api_base has a query (?...)", "Put the key in `api_key:`")
    return f"{base_url}/v1" if provider.adds_v1 and not base_url.endswith("/v1") else base_url


def _api_key(entry: Entry, provider: Provider, base_url: str, env: Mapping[str, str]) -> Secret | None:
    """The declared key; else, at the provider's own address only, the one in its usual variable."""
    variable = provider.key_variable
    if entry.params.api_key is not None or variable is None or base_url != provider.base_url:
        return entry.params.api_key
    value = env.get(variable, "")
    if not value.strip():
        message = f"no api_key, and the environment variable {variable} is not set"
        raise entry.node.refused(message, f"Export {variable}, or add `api_key: os.environ/NAME`")
    return secret(replace(entry.node, text=value, entries=None, origin=variable))


def _prices(params: Params, info: Info) -> tuple[float | None, float | None]:
    """Dollars a prompt token and a generated one; `litellm_params` wins, as with LiteLLM."""
    read, known = params.input_cost_per_token, params.output_cost_per_token
    return (
        info.input_cost_per_token if read is None else read,
        info.output_cost_per_token if known is None else known,
    )


def _capabilities(info: Info, provider: Provider) -> Capabilities:
    default = Capabilities()
    modalities = {Modality.TEXT}
    if info.supports_vision:
        modalities.add(Modality.IMAGE)
    if info.supports_audio_input:
        modalities.add(Modality.AUDIO)
    without = {"json_schema"} if info.supports_response_schema is False else set()
    apis = default.apis
    if info.mode is not None:
        apis = frozenset({Api.CHAT if info.mode == "chat" else Api.COMPLETIONS})
    return Capabilities(
        context_tokens=info.max_input_tokens,
        max_output_tokens=info.max_output_tokens or info.max_tokens,
        modalities=frozenset(modalities),
        tools=info.supports_function_calling is not False,
        response_formats=default.response_formats - without,
        logprobs=info.supports_logprobs is not False,
        max_n=info.max_n or default.max_n,
        privacy=frozenset(info.privacy),
        apis=frozenset({Api.COMPLETIONS}) if provider.completions_only else apis,
    )


def _timeouts(default: TimeoutsConfig, params: Params) -> TimeoutsConfig:
    silence_s = params.stream_timeout
    return replace(
        default,
        first_byte_s=default.first_byte_s if silence_s is None else silence_s,
        between_chunks_s=default.between_chunks_s if silence_s is None else silence_s,
        total_s=default.total_s if params.timeout is None else params.timeout,
    )


def _warnings(entry: Entry, made: EndpointConfig) -> Iterator[Problem]:
    if made.rpm is not None or made.tpm is not None:
        yield entry.node.problem("rpm and tpm are read but not enforced yet", "Limit it by max_concurrent")
    hosted = PROVIDERS[made.provider]
    if (
        hosted.key_variable
        and made.base_url == hosted.base_url
        and _prices(entry.params, entry.info) == (None, None)
    ):
        yield entry.node.problem("no price is declared, so it counts as 0", "Add input_cost_per_token")


def _same_ids(entries: list[Entry]) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for entry in entries:
        if entry.info.id is None:
            continue
        if entry.info.id in seen:
            message = (
                f"the id {entry.info.id!r} stands twice, first in the entry of line {seen[entry.info.id]}"
            )
            yield entry.node.problem(message, "Give each deployment its own id, or none")
        seen.setdefault(entry.info.id, entry.node.line)


def _endpoint_names(entries: list[Entry]) -> list[str]:
    """Unique names: the id, else the model name, with #2, #3, ... for its further deployments."""
    taken = {entry.info.id for entry in entries}
    counts: dict[str, int] = {}
    found = []
    for entry in entries:
        name = entry.info.id or entry.model_name
        while entry.info.id is None and name in taken:
            counts[entry.model_name] = counts.get(entry.model_name, 1) + 1
            name = f"{entry.model_name}#{counts[entry.model_name]}"
        taken.add(name)
        found.append(name)
    return found
