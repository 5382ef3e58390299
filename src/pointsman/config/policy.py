"""Settings of the choice of endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pointsman.config.parse import integer, names, number, optional, path, section, setting, text
from pointsman.config.problem import Problem
from pointsman.config.stream_limits import (
    LimitsConfig,
    NamedNumber,
    read_objective,
)
from pointsman.config.tree import Node
from pointsman.types import Weights

MAX_SAMPLES: Final = 16
"""They run one after another, and the caller waits for all."""


def _weights(node: Node) -> Weights:
    made = _plain_weights(node)
    if sum(made.as_tuple()) <= 0:
        raise node.refused("the weights sum to 0", "Give at least one weight above 0")
    return made


@dataclass(frozen=True, slots=True)
class _WeightsRead:
    """`pointsman.types.Weights` as it is read."""

    accuracy: float = setting(0.0, number(), "weight of being right")
    energy: float = setting(0.0, number(), "weight of joules")
    time: float = setting(0.0, number(), "weight of seconds")
    price: float = setting(0.0, number(), "weight of dollars")
    carbon: float = setting(0.0, number(), "weight of grams of CO2e")


def _plain_weights(node: Node) -> Weights:
    read = section(_WeightsRead)(node)
    return Weights(read.accuracy, read.energy, read.time, read.price, read.carbon)


def check_policy(policy: PolicyConfig, node: Node) -> Iterator[Problem]:
    """What is wrong between the values."""
    if policy.name == "single" and policy.model is None:
        yield node.problem(
            "the policy 'single' names no model", "Add `model:` with a model_name of this file"
        )
    if policy.name == "floor" and policy.threshold is None:
        yield node.problem(
            "the policy 'floor' has no threshold",
            "Add `threshold:` from 0 to 1; `pointsman calibrate` finds one",
        )
    if policy.name != "constrained" and policy.limits != LimitsConfig():
        yield node.problem(
            f"the policy {policy.name!r} keeps no `limits`", "Set `name: constrained`, or remove them"
        )
    if (policy.name == "cascade" or policy.endpoints or policy.judge) and (
        len(policy.endpoints) < 2 or policy.judge is None  # noqa: PLR2004 - one has nothing to follow
    ):
        yield node.problem(
            "a cascade needs `endpoints` and `judge`",
            "Add `endpoints: [SMALL, LARGE]` and `judge: FILE`; `pointsman judge` makes the file",
        )
    elif policy.samples > 1 and policy.judge is None:
        yield node.problem(
            f"{policy.samples} samples are compared only in a cascade", "Add `endpoints` and `judge`"
        )


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """Where requests run. `policy: random` is short for `policy: {name: random}`."""

    name: str = setting(
        "weighted",
        text,
        "weighted, value, constrained, floor, cascade, single, cheapest, random, or a plugin's name",
    )
    weights: Weights = setting(
        Weights(accuracy=1.0, energy=1.0, time=1.0), _weights, "of `weighted`: what matters; any sum above 0"
    )
    model: str | None = setting(None, optional(text), "of `single`: the model that gets every request")
    seed: int = setting(0, integer(0), "of `random`: equal seeds choose equally")
    threshold: float | None = setting(
        None, optional(number(0, 1)), "of `floor`: the cheapest endpoint with this predicted quality"
    )
    endpoints: tuple[str, ...] = setting(
        (), names, "of `cascade`: endpoints or models, the smallest first; also for router-cascade-T"
    )
    judge: Path | None = setting(
        None, optional(path), "of `cascade`: the file that tells how likely answers are right"
    )
    samples: int = setting(
        1,
        integer(1, MAX_SAMPLES),
        "of `cascade`: answers of an endpoint that are compared, to judge the first",
    )
    objective: tuple[NamedNumber, ...] = setting(
        (NamedNumber("cost", 1.0),),
        read_objective,
        "of `constrained`: cost, energy or time is minimised, or a sum: {cost: 1, energy: 1e-6}",
    )
    limits: LimitsConfig = setting(
        LimitsConfig(), section(LimitsConfig), "of `constrained`: what requests keep to"
    )
    patience_s: float = setting(
        10.0,
        number(0, above=True),
        "of `constrained`: a wait so long counts as much as the dearest endpoint above the cheapest",
    )
    skip_cost: float | None = setting(
        None,
        optional(number(0)),
        "of `constrained`: what not answering costs, in the objective's unit; null: all are answered",
    )
