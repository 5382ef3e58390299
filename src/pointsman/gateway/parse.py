"""A body and its headers become a `Request`; whatever can't be used is refused here, at the edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pointsman.errors import BadRequest
from pointsman.gateway.body import ChatBody, Common, CompletionBody, Message, read_body, without_own
from pointsman.gateway.options import (
    allow_skip_of,
    limits_of,
    privacy_of,
    session_of,
    slo_of,
    task_of,
    tenant_of,
    weights_of,
)
from pointsman.gateway.refusals import UnknownModel
from pointsman.types import AUTO, Api, Modality, Needs, Prompt, Request, Router, Slo
from pointsman.types.router import ROUTERS, read_router, router_names

MAX_TOKENS: Final = 2**24
MAX_N: Final = 128
_PLAIN: Final = Needs()
_TEXT_PARTS: Final = ("text", "refusal")
_PART_MODALITY: Final = {"image_url": Modality.IMAGE, "input_audio": Modality.AUDIO}
_SYSTEM: Final = ("system", "developer")


@dataclass(frozen=True, slots=True)
class Edge:
    """What callers may name.

    Attributes:
        models: the public names, `auto` not among them.
        service_classes: the configured ones by name, `default` among them.
        tenants: who may be named as tenant.
        routers: policies that a model name `router-<policy>-<threshold>` may choose.
    """

    models: tuple[str, ...]
    service_classes: Mapping[str, Slo] = field(default_factory=lambda: {"default": Slo()})
    tenants: frozenset[str] = frozenset({"default"})
    routers: tuple[str, ...] = tuple(ROUTERS)

    def read_model(self, name: str | None) -> tuple[str, Router | None]:
        """The model that is pinned, or `auto` and the policy that the name chooses.

        Raises: UnknownModel; BadRequest for a threshold that can't be used.
        """
        if name is None or name == AUTO:
            return AUTO, None
        if name in self.models:
            return name, None
        router = read_router(name, self.routers)
        if router is None:
            raise UnknownModel(
                f"no endpoint serves the model {name[:128]!r}",
                remedy=f"There are {', '.join((AUTO, *self.models, *router_names(self.routers)))}",
                param="model",
            )
        return AUTO, router


def parse_request(
    data: bytes, headers: Mapping[bytes, bytes], api: Api, request_id: str, edge: Edge
) -> Request:
    """The request that a body and its headers (names in lower case) describe.

    Raises: BadRequest, UnknownModel.
    """
    body = read_body(data, api)
    prompt, needs = _chat(body) if isinstance(body, ChatBody) else _completion(body)
    own = body.pointsman
    task = task_of(own, body.metadata, headers)
    model, router = edge.read_model(body.model)
    return Request(
        id=request_id,
        prompt=replace(prompt, task=task) if task else prompt,
        max_tokens=_max_tokens(body),
        model=model,
        api=api,
        needs=_with_privacy(needs, privacy_of(own, headers)),
        weights=weights_of(own, body.metadata, headers),
        limits=limits_of(own, body.metadata, headers),
        slo=slo_of(body.service_tier, headers, edge.service_classes),
        tenant=tenant_of(own, body.metadata, headers, edge.tenants),
        session=session_of(headers),
        stream=body.stream is True,
        router=router,
        allow_skip=allow_skip_of(own, body.metadata, headers),
        payload=data if own is None else without_own(data),
    )


# What is asked


def _chat(body: ChatBody) -> tuple[Prompt, Needs]:
    modalities = {Modality.TEXT}
    texts = [_text(message, modalities) for message in body.messages]
    sizes = [_utf8_len(text) for text in texts]
    last_user = max((i for i, m in enumerate(body.messages) if m.role == "user"), default=-1)
    system, history_turns, history_bytes = [], 0, 0
    for index, message in enumerate(body.messages):
        if message.role in _SYSTEM:
            system.append(texts[index])
        elif index < last_user:
            history_turns += 1
            history_bytes += sizes[index]
    total_bytes = sum(sizes)
    if total_bytes == 0 and modalities == {Modality.TEXT}:
        what = "every message is empty" if body.messages else "messages is missing or empty"
        raise BadRequest(what, remedy="Send at least one message with content", param="messages")
    tools = [*(body.tools or ()), *(body.functions or ())]
    calls = [call for message in body.messages for call in message.tool_calls or ()]
    prompt = Prompt(
        text=texts[last_user] if last_user >= 0 else "",
        system="\n".join(system),
        history_turns=history_turns,
        history_bytes=history_bytes,
        total_bytes=total_bytes + sum(len(bytes(raw)) for raw in (*tools, *calls)),
    )
    if body.modalities and "audio" in body.modalities:
        modalities.add(Modality.AUDIO)
    return prompt, _needs(body, modalities, n=_n(body), tools=bool(tools))


def _completion(body: CompletionBody) -> tuple[Prompt, Needs]:
    prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt or []
    if not any(prompts):
        raise BadRequest(
            "prompt is missing or empty", remedy="Send a text, or a list of texts", param="prompt"
        )
    text = "\n".join(prompts)
    prompt = Prompt(text, total_bytes=_utf8_len(text))
    return prompt, _needs(body, {Modality.TEXT}, n=_n(body) * len(prompts), tools=False)


def _text(message: Message, modalities: set[Modality]) -> str:
    """The text of a message; adds the modalities of its other parts."""
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    texts = []
    for part in message.content:
        if part.type in _TEXT_PARTS:
            texts.append(part.text or part.refusal or "")
        elif (modality := _PART_MODALITY.get(part.type)) is not None:
            modalities.add(modality)
        else:
            known = ", ".join((*_TEXT_PARTS, *_PART_MODALITY))
            raise BadRequest(
                f"a content part of type {part.type[:64]!r} is not known",
                remedy=f"There are {known}",
                param="messages",
            )
    return "\n".join(texts)


def _utf8_len(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


# What it needs


def _needs(body: Common, modalities: set[Modality], *, n: int, tools: bool) -> Needs:
    response_format = body.response_format.type if body.response_format else "text"
    logprobs = body.logprobs is not None and body.logprobs is not False
    if n == 1 and not (tools or logprobs) and response_format == "text" and len(modalities) == 1:
        return _PLAIN
    return Needs(frozenset(modalities), tools, response_format, logprobs, n)


def _with_privacy(needs: Needs, tags: frozenset[str]) -> Needs:
    return replace(needs, privacy=tags) if tags else needs


def _n(body: Common) -> int:
    n = 1 if body.n is None else body.n
    if not 1 <= n <= MAX_N:
        raise BadRequest(f"n is {n}", remedy=f"Choose 1 to {MAX_N}", param="n")
    return n


def _max_tokens(body: ChatBody | CompletionBody) -> int | None:
    param, asked = "max_tokens", body.max_tokens
    if isinstance(body, ChatBody) and body.max_completion_tokens is not None:
        param, asked = "max_completion_tokens", body.max_completion_tokens
    if asked is not None and not 1 <= asked <= MAX_TOKENS:
        raise BadRequest(f"{param} is {asked}", remedy=f"Choose 1 to {MAX_TOKENS}", param=param)
    return asked
