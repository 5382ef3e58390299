"""LiteLLM's `model_list`, read as it is.

What Pointsman uses is declared below as settings; other keys that LiteLLM knows are read over and named in
a warning, probable misspellings are refused. Entries it has no use for (embeddings, images, wildcards) are
left out with a warning, so that an existing file loads unchanged.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Final

from pointsman.config import litellm_keys as litellm
from pointsman.config.environment import attempt_resolved
from pointsman.config.parse import (
    attempt,
    flag,
    integer,
    names,
    number,
    one_of,
    optional,
    required,
    secret,
    section,
    setting,
    text,
    url,
)
from pointsman.config.problem import Problem, Refused, closest
from pointsman.config.providers import provider_problems
from pointsman.config.schema import MAX_SECONDS
from pointsman.config.secret import Secret, mask_text
from pointsman.config.tree import Node
from pointsman.engines.priority import Telling
from pointsman.types import AUTO

_PARTS: Final = ("model_name", "litellm_params", "model_info")
_REAL_TYPO: Final = 0.9
"""Similarity from which a key of one of LiteLLM's families is taken for a misspelt key that is used."""


_PRICE = optional(number(0, 1))
_SECONDS = optional(number(0, MAX_SECONDS, above=True))
_COUNT = optional(integer(1))


@dataclass(frozen=True, slots=True)
class Params:
    """What is used of `litellm_params`. Any value may be `os.environ/NAME`."""

    model: str = required(text, "provider and name, e.g. openai/gpt-4o or hosted_vllm/qwen3-8b")
    api_base: str | None = setting(None, optional(url), "the server's address, with /v1")
    base_url: str | None = setting(None, optional(url), "another word for api_base")
    api_key: Secret | None = setting(None, secret, "the key, best as os.environ/NAME")
    custom_llm_provider: str | None = setting(
        None, optional(text), "the provider, if `model` does not begin with it"
    )
    timeout: float | None = setting(None, _SECONDS, "seconds for a whole request")
    stream_timeout: float | None = setting(None, _SECONDS, "longest silence of a stream, s")
    max_parallel_requests: int | None = setting(None, _COUNT, "most requests outstanding at once")
    rpm: int | None = setting(None, optional(integer(0)), "requests a minute")
    tpm: int | None = setting(None, optional(integer(0)), "tokens a minute")
    input_cost_per_token: float | None = setting(None, _PRICE, "dollars a prompt token")
    output_cost_per_token: float | None = setting(None, _PRICE, "dollars a generated token")


@dataclass(frozen=True, slots=True)
class Info:
    """What is used of `model_info`; from `accuracy` on, additions of Pointsman's own."""

    id: str | None = setting(None, optional(text), "the endpoint's name; else model_name, model_name#2, ...")
    mode: str | None = setting(
        None, optional(one_of(("chat", "completion"))), "chat or completion; null: both"
    )
    input_cost_per_token: float | None = setting(None, _PRICE, "dollars a prompt token")
    output_cost_per_token: float | None = setting(None, _PRICE, "dollars a generated token")
    max_tokens: int | None = setting(None, _COUNT, "older word for max_output_tokens")
    max_input_tokens: int | None = setting(None, _COUNT, "context: prompt and max_tokens together")
    max_output_tokens: int | None = setting(None, _COUNT, "longest answer, tokens")
    supports_vision: bool | None = setting(None, optional(flag), "reads images")
    supports_audio_input: bool | None = setting(None, optional(flag), "reads audio")
    supports_function_calling: bool | None = setting(None, optional(flag), "takes tools; null: yes")
    supports_response_schema: bool | None = setting(
        None, optional(flag), "answers by a JSON schema; null: yes"
    )
    accuracy: float | None = setting(None, optional(number(0, 1)), "share of right answers, 0 to 1")
    accuracy_source: str | None = setting(None, optional(text), "where that figure is from")
    privacy: tuple[str, ...] = setting((), names, "privacy tags it satisfies")
    tags: tuple[str, ...] = setting((), names, "free tags")
    max_concurrent: int | None = setting(
        None, _COUNT, "most requests outstanding; else max_parallel_requests, else 4"
    )
    profile: str | None = setting(None, optional(text), "its name in the fit file; null: the endpoint's name")
    engine: str = setting("openai", text, "what speaks to the server: openai, or a plugin's name")
    priority: str | None = setting(
        None,
        optional(one_of(tuple(Telling))),
        "how the server is told of the queue's order: lower_first (vLLM), higher_first (SGLang), or vllm_scheduler",
    )
    supports_logprobs: bool | None = setting(None, optional(flag), "gives log-probabilities; null: yes")
    max_n: int | None = setting(None, _COUNT, "most answers a request may ask for; null: 1")


@dataclass(frozen=True, slots=True)
class Entry:
    """One sound entry of the list."""

    node: Node
    model_name: str
    params: Params
    info: Info


class EntryReader:
    """Reads the entries of one `model_list` and keeps what it warns of.

    Args:
        env: the environment for `os.environ/NAME`.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.warnings: list[Problem] = []

    def read(self, node: Node, problems: list[Problem]) -> list[Entry]:
        """The sound entries, in order; what is wrong with the others is added to `problems`."""
        if node.items is None and not node.is_null:
            problems.append(
                node.problem(f"{node.shown()} is not a list", "Begin each model with `- model_name:`")
            )
        found = []
        for item in node.items or ():
            if reason := _left_out(item):
                self.warnings.append(item.problem(reason, "This entry is left out"))
            elif (entry := attempt(problems, self._entry, item)) is not None:
                found.append(entry)
        return found

    def _entry(self, node: Node) -> Entry:
        if node.entries is None:
            raise node.refused(f"{node.shown()} is not a map", "Give `model_name:` and `litellm_params:`")
        problems: list[Problem] = []
        parts = dict(self._only_used(node, _PARTS, litellm.DEPLOYMENT, problems))
        problems += [
            node.problem(f"the key {key!r} is missing", f"Add `{key}:`")
            for key in _PARTS[:2]
            if key not in parts
        ]
        absent = Node(node.file, node.line, is_null=True)
        name = attempt(problems, _model_name, parts["model_name"]) if "model_name" in parts else None
        params = (
            attempt(problems, self._params, parts["litellm_params"]) if "litellm_params" in parts else None
        )
        info = attempt(problems, self._info, parts.get("model_info", absent))
        if problems or name is None or params is None or info is None:
            raise Refused(problems)
        return Entry(node, name, params, info)

    def _params(self, node: Node) -> Params:
        problems: list[Problem] = []
        used = self._only_used(node, _names(Params), litellm.PARAMS, problems)
        made = attempt_resolved(problems, _params_of, used, self._env)
        if problems or made is None:
            raise Refused(problems)
        return made

    def _info(self, node: Node) -> Info:
        problems: list[Problem] = []
        made = attempt(problems, section(Info), self._only_used(node, _names(Info), litellm.INFO, problems))
        if problems or made is None:
            raise Refused(problems)
        return made

    def _only_used(
        self, node: Node, used: Collection[str], known: Collection[str], problems: list[Problem]
    ) -> Node:
        """`node` without the keys that are not used; those are warned of, or refused as misspelt."""
        over = []
        for key, _ in node:
            if key in used:
                continue
            family = key.startswith(litellm.FAMILIES)
            meant = None if key in known else closest(key, {*used, *known}, _REAL_TYPO if family else 0.8)
            if meant is None or (family and meant not in used):
                over.append(mask_text(key))
            else:
                problems.append(node.key_problem(key, "unknown key", f"Did you mean {meant!r}?"))
        if over:
            self.warnings.append(node.problem(f"read but not used: {', '.join(sorted(over))}"))
        if node.entries is None:
            return node
        return replace(node, entries={key: child for key, child in node if key in used})


def _params_of(node: Node) -> Params:
    problems = list(provider_problems(node))
    made = attempt(problems, section(Params), node)
    if problems or made is None:
        raise Refused(problems)
    return made


def _model_name(node: Node) -> str:
    if node.text == AUTO:
        raise node.refused(f"the name {AUTO!r} is taken: it lets the policy choose", "Choose another name")
    return text(node)


def _left_out(node: Node) -> str | None:
    """Why an entry is no endpoint of ours, or None if it may be one."""
    info = (node.entries or {}).get("model_info")
    params = (node.entries or {}).get("litellm_params")
    mode = (info.entries or {}).get("mode") if info else None
    model = (params.entries or {}).get("model") if params else None
    name = (node.entries or {}).get("model_name")
    if mode is not None and mode.text in litellm.MODES_NOT_SERVED:
        return f"the mode {mode.text!r} is not served yet"
    if any(part is not None and "*" in (part.text or "") for part in (name, model)):
        return "a wildcard names no model"
    if model is not None and (model.text or "").startswith(("auto_router/", "complexity_router")):
        return "a LiteLLM router is no model"
    return None


def _names(cls: type[Params | Info]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls))
