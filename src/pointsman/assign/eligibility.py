"""The hard filter before every policy: which endpoints can serve a request at all.

A pair passes when the endpoint declares everything the request needs, and its predictions keep the
request's limits. The common case, plain text without special needs, costs one comparison of arrays;
reasons are only written for pairs that fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from pointsman.assign.request_limits import breaches
from pointsman.types import AUTO, EMPTY, Api, Bools, CostTable, Endpoint, Needs, Outcome, Request

_PLAIN: Final = Needs()


class Eligibility:
    """Precomputed limits of a fixed list of E endpoints."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = tuple(endpoints)
        self._context = np.array(
            [np.inf if (c := e.capabilities.context_tokens) is None else c for e in endpoints], dtype=float
        )
        self._max_output = np.array(
            [np.inf if (m := e.capabilities.max_output_tokens) is None else m for e in endpoints], dtype=float
        )
        self._least_output = float(self._max_output.min(initial=np.inf))
        self._serves_api = {
            api: all(api in endpoint.capabilities.apis for endpoint in endpoints) for api in Api
        }

    def filter(
        self,
        requests: Sequence[Request],
        table: CostTable,
        closed: Sequence[str | None],
        runs: Sequence[Outcome] = (),
    ) -> tuple[Bools, list[Mapping[str, str]]]:
        """Which pairs can run, and why the others can't.

        Args:
            requests: R of them.
            table: their predictions, shape (R, E).
            closed: for each endpoint None, or why it takes nothing now.
            runs: what a request (R = 1) has run already, which its limits count.

        Returns: a mask of shape (R, E), and for each request a map from endpoint name to the reason.
        """
        input_tokens = table.input_tokens
        asked = [request.max_tokens or 0 for request in requests]
        column = np.array(asked, dtype=float).reshape(-1, 1) if len(asked) != 1 else float(asked[0])
        mask = input_tokens + column <= self._context
        if max(asked, default=0) > self._least_output:
            mask &= column <= self._max_output
        within = np.count_nonzero(mask) == mask.size
        fine: list[bool] = [True] * len(requests) if within else np.asarray(mask.all(axis=1)).tolist()
        all_open = not any(closed)
        excluded: list[Mapping[str, str]] = []
        for index, request in enumerate(requests):
            plain = (
                fine[index]
                and request.model == AUTO
                and (request.needs is _PLAIN or request.needs == _PLAIN)
                and self._serves_api[request.api]
            )
            if plain and all_open and request.limits is None:
                excluded.append(EMPTY)
                continue
            passing = closed
            if request.limits is not None:
                broken = breaches(request.limits, table, index, runs)
                passing = [why or shut for why, shut in zip(broken, closed, strict=True)]
            tokens: Sequence[float] = () if plain else input_tokens[index].tolist()
            reasons: dict[str, str] = {}
            for e, endpoint in enumerate(self._endpoints):
                # A lasting reason is named before a passing one.
                reason = passing[e] if plain else next(self._why_not(request, e, tokens[e]), passing[e])
                if reason:
                    reasons[endpoint.name] = reason
            mask[index] = [endpoint.name not in reasons for endpoint in self._endpoints]
            excluded.append(reasons or EMPTY)
        return mask, excluded

    def _why_not(self, request: Request, e: int, input_tokens: float) -> Iterator[str]:
        """Why endpoint `e` can't serve the request; nothing if it can."""
        endpoint, needs = self._endpoints[e], request.needs
        can = endpoint.capabilities
        asked = request.max_tokens or 0
        if request.model not in (AUTO, endpoint.model):
            yield f"the request names model {request.model}"
        if missing := needs.privacy - can.privacy:
            yield f"it lacks the privacy tag {', '.join(sorted(missing))}"
        if request.api not in can.apis:
            yield f"it does not serve {request.api}"
        if unread := needs.modalities - can.modalities:
            yield f"it does not read {', '.join(sorted(unread))}"
        if needs.tools and not can.tools:
            yield "it does not call tools"
        if needs.response_format not in can.response_formats:
            yield f"it does not give response_format {needs.response_format}"
        if needs.logprobs and not can.logprobs:
            yield "it does not give logprobs"
        if needs.n > can.max_n:
            yield f"it gives at most n = {can.max_n}, and {needs.n} were asked for"
        if input_tokens + asked > self._context[e]:
            limit = f"its context of {self._context[e]:.0f}"
            yield f"about {input_tokens:.0f} prompt tokens + max_tokens {asked} exceed {limit}"
        if asked > self._max_output[e]:
            yield f"max_tokens {asked} exceeds its limit of {self._max_output[e]:.0f}"


def refusal(excluded: Mapping[str, str]) -> str:
    """One sentence for a request that no endpoint can serve: every endpoint with its reason."""
    if not excluded:
        return "no endpoint is configured"
    return "no endpoint can serve this request: " + "; ".join(
        f"{name}: {why}" for name, why in excluded.items()
    )
