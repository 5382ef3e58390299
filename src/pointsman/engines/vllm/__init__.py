"""Our order inside vLLM: `--scheduler-cls pointsman.engines.vllm.Scheduler` (docs/engines.md).

vLLM is imported when that class is asked for, and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pointsman.engines.vllm.scheduler import Scheduler

__all__ = ["Scheduler"]


def __getattr__(name: str) -> Any:
    """The scheduler class. Raises: MissingError without vLLM, ConfigError for a version that it does not know."""
    if name != "Scheduler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pointsman.engines.vllm.version import check_version, installed_version

    check_version(installed_version())
    from pointsman.engines.vllm.scheduler import Scheduler as made  # noqa: N813

    return made
