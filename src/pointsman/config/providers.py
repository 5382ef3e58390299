"""Who speaks OpenAI's protocol, and LiteLLM's words for them: the part before `/` in `litellm_params.model`."""

# ruff: noqa: SIM905 - a list of words is read more easily without quotes

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pointsman.config.problem import Problem, closest
from pointsman.config.secret import mask_text
from pointsman.config.tree import Node


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenAI-compatible server.

    Attributes:
        base_url: where it is unless `api_base` says otherwise; None where `api_base` must say.
        key_variable: the environment variable its users keep the key in; only ever sent to `base_url`.
        completions_only: it has no chat.
        adds_v1: `api_base` is commonly given without `/v1`, which is then added.
    """

    base_url: str | None = None
    key_variable: str | None = None
    completions_only: bool = False
    adds_v1: bool = False


_OPENAI: Final = Provider("https://api.openai.com/v1", "OPENAI_API_KEY")
_OLLAMA: Final = Provider("http://localhost:11434/v1", adds_v1=True)

PROVIDERS: Final = MappingProxyType(
    {
        "cerebras": Provider("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
        "custom_openai": Provider(),
        "deepinfra": Provider("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
        "deepseek": Provider("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
        "groq": Provider("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
        "hosted_vllm": Provider(),
        "litellm_proxy": Provider(),
        "llamafile": Provider("http://127.0.0.1:8080/v1"),
        "lm_studio": Provider("http://localhost:1234/v1"),
        "mistral": Provider("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
        "nvidia_nim": Provider("https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"),
        "ollama": _OLLAMA,
        "ollama_chat": _OLLAMA,
        "openai": _OPENAI,
        "openai_like": Provider(),
        "openrouter": Provider("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
        "perplexity": Provider("https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
        "sambanova": Provider("https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
        "text-completion-openai": Provider(
            "https://api.openai.com/v1", "OPENAI_API_KEY", completions_only=True
        ),
        "together_ai": Provider("https://api.together.xyz/v1", "TOGETHERAI_API_KEY"),
        "xai": Provider("https://api.x.ai/v1", "XAI_API_KEY"),
        "xinference": Provider("http://127.0.0.1:9997/v1"),
    }
)

OTHER_PROTOCOLS: Final = frozenset(
    "ai21 anthropic anthropic_text aws_polly azure azure_ai azure_text baseten bedrock bedrock_converse clarifai "
    "cloudflare codestral cohere cohere_chat databricks fireworks_ai gemini github github_copilot huggingface "
    "jina_ai nlp_cloud oci oobabooga palm petals predibase replicate sagemaker sagemaker_chat snowflake "
    "text-completion-codestral triton vertex_ai vertex_ai_beta vllm voyage watsonx watsonx_text".split()
)
"""Providers LiteLLM knows and Pointsman can't reach yet: another protocol, other headers or other paths."""

_THEIR_MODELS: Final = ("claude", "command", "gemini", "j2-", "palm")


def split_model(model: str, provider: str | None, *, has_api_base: bool) -> tuple[str, str]:
    """The provider's word and the name its server knows the model by.

    Args:
        model: `litellm_params.model`, e.g. `openrouter/qwen/qwen3-8b`.
        provider: `litellm_params.custom_llm_provider`; then only its own prefix is taken off.
        has_api_base: an address is given, so a bare name needs no provider of its own.

    Returns: the provider's word, known or not, and the rest.
    """
    head, slash, rest = model.partition("/")
    if provider is not None:
        return provider, rest if slash and head == provider else model
    if slash:
        return head, rest
    if not has_api_base and model.lower().startswith(_THEIR_MODELS):
        return model, model
    return "openai", model


def provider_problems(params: Node) -> Iterator[Problem]:
    """Why the server that a map of `litellm_params` names can't be reached; none if it can, or if none is named.

    Asked of the tree, so that it is reported beside what else is wrong with the map.
    """
    entries = params.entries or {}
    model, provider = entries.get("model"), entries.get("custom_llm_provider")
    if model is None or model.is_null or not model.text:
        return
    has_base = any(key in entries and not entries[key].is_null for key in ("api_base", "base_url"))
    word, upstream = split_model(model.text, provider.text if provider else None, has_api_base=has_base)
    word, upstream, shown = mask_text(word), mask_text(upstream), model.shown()
    if word not in PROVIDERS:
        remedy = _remedy(word, upstream, mask_text(model.text))
        yield model.problem(f"the provider of {shown} is not known to speak OpenAI's protocol", remedy)
    elif not upstream:
        yield model.problem(f"{shown} names no model", f"Write {word}/ and the server's model name")
    elif PROVIDERS[word].base_url is None and not has_base:
        yield params.problem(f"{shown} has no api_base", "Add `api_base:` with the server's address")


def _remedy(word: str, upstream: str, model: str) -> str:
    if word == "vllm":
        return f"Start `vllm serve` and write hosted_vllm/{upstream} with `api_base:`"
    if word in OTHER_PROTOCOLS or word == upstream:
        compatible = f"write openai/{upstream} with `api_base:`"
        return f"If it has an OpenAI-compatible address, {compatible}; else remove this entry"
    guess = closest(word, PROVIDERS, cutoff=0.7)
    hint = f"Did you mean {guess}/{upstream}? " if guess else ""
    return f"{hint}If {word!r} is part of the model's name, write openai/{model} with `api_base:`"
