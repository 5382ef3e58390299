"""A configuration as YAML again: every default made visible, every credential masked.

What is shown loads to an equal configuration, except where a credential stood in the file itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from pointsman.config.costs import ClassCosts
from pointsman.config.schema import Config, EndpointConfig, Settings
from pointsman.config.secret import Secret, mask_text, mask_url
from pointsman.config.stream_limits import NamedNumber
from pointsman.types import Api, Capabilities, Modality, Slo


def render_config(config: Config) -> str:
    """`config` as YAML in the shape it was read from. Credentials show as their variable, or masked."""
    shown = {
        "model_list": [_model(made) for made in config.endpoints],
        "pointsman": {
            field.name: _plain(field.name, getattr(config, field.name)) for field in fields(Settings)
        },
    }
    return str(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=110))


def _plain(name: str, value: Any) -> Any:
    """A setting as YAML's own types."""
    if isinstance(value, tuple) and name in _MAPS:
        return dict(map(_MAPS[name], value))
    if isinstance(value, Secret):
        return _secret(value)
    if is_dataclass(value):
        return {field.name: _plain(field.name, getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [_plain(name, item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str):
        return mask_url(value) if name == "url" else mask_text(value) if name == "command" else value
    return value


def _deadlines(slo: Slo) -> tuple[str, dict[str, float | None]]:
    return slo.service_class, {"ttft_s": slo.ttft_s, "tpot_s": slo.tpot_s, "e2e_s": slo.e2e_s}


def _penalties(own: ClassCosts) -> tuple[str, dict[str, float]]:
    return own.name, {"c_wrong": own.c_wrong, "c_miss": own.c_miss}


def _number(entry: NamedNumber) -> tuple[str, float]:
    return entry.name, entry.value


_MAPS: Final[Mapping[str, Callable[[Any], tuple[str, Any]]]] = {
    "service_classes": _deadlines,
    "classes": _penalties,
    "objective": _number,
    "min_quality_by_tenant": _number,
    "min_quality_by_class": _number,
    "max_share_requests": _number,
    "head_start_s": _number,
}
"""Settings that map names to something, and how an entry is shown."""


def _secret(value: Secret | None) -> str | None:
    return None if value is None else value.source or value.masked()


def _model(made: EndpointConfig) -> dict[str, Any]:
    endpoint = made.endpoint
    return {
        "model_name": endpoint.model,
        "litellm_params": {
            "model": f"{made.provider}/{endpoint.upstream_model}",
            "api_base": mask_url(made.base_url),
            "api_key": _secret(made.api_key),
            "timeout": made.timeouts.total_s,
            **_stream_timeout(made),
            "rpm": made.rpm,
            "tpm": made.tpm,
        },
        "model_info": {
            "id": endpoint.name,
            **_capabilities(endpoint.capabilities, made),
            "input_cost_per_token": endpoint.usd_per_input_token,
            "output_cost_per_token": endpoint.usd_per_output_token,
            "max_concurrent": endpoint.max_concurrent,
            "accuracy": made.accuracy,
            "accuracy_source": made.accuracy_source,
            "tags": list(made.tags),
            "profile": made.profile,
            "priority": None if made.priority is None else str(made.priority),
        },
    }


def _stream_timeout(made: EndpointConfig) -> dict[str, float]:
    """Shown where the two limits that it sets are one."""
    times = made.timeouts
    return {"stream_timeout": times.first_byte_s} if times.first_byte_s == times.between_chunks_s else {}


def _capabilities(able: Capabilities, made: EndpointConfig) -> dict[str, Any]:
    mode = None if len(able.apis) > 1 else "chat" if Api.CHAT in able.apis else "completion"
    return {
        "mode": None if made.provider == "text-completion-openai" else mode,
        "max_input_tokens": able.context_tokens,
        "max_output_tokens": able.max_output_tokens,
        "supports_vision": Modality.IMAGE in able.modalities,
        "supports_audio_input": Modality.AUDIO in able.modalities,
        "supports_function_calling": able.tools,
        "supports_response_schema": "json_schema" in able.response_formats,
        "supports_logprobs": able.logprobs,
        "max_n": able.max_n,
        "privacy": sorted(able.privacy),
    }
