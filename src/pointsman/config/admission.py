"""Settings of admission: whether requests run, and what becomes of those that do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pointsman.config.parse import integer, number, one_of, optional, section, setting, text
from pointsman.config.problem import Problem
from pointsman.config.tree import Node

ON_SKIP: Final = ("error", "reply", "defer")
_MAX_WAIT_S: Final = 86_400.0
_MIN_RETRY_S: Final = 0.01
"""Each look is a prediction; less would keep the loop busy with those it puts off."""


def _check_defer(defer: DeferConfig, node: Node) -> Iterator[Problem]:
    if defer.retry_s > defer.max_defer_s:
        yield node.problem(
            f"retry_s {defer.retry_s:g} is above max_defer_s {defer.max_defer_s:g}",
            "Look again at least once within the limit",
        )


@dataclass(frozen=True, slots=True)
class DeferConfig:
    """How long a request is put off that would be skipped now."""

    retry_s: float = setting(10.0, number(_MIN_RETRY_S, _MAX_WAIT_S), "seconds between two looks at it")
    max_defer_s: float = setting(300.0, number(0, _MAX_WAIT_S, above=True), "seconds until its time is up")
    max_waiting: int = setting(
        1000, integer(1), "most requests that are put off at once; a further one is refused (429)"
    )
    then: str = setting("run", one_of(("run", "refuse")), "run or refuse: what becomes of it then")


def check_admission(admission: AdmissionConfig, node: Node) -> Iterator[Problem]:
    """What is wrong between the values."""
    if admission.name == "threshold" and admission.threshold is None:
        yield node.problem(
            "the admission 'threshold' has no threshold",
            "Add `threshold:` from 0 to 1; `pointsman calibrate` finds one",
        )
    if admission.name == "random" and admission.share is None:
        yield node.problem("the admission 'random' has no share", "Add `share:`, of the requests that run")


@dataclass(frozen=True, slots=True)
class AdmissionConfig:
    """Whether requests run. `admission: value` is short for `admission: {name: value}`."""

    name: str = setting(
        "always",
        text,
        "always; value: by `costs`; threshold: by predicted quality; random; or a plugin's name",
    )
    threshold: float | None = setting(
        None, optional(number(0, 1)), "of `threshold`: the least predicted quality that runs"
    )
    share: float | None = setting(None, optional(number(0, 1)), "of `random`: the share of requests that run")
    seed: int = setting(0, integer(0), "of `random`: equal seeds draw equally")
    on_skip: str = setting(
        "error",
        one_of(ON_SKIP),
        "what a skipped request gets: error (422), reply (a fixed text), defer (asked again later)",
    )
    reply: str = setting(
        "This question was not passed on to a model: an answer is not expected to be worth its cost.",
        text,
        "of `on_skip: reply`: the text",
    )
    defer: DeferConfig = setting(
        DeferConfig(), section(DeferConfig, _check_defer), "of `on_skip: defer`: how long"
    )
