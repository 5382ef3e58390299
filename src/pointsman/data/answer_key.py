"""What an answer says, in a form in which samples of one endpoint can be compared: an option, a number, a short text.

Where what makes an answer right is known (`collect`), that tells how it is read. In the gateway only the prompt
does, and some answers can't be compared there: code, which is not run, and prose, since two samples
never say it in the same words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from pointsman.data.numerals import final_number
from pointsman.data.scoring import chosen_option
from pointsman.predict.task import prompt_task

Reading = Callable[[str], str | None]
"""An answer's text to what it says; None where nothing can be read."""

SHORT_WORDS: Final = 12
"""A longer text without option or number is prose."""

_FIRST_OPTION: Final = re.compile(r"(?:^|[\s(*])A[.):]\s")
_SECOND_OPTION: Final = re.compile(r"[\s(*]B[.):]\s")
_ASKS_NUMBER: Final = re.compile(
    r"\bhow (?:many|much|old|far|long|tall|fast)\b|\bwhat (?:percentage|percent|fraction)\b|\bthe number\b",
    re.IGNORECASE,
)


def number_key(text: str) -> str | None:
    """The number that the text answers with, exactly."""
    number = final_number(text)
    return None if number is None else str(number)


def plain_key(text: str) -> str | None:
    """The text without regard to case, blanks, and a full stop at its end."""
    return " ".join(text.casefold().split()).rstrip(" .!") or None


def reading_of(prompt: str, first: str) -> Reading | None:
    """How answers to a prompt are compared, given the text of the first; None if they can't be. Linear in both."""
    if not first.strip() or "```" in first or prompt_task(prompt) == "code":
        return None
    if (option := _FIRST_OPTION.search(prompt)) and _SECOND_OPTION.search(prompt, option.end()):
        return chosen_option
    if _ASKS_NUMBER.search(prompt) or prompt_task(prompt) == "arithmetic":
        return number_key
    return plain_key if len(first.split()) <= SHORT_WORDS else None


def agreement(first: str | None, further: Sequence[str | None]) -> float | None:
    """Share of the further samples that say what the first says, in [0, 1]; None without any.

    An answer that says nothing agrees with none.
    """
    if not further:
        return None
    return sum(first is not None and said == first for said in further) / len(further)
