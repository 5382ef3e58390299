"""Who speaks OpenAI's protocol, and LiteLLM's words for them: the part before `/` in `litellm_params.model`."""

# ruff: noqa: SIM905 - a list of words is read more easily without quotes

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


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
