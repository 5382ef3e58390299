"""What is wrong with a configuration file: each problem with file, line, place, value and remedy."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pointsman.errors import ConfigError

CLOSE: Final = 0.8
"""Similarity from which an unknown key counts as a misspelt known one."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing to repair (or, in `Config.warnings`, to know).

    Attributes:
        file: the configuration file.
        line: 1-based; 0 where no line is at fault.
        column: 1-based; 0 where the line says enough.
        where: the path of keys, e.g. `pointsman.server.port`; empty for the file as a whole.
        message: what is wrong, with the value (masked where it may be a credential) and the limit.
        remedy: what to do.
    """

    file: Path
    line: int
    column: int
    where: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        place = str(self.file)
        if self.line:
            place += f":{self.line}"
        if self.column:
            place += f":{self.column}"
        parts = [place, self.where, self.message] if self.where else [place, self.message]
        text = ": ".join(parts)
        return f"{text}. {self.remedy}" if self.remedy else text


class ConfigProblems(ConfigError):
    """A configuration file that can't be used: all of its problems, one a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


class Refused(Exception):
    """Raised by a parser that could not make its value; carries everything it found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__()
        self.problems = tuple(problems)


def closest(word: str, known: Collection[str], cutoff: float = CLOSE) -> str | None:
    """The known word that `word` probably means, or None."""
    folded = word.lower().replace("-", "_")
    if folded in known:
        return folded
    found = difflib.get_close_matches(folded, known, n=1, cutoff=cutoff)
    return found[0] if found else None


def listed(words: Iterable[str]) -> str:
    """Words in alphabetical order, for the end of a remedy."""
    return ", ".join(sorted(words))
