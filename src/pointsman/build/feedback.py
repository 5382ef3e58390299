"""Labels, and the plug-ins that give some."""

from __future__ import annotations

from typing import cast

from pointsman.build.plugins import plugin
from pointsman.config import Config
from pointsman.live.feedback import Feedback
from pointsman.live.graders import Grader, Judge
from pointsman.store.decision_log import DecisionLog


def graders_of(config: Config) -> tuple[Grader, ...]:
    """The configured graders. Raises: ConfigError where one is not installed or can't be loaded."""
    return tuple(
        Grader(made.name, made.share, cast(Judge, plugin("grade", made.name)))
        for made in config.feedback.graders
    )


def feedback_of(config: Config, log: DecisionLog | None) -> Feedback | None:
    """What takes labels in; None without a log that they could join. Raises: ConfigError."""
    if log is None:
        return None
    return Feedback(log, graders_of(config), max_waiting=config.feedback.max_waiting)
