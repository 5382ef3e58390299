"""JSON objects read field by field, each value checked and named by its place when it is wrong."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import Any, Final, NoReturn

from pointsman.errors import DataError

REMEDY: Final = "Make it again with: pointsman fit"


class Reader:
    """A JSON object whose fields are taken one by one; `end` refuses those that were not."""

    def __init__(self, value: Any, place: str) -> None:
        self.place = place
        if not isinstance(value, dict):
            raise DataError(f"{place} is {type(value).__name__}, not an object", remedy=REMEDY)
        self._values: dict[str, Any] = dict(value)

    def names(self) -> tuple[str, ...]:
        """The names of fields not yet taken."""
        return tuple(self._values)

    def take(self, name: str) -> Any:
        """A field's raw value."""
        if name not in self._values:
            raise DataError(f"{self.place} has no field {name}", remedy=REMEDY)
        return self._values.pop(name)

    def text(self, name: str) -> str:
        """A string."""
        value = self.take(name)
        if not isinstance(value, str):
            self._refuse(name, value, "a string")
        return str(value)

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.take(name)
        if not isinstance(value, bool):
            self._refuse(name, value, "true or false")
        return bool(value)

    def whole(self, name: str, low: int = 0) -> int:
        """A whole number from `low` up."""
        value = self.take(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            self._refuse(name, value, f"a whole number from {low} up")
        return int(value)

    def number(self, name: str, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number in [low, high]."""
        return self._number(name, self.take(name), low, high)

    def numbers(self, name: str, count: int | None = None, low: float = -math.inf) -> tuple[float, ...]:
        """A list of finite numbers from `low` up."""
        value = self.take(name)
        if not isinstance(value, list) or (count is not None and len(value) != count):
            self._refuse(name, value, "a list of numbers" if count is None else f"a list of {count} numbers")
        return tuple(self._number(f"{name}[{i}]", item, low, math.inf) for i, item in enumerate(value))

    def child(self, name: str) -> Reader:
        """An object."""
        return Reader(self.take(name), f"{self.place}: {name}")

    def child_or_none(self, name: str) -> Reader | None:
        """An object, or None where it is null."""
        value = self.take(name)
        return None if value is None else Reader(value, f"{self.place}: {name}")

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        value = self.take(name)
        if not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            self._refuse(name, value, "a list of strings")
        return tuple(value)

    def children(self, name: str) -> Iterable[Reader]:
        """A list of objects."""
        value = self.take(name)
        if not isinstance(value, list):
            self._refuse(name, value, "a list")
        return [Reader(item, f"{self.place}: {name}[{i}]") for i, item in enumerate(value)]

    def end(self) -> None:
        """Raises DataError if fields are left."""
        if self._values:
            raise DataError(
                f"{self.place} has unknown fields {', '.join(sorted(self._values))}",
                remedy=REMEDY,
            )

    def _number(self, name: str, value: Any, low: float, high: float) -> float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and abs(value) <= sys.float_info.max and low <= value <= high):
            self._refuse(name, value, f"a number in [{low:g}, {high:g}]")
        return float(value)

    def _refuse(self, name: str, value: Any, wanted: str) -> NoReturn:
        raise DataError(f"{self.place}: {name} is {value!r}, not {wanted}", remedy=REMEDY)
