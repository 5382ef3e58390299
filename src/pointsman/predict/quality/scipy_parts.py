"""SciPy, which fitting a trained model needs and forecasting by it does not."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pointsman.errors import MissingError


def scipy_part(name: str) -> Any:
    """A module of SciPy, such as `optimize`. Raises: MissingError without it."""
    try:
        return import_module(f"scipy.{name}")
    except ImportError as error:
        raise MissingError("training needs scipy", remedy="pip install 'pointsman[train]'") from error
