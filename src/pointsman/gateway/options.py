"""What a caller asks of Pointsman itself: in headers, in the field `pointsman`, or in `metadata`.

The nearer one wins: a header over the field, the field over `metadata`.

    x-pointsman-weights: accuracy=0.7,energy=0.2,time=0.1     pointsman.weights   pointsman_weights
    x-pointsman-min-quality: Q                                pointsman.min_quality     pointsman_min_quality
    x-pointsman-max-price-usd: USD                            pointsman.max_price_usd   pointsman_max_price_usd
    x-pointsman-max-energy-j: J                               pointsman.max_energy_j    pointsman_max_energy_j
    x-pointsman-tenant: NAME                                  pointsman.tenant    pointsman_tenant
    x-pointsman-task: SUBJECT                                 pointsman.task      pointsman_task
    x-pointsman-privacy: TAG,TAG                              pointsman.privacy
    x-pointsman-allow-skip: true | false                      pointsman.allow_skip   pointsman_allow_skip
    x-session-id: ID
    x-llm-d-slo-ttft-ms: MS, x-llm-d-slo-tpot-ms: MS
    service_tier: auto | default | flex | priority | a configured class
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from pointsman.errors import BadRequest
from pointsman.gateway.body import Own
from pointsman.types import OBJECTIVES, Limits, Slo, Weights

MAX_ID_CHARS: Final = 128
_TIERS: Final = {"auto": "default", "default": "default", "flex": "flex", "priority": "priority"}
"""OpenAI's tiers as service classes; one that is not configured is served as `default`."""

_LIMITS: Final = {
    "min_quality": b"x-pointsman-min-quality",
    "max_price_usd": b"x-pointsman-max-price-usd",
    "max_energy_j": b"x-pointsman-max-energy-j",
}
"""The header of each limit."""

_TRUTH: Final = {"true": True, "false": False}


def request_id_of(headers: Mapping[bytes, bytes], is_alive: Callable[[str], bool]) -> str:
    """The caller's `x-request-id`, made unique among living requests; a fresh one if it has none."""
    asked = headers.get(b"x-request-id", b"").decode("latin-1")
    if not asked or len(asked) > MAX_ID_CHARS or not (asked.isascii() and asked.isprintable()):
        return uuid.uuid4().hex
    return f"{asked}-{uuid.uuid4().hex[:12]}" if is_alive(asked) else asked


def session_of(headers: Mapping[bytes, bytes]) -> str | None:
    """`x-session-id`, cut to a sane length."""
    return headers.get(b"x-session-id", b"").decode("latin-1")[:MAX_ID_CHARS] or None


def weights_of(
    own: Own | None, metadata: Mapping[str, str] | None, headers: Mapping[bytes, bytes]
) -> Weights | None:
    """The caller's weights, or None. Raises: BadRequest."""
    said: Mapping[str, float]
    if header := headers.get(b"x-pointsman-weights"):
        said = _pairs(header.decode("latin-1"))
    elif own is not None and own.weights is not None:
        said = own.weights
    elif metadata and (text := metadata.get("pointsman_weights")):
        said = _pairs(text)
    else:
        return None
    if unknown := [name for name in said if name not in OBJECTIVES]:
        raise BadRequest(
            f"there is no weight {unknown[0][:64]!r}",
            remedy=f"There are {', '.join(OBJECTIVES)}",
            param="weights",
        )
    weights = Weights(**said)
    weights.normalised()  # refuses what can't be used
    return weights


def limits_of(
    own: Own | None, metadata: Mapping[str, str] | None, headers: Mapping[bytes, bytes]
) -> Limits | None:
    """What the caller demands of the endpoint, each limit from where it is said nearest. Raises: BadRequest."""
    said: dict[str, float] = {}
    for name, header in _LIMITS.items():
        if (text := headers.get(header)) is not None:
            said[name] = _number(text.decode("latin-1"), name, param=name)
        elif own is not None and (value := getattr(own, name)) is not None:
            said[name] = value
        elif metadata and (word := metadata.get(f"pointsman_{name}")) is not None:
            said[name] = _number(word, name, param=name)
    return Limits(**said).checked() if said else None


def tenant_of(
    own: Own | None,
    metadata: Mapping[str, str] | None,
    headers: Mapping[bytes, bytes],
    tenants: frozenset[str],
) -> str:
    """Who asks. Raises: BadRequest for a name that is not configured."""
    header = headers.get(b"x-pointsman-tenant", b"").decode("latin-1")
    named = header or (own and own.tenant) or (metadata and metadata.get("pointsman_tenant")) or "default"
    if named not in tenants:
        raise BadRequest(
            f"the tenant {named[:64]!r} is not configured",
            remedy="Add it to `tenants`, or leave it out",
            param="tenant",
        )
    return named


def task_of(own: Own | None, metadata: Mapping[str, str] | None, headers: Mapping[bytes, bytes]) -> str:
    """What the request is said to be about, cut to a sane length; "" if nothing is said.

    A word that no predictor knows does no harm: it counts as not said.
    """
    header = headers.get(b"x-pointsman-task", b"").decode("latin-1")
    named = header or (own and own.task) or (metadata and metadata.get("pointsman_task")) or ""
    return named[:MAX_ID_CHARS]


def privacy_of(own: Own | None, headers: Mapping[bytes, bytes]) -> frozenset[str]:
    """Privacy tags that the endpoint must satisfy."""
    header = headers.get(b"x-pointsman-privacy", b"").decode("latin-1")
    if header:
        return frozenset(tag.strip() for tag in header.split(",") if tag.strip())
    return frozenset(own.privacy or ()) if own else frozenset()


def allow_skip_of(
    own: Own | None, metadata: Mapping[str, str] | None, headers: Mapping[bytes, bytes]
) -> bool | None:
    """Whether the request may be skipped; None where the caller leaves it open. Raises: BadRequest."""
    header = headers.get(b"x-pointsman-allow-skip")
    if header is None and own is not None and own.allow_skip is not None:
        return own.allow_skip
    said = header.decode("latin-1") if header is not None else (metadata or {}).get("pointsman_allow_skip")
    if said is None:
        return None
    if (word := said.strip().lower()) not in _TRUTH:
        raise BadRequest(
            f"allow_skip is {said[:64]!r}, neither true nor false",
            remedy="Write true or false, or leave it out",
            param="allow_skip",
        )
    return _TRUTH[word]


def slo_of(tier: str | None, headers: Mapping[bytes, bytes], classes: Mapping[str, Slo]) -> Slo:
    """The service class, with the deadlines that headers set. Raises: BadRequest."""
    slo = classes.get("default", Slo())
    if tier is not None:
        if tier not in classes and tier not in _TIERS:
            known = ", ".join(dict.fromkeys((*_TIERS, *classes)))
            raise BadRequest(
                f"the service_tier {tier[:64]!r} is not known",
                remedy=f"There are {known}",
                param="service_tier",
            )
        slo = classes.get(tier) or classes.get(_TIERS[tier], slo)
    ttft_s = _milliseconds(b"x-llm-d-slo-ttft-ms", headers)
    tpot_s = _milliseconds(b"x-llm-d-slo-tpot-ms", headers)
    if ttft_s is not None:
        slo = replace(slo, ttft_s=ttft_s)
    return slo if tpot_s is None else replace(slo, tpot_s=tpot_s)


def _milliseconds(name: bytes, headers: Mapping[bytes, bytes]) -> float | None:
    """A header in milliseconds, as seconds."""
    text = headers.get(name)
    if text is None:
        return None
    value_ms = _number(text.decode("latin-1"), name.decode(), param=name.decode())
    if not 0 < value_ms < math.inf:
        raise BadRequest(
            f"{name.decode()} is {value_ms:g}", remedy="Give milliseconds above 0", param=name.decode()
        )
    return value_ms / 1000


def _pairs(text: str) -> dict[str, float]:
    """`accuracy=0.7,energy=0.2` as a mapping."""
    pairs: dict[str, float] = {}
    for word in text.split(","):
        name, equals, value = word.partition("=")
        if not equals:
            raise BadRequest(
                f"{word.strip()[:64]!r} is no weight with its name",
                remedy="Write accuracy=0.7,energy=0.2,time=0.1",
                param="weights",
            )
        pairs[name.strip().lower()] = _number(value, f"the weight {name.strip()[:64]!r}")
    return pairs


def _number(text: str, what: str, param: str = "weights") -> float:
    try:
        return float(text)
    except ValueError:
        raise BadRequest(
            f"{what} is {text.strip()[:64]!r}, which is no number", remedy="Give a number", param=param
        ) from None
