"""What every grader must hold to, as a check that a plugin's tests can call.

def test_my_grader() -> None:
    check_grader(my_grader, right=[("2 + 2?", "4")], wrong=[("2 + 2?", "5")])
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Final

from pointsman.live.graders import Judge
from pointsman.testing.contract import ContractBroken

_PROMPTS: Final = ("What is 17 times 23?", "", "x" * 20_000, "\N{GREEK SMALL LETTER LAMDA}\x00\u200b\n")
_ANSWERS: Final = (
    "391",
    "",
    "I can't tell. " * 2_000,
    '{"answer": 391}',
    "```python\nprint(391)\n```",
    "\x00",
)


def check_grader(
    judge: Judge,
    *,
    right: Sequence[tuple[str, str]] = (),
    wrong: Sequence[tuple[str, str]] = (),
    repeatable: bool = True,
) -> None:
    """A number in [0, 1] or None for any prompt and answer, the same each time; right answers score higher.

    Args:
        judge: the grader.
        right: prompts and answers, each of which must score above each of `wrong`.
        wrong: prompts and answers.
        repeatable: False for a grader that draws, as one that asks a model may.
    """
    for prompt in _PROMPTS:
        for answer in _ANSWERS:
            first = _score(judge, prompt, answer)
            if repeatable and _score(judge, prompt, answer) != first:
                raise ContractBroken(f"asked again of {answer[:60]!r}, it says otherwise than {first}")
    least = min((_known(judge, *each) for each in right), default=1.0)
    most = max((_known(judge, *each) for each in wrong), default=0.0)
    if right and wrong and not least > most:
        raise ContractBroken(f"a right answer scores {least}, a wrong one {most}")


def _known(judge: Judge, prompt: str, answer: str) -> float:
    score = _score(judge, prompt, answer)
    if score is None:
        raise ContractBroken(f"it can't tell of {answer[:60]!r}, which it is said to know")
    return score


def _score(judge: Judge, prompt: str, answer: str) -> float | None:
    try:
        score = judge(prompt, answer)
        number = None if score is None else float(score)
    except Exception as error:
        raise ContractBroken(
            f"it raised {type(error).__name__} for the prompt {prompt[:60]!r} and the answer {answer[:60]!r}"
        ) from error
    if number is not None and not (isfinite(number) and 0 <= number <= 1):
        raise ContractBroken(f"it gave {score!r} for {answer[:60]!r}; a score is in [0, 1], or None")
    return number
