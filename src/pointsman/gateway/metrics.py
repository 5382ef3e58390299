"""What the gateway counts: decisions, endings, times, tokens and joules, for `/metrics`.

The `gen_ai_*` names are OpenTelemetry's for generative AI in Prometheus' form, with the buckets that
its conventions advise; `pointsman_*` are our own.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterator, Sequence
from math import isnan
from typing import Final

from pointsman.gateway.exposition import Counter, Histogram, gauge
from pointsman.gateway.feedback_metrics import feedback_lines
from pointsman.hooks import Hooks
from pointsman.live.feedback import Feedback
from pointsman.types import (
    Admission,
    Api,
    Decision,
    Disposition,
    Endpoint,
    EndpointView,
    LimitState,
    Outcome,
    Request,
)

_OPERATION: Final = {Api.CHAT: "chat", Api.COMPLETIONS: "text_completion"}
_GEN_AI: Final = ("gen_ai_operation_name", "gen_ai_response_model", "pointsman_endpoint")
_REQUEST_S: Final = tuple(0.01 * 2**k for k in range(14))
_TTFT_S: Final = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_TPOT_S: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_TOKENS: Final = tuple(float(4**k) for k in range(14))
_DECISION_S: Final = (5e-5, 1e-4, 2e-4, 5e-4, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
_QUEUE_S: Final = (0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)


class GatewayMetrics(Hooks):
    """Counts what the scheduler's hooks tell; give it to the `Scheduler` and to the `Gateway`."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._models = {endpoint.name: endpoint.model for endpoint in endpoints}
        self._living: dict[str, Request] = {}
        self._ended = Counter("pointsman_requests_total", "Requests by how they ended.", ("disposition",))
        for disposition in Disposition:
            if disposition not in (Disposition.ESCALATED, Disposition.SAMPLED):
                self._ended.add(disposition.value, by=0.0)
        self._unused = Counter(
            "pointsman_unused_runs_total",
            "Runs whose answers were not given out: escalated, sampled, or failed while another answer was held.",
            ("endpoint", "disposition"),
        )
        self._decisions = Counter(
            "pointsman_decisions_total", "Decisions by endpoint and action.", ("endpoint", "action")
        )
        self._not_run = Counter(
            "pointsman_not_run_total",
            "Decisions not to run, by the policy that made them.",
            ("policy", "action"),
        )
        self._bypassed = Counter(
            "pointsman_bypassed_predictions_total", "Requests decided on priors: no prediction in time."
        )
        self._policy_faults = Counter("pointsman_policy_faults_total", "Requests that a policy failed.")
        self._responses = Counter("pointsman_http_responses_total", "Answers by HTTP status.", ("status",))
        self._decision_s = Histogram(
            "pointsman_decision_seconds", "From the whole body to the sending, without queueing.", _DECISION_S
        )
        self._queue_s = Histogram(
            "pointsman_queue_seconds", "Waiting for an endpoint's slot.", _QUEUE_S, ("endpoint",)
        )
        self._energy_j = Counter(
            "pointsman_energy_joules_total",
            "Joules of requests; modelled: from stated watts, not from a meter.",
            ("endpoint", "modelled"),
        )
        self._price_usd = Counter("pointsman_cost_usd_total", "Dollars by declared prices.", ("endpoint",))
        self._tokens = Histogram(
            "gen_ai_client_token_usage",
            "Tokens of a request, as its endpoint counts them.",
            _TOKENS,
            (*_GEN_AI, "gen_ai_token_type"),
        )
        self._request_s = Histogram(
            "gen_ai_server_request_duration_seconds", "From sending to the last byte.", _REQUEST_S, _GEN_AI
        )
        self._ttft_s = Histogram(
            "gen_ai_server_time_to_first_token_seconds", "From sending to the first token.", _TTFT_S, _GEN_AI
        )
        self._tpot_s = Histogram(
            "gen_ai_server_time_per_output_token_seconds", "Per token after the first.", _TPOT_S, _GEN_AI
        )
        self._all = (
            self._ended,
            self._unused,
            self._decisions,
            self._not_run,
            self._bypassed,
            self._policy_faults,
            self._responses,
            self._decision_s,
            self._queue_s,
            self._energy_j,
            self._price_usd,
            self._tokens,
            self._request_s,
            self._ttft_s,
            self._tpot_s,
        )

    # Hooks of the scheduler

    def arrived(self, request: Request) -> None:
        """See `Hooks`."""
        self._living[request.id] = request

    def decided(self, decision: Decision) -> None:
        """See `Hooks`."""
        self._decisions.add(decision.endpoint or "", decision.action.value)
        if decision.action is not Admission.RUN:
            self._not_run.add(decision.policy, decision.action.value)

    def dispatched(self, request: Request, endpoint: str, queue_s: float) -> None:
        """See `Hooks`."""
        del request
        self._queue_s.observe(queue_s, endpoint)

    def bypassed(self, n_requests: int, reason: str) -> None:
        """See `Hooks`."""
        del reason
        self._bypassed.add(by=n_requests)

    def policy_raised(self, policy: str, error: Exception) -> None:
        """See `Hooks`."""
        del policy, error
        self._policy_faults.add()

    def unused(self, outcome: Outcome) -> None:
        """See `Hooks`."""
        self._unused.add(outcome.endpoint, outcome.disposition.value)
        self._ran(self._living[outcome.request_id], outcome)

    def finished(self, outcome: Outcome) -> None:
        """See `Hooks`."""
        self._ended.add(outcome.disposition.value)
        self._ran(self._living.pop(outcome.request_id), outcome)

    def _ran(self, request: Request, outcome: Outcome) -> None:
        """What a run took, at its own endpoint."""
        if outcome.energy_j is not None:
            self._energy_j.add(
                outcome.endpoint, "true" if outcome.energy_modelled else "false", by=outcome.energy_j
            )
        if outcome.disposition not in (Disposition.ANSWERED, Disposition.ESCALATED, Disposition.SAMPLED):
            return
        labels = (_OPERATION[request.api], self._models[outcome.endpoint], outcome.endpoint)
        for histogram, seconds in (
            (self._request_s, outcome.e2e_s),
            (self._ttft_s, outcome.ttft_s),
            (self._tpot_s, outcome.tpot_s),
        ):
            if seconds is not None:
                histogram.observe(seconds, *labels)
        for kind, tokens in (("input", outcome.input_tokens), ("output", outcome.output_tokens)):
            if tokens is not None:
                self._tokens.observe(tokens, *labels, kind)
        if outcome.price_usd is not None:
            self._price_usd.add(outcome.endpoint, by=outcome.price_usd)

    # Calls of the gateway

    def responded(self, status: int) -> None:
        """An answer with this status began."""
        self._responses.add(str(status))

    def overhead(self, seconds: float) -> None:
        """Time spent in Pointsman before a request was sent."""
        self._decision_s.observe(seconds)

    def exposition(
        self,
        view: Sequence[EndpointView],
        faults: Counts[str],
        limits: Sequence[LimitState] = (),
        feedback: Feedback | None = None,
    ) -> bytes:
        """Everything in Prometheus' text format."""
        lines = [line for metric in self._all for line in metric.lines()]
        lines += gauge(
            "pointsman_queue_length", "Requests waiting.", "endpoint", {v.name: v.queued for v in view}
        )
        lines += gauge(
            "pointsman_running", "Requests outstanding.", "endpoint", {v.name: v.running for v in view}
        )
        lines += gauge(
            "pointsman_slots", "Limit of those.", "endpoint", {v.name: v.max_concurrent for v in view}
        )
        lines += gauge("pointsman_healthy", "1 if it is up.", "endpoint", {v.name: v.healthy for v in view})
        caught = Counter("pointsman_faults_total", "Exceptions caught, by the part that raised.", ("part",))
        for part, count in faults.items():
            caught.add(part, by=count)
        lines += caught.lines()
        lines += _limit_lines(limits) if limits else ()
        lines += feedback_lines(feedback) if feedback else ()
        return "\n".join([*lines, ""]).encode()


def _limit_lines(limits: Sequence[LimitState]) -> Iterator[str]:
    """Where the limits of the policy stand at the moment of the scrape."""
    for name, text, values in (
        ("bound", "What a limit asks of a request on the mean.", [own.bound for own in limits]),
        ("slack", "By how much the running mean keeps it; below 0 where not.", [own.slack for own in limits]),
        ("price", "What a unit of it costs now, in the objective's unit.", [own.price for own in limits]),
    ):
        read = {own.name: value for own, value in zip(limits, values, strict=True) if not isnan(value)}
        yield from gauge(f"pointsman_limit_{name}", text, "limit", read)
