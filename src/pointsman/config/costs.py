"""Settings of value: what a run, a wrong answer and a missed one cost, in one currency of your own."""

from __future__ import annotations

from dataclasses import dataclass

from pointsman.config.parse import keyed, number, section, setting, shorthand
from pointsman.config.tree import Node
from pointsman.types import Penalties, RunCost, ValueTerms


@dataclass(frozen=True, slots=True)
class RunCostConfig:
    """What a run costs: a sum. `c_run: 0.2` is short for `c_run: {constant: 0.2}`."""

    constant: float = setting(0.0, number(), "whatever the request")
    per_usd: float = setting(0.0, number(), "for each dollar that its answer is predicted to cost")
    per_s: float = setting(0.0, number(), "for each second that its answer is predicted to take")
    per_j: float = setting(0.0, number(), "for each joule that its answer is predicted to take")


@dataclass(frozen=True, slots=True)
class ClassCosts:
    """Penalties of one service class."""

    name: str
    c_wrong: float
    c_miss: float


@dataclass(frozen=True, slots=True)
class _PenaltiesRead:
    c_wrong: float = setting(1.0, number(), "of an answer that is wrong")
    c_miss: float = setting(1.0, number(), "of skipping what would have been answered rightly")


def _class_costs(name: str, node: Node) -> ClassCosts:
    read = section(_PenaltiesRead)(node)
    return ClassCosts(name, read.c_wrong, read.c_miss)


@dataclass(frozen=True, slots=True)
class CostsConfig:
    """What decisions by value weigh: the admission `value`, the policy `value`, cascades."""

    c_run: RunCostConfig = setting(
        RunCostConfig(constant=0.2),
        shorthand("constant", section(RunCostConfig)),
        "of a run: a number, or rates on its predicted price, time and energy",
    )
    c_wrong: float = setting(1.0, number(), "of an answer that is wrong")
    c_miss: float = setting(1.0, number(), "of skipping what would have been answered rightly")
    classes: tuple[ClassCosts, ...] = setting(
        (), keyed(_class_costs), "service classes with a c_wrong and a c_miss of their own"
    )

    def terms(self) -> ValueTerms:
        """The same as policies read them."""
        run = self.c_run
        return ValueTerms(
            RunCost(run.constant, run.per_usd, run.per_s, run.per_j),
            Penalties(self.c_wrong, self.c_miss),
            {own.name: Penalties(own.c_wrong, own.c_miss) for own in self.classes},
        )
