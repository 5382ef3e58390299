r"""Finds the number that an answer gives, exactly.

In this order: the last number of the last `\boxed{}`; what follows the last "answer is", "answer:"
or "answer =" (the first number of that line or sentence, or its last if an equals sign stands there);
a number alone on the first line; the last number of the text.

Read are signs (with the typographic ones), decimals, thousands separated by commas or narrow spaces,
fractions (`1/2`, `1 1/2`, `\frac{1}{2}`), exponents to two digits, and numbers with currency, percent
or a unit behind. Not read: digits in a word (H2O) or after `^` (cm^2), a minus between operands.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

MAX_NUMBER_CHARS: Final = 40
"""A longer run of digits is no answer; this bounds the arithmetic an answer can cause."""

_GROUPED: Final = "[0-9]{1,3}(?:[,\u00a0\u202f][0-9]{3})+(?![0-9])"
_NUMBER: Final = re.compile(
    r"(?<![\w^])(?<![0-9]\.)(?P<sign>(?<![)\]}])[-+])?[$€£]?(?:"
    r"(?:(?P<whole>[0-9]+) )?(?P<top>[0-9]+)/(?P<bottom>[0-9]+)(?!\.?[0-9])"
    rf"|(?P<digits>(?:{_GROUPED}|[0-9]+)(?:\.[0-9]+)?|(?<!\.)\.[0-9]+)"
    r"(?P<power>[eE][-+]?[0-9]{1,2}(?![0-9]))?)"
)
_MINUS_SIGNS: Final = str.maketrans(dict.fromkeys("\u2212\u2013\ufe63\uff0d", "-"))
_FRAC: Final = re.compile(r"\\[dt]?frac\{\s*([0-9]+)\s*\}\{\s*([0-9]+)\s*\}")
_BOXED: Final = re.compile(r"\\boxed\{([^{}]*)\}")
_ANNOUNCED: Final = re.compile(r"\banswer(?:\s+is\b|\W{0,2}[:=])[\s:*]*", re.IGNORECASE)
_PHRASE_END: Final = re.compile(r"\n|[.!?;](?=\s|$)")
_MARKUP: Final = " \t\r*`$"


def final_number(text: str) -> Fraction | None:
    """Give the number the text answers with, or None. See the module's text for the rules."""
    text = _FRAC.sub(r"\1/\2", text.translate(_MINUS_SIGNS))
    for boxed in reversed(_BOXED.findall(text)):
        if numbers := list(_NUMBER.finditer(boxed)):
            return _value(numbers[-1])
    announced = list(_ANNOUNCED.finditer(text))
    if announced:
        phrase = _PHRASE_END.split(text[announced[-1].end() :], maxsplit=1)[0]
        if numbers := list(_NUMBER.finditer(phrase)):
            return _value(numbers[-1] if "=" in phrase else numbers[0])
    first_line = text.strip().partition("\n")[0]
    alone = _NUMBER.fullmatch(first_line.lstrip(_MARKUP).rstrip(_MARKUP + "."))
    if alone is not None:
        return _value(alone)
    numbers = list(_NUMBER.finditer(text))
    return _value(numbers[-1]) if numbers else None


def _value(number: re.Match[str]) -> Fraction | None:
    """The exact value, or None for a division by zero or too many digits."""
    if len(number[0]) > MAX_NUMBER_CHARS:
        return None
    if number["digits"] is not None:
        digits = re.sub("[,\u00a0\u202f]", "", number["digits"])
        size = Fraction(digits + (number["power"] or ""))
    elif int(number["bottom"]) == 0:
        return None
    else:
        size = int(number["whole"] or 0) + Fraction(int(number["top"]), int(number["bottom"]))
    return -size if number["sign"] == "-" else size
