from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.predict.task import _SUM, READ_CHARS, TASKS, _has_sum, prompt_task

EXAMPLES = {
    "Write a Python function `double(n)` that returns n times two.": "code",
    "What does this do?\n```\nprint(1)\n```": "code",
    "Which of these is a fruit?\nA) stone\nB) apple\nC) chair": "choice",
    "What is 12 + 30 * 2?": "arithmetic",
    "A box holds 4 coins. How many are in 7 boxes?": "arithmetic",
    "How much is six times seven?": "arithmetic",
    "Anna is taller than Ben. Who is the shortest?": "reasoning",
    "What comes next: 2, 4, 6, 8, ?": "reasoning",
    "What is the capital of France?": "fact",
    "Give the chemical symbol for tin.": "fact",
    "Explain reinforcement learning": "chat",
    "Hello there": "chat",
    "": "chat",
    "\ud800 \x00 \u202e": "chat",
    "Retell this as a long story: the older boat is faster than the train.": "chat",
}


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples(text: str) -> None:
    assert prompt_task(text) == EXAMPLES[text]
    assert EXAMPLES[text] in TASKS


def test_only_the_head_is_read() -> None:
    head = "word " * READ_CHARS
    assert prompt_task(head) == prompt_task(head + "def f(): what is 1 + 1?") == "chat"


@given(st.text("07 \t\n\x1f(+-*/^%x.", max_size=12))
def test_a_sum_is_found_by_kinds_as_by_the_pattern(text: str) -> None:
    assert _has_sum(text) == (_SUM.search(text) is not None)
