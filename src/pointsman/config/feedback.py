"""Settings of what is learnt of answers after they were given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pointsman.config.parse import integer, many, number, required, section, setting, text
from pointsman.config.problem import Problem
from pointsman.config.tree import Node


@dataclass(frozen=True, slots=True)
class GraderConfig:
    """A plug-in that scores answers."""

    name: str = required(text, "a plugin's name under the entry-point group `pointsman.grade`")
    share: float = setting(
        0.05, number(0, 1), "of the answers that it scores, by the hash of the request's id"
    )


def _check_graders(feedback: FeedbackConfig, node: Node) -> Iterator[Problem]:
    named = [grader.name for grader in feedback.graders]
    for name in sorted({name for name in named if named.count(name) > 1}):
        yield node.problem(f"the grader {name!r} stands twice", "Name each grader once")


@dataclass(frozen=True, slots=True)
class FeedbackConfig:
    """What is learnt of answers after they were given; needs `log.path`."""

    graders: tuple[GraderConfig, ...] = setting(
        (), many(section(GraderConfig)), "plug-ins that score a share of the answers"
    )
    max_waiting: int = setting(
        100, integer(1, 100_000), "answers that may wait for graders; more are not graded"
    )


read_feedback = section(FeedbackConfig, _check_graders)
