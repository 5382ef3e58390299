"""Parts that other packages bring, found by their entry points.

The groups, and what each callable takes: docs/structures.md.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, Final, cast

from pointsman.errors import ConfigError

STAGES: Final = ("admit", "assign", "order", "predict", "meter", "engine", "grade")


def plugin_names() -> dict[str, tuple[str, ...]]:
    """The names that installed packages add, by stage."""
    return {
        stage: tuple(entry.name for entry in entry_points(group=f"pointsman.{stage}")) for stage in STAGES
    }


def plugin(stage: str, name: str) -> Callable[..., Any]:
    """The factory of that name. Raises: ConfigError where no package has it, or it can't be imported."""
    found = {entry.name: entry for entry in entry_points(group=f"pointsman.{stage}")}
    if name not in found:
        raise ConfigError(
            f"nothing is called {name!r} among the plugins of pointsman.{stage}",
            remedy=f"Installed: {', '.join(found) or 'none'}",
        )
    try:
        return cast(Callable[..., Any], found[name].load())
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"the plugin {name!r} ({found[name].value}) can't be loaded: {error}",
            remedy="Repair or remove its package",
        ) from error
