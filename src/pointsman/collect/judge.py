"""From a journal's answers to outcomes: what each answer says, and how right that is.

Multiple choice is judged twice: by the likeliest option at the first token (method `logprob`) and by
the text (`generation_score`). Without log-probabilities only the text counts (method `generation`).
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from pointsman.collect.plugin_scorer import Scorer
from pointsman.data.answer_key import number_key, plain_key
from pointsman.data.answers import NumberAnswer, OptionAnswer, PythonAnswer
from pointsman.data.outcomes import OutcomeRow
from pointsman.data.question_sets import SetQuestion
from pointsman.data.sandbox import SandboxLimits, extract_code, show_value
from pointsman.data.scoring import chosen_option, score

CODE_LIMITS: Final = SandboxLimits(wall_s=30.0)
"""The models that are asked may be busy on the same cores; CPU seconds are limited as elsewhere."""


def judge_records(
    records: Iterable[Mapping[str, Any]],
    questions: Sequence[SetQuestion],
    cpu: str | None,
    *,
    scorer: Scorer | None = None,
    on_row: Callable[[], None] = lambda: None,
    workers: int = 1,
) -> list[OutcomeRow]:
    """The outcomes of every answered record of these questions, in the order of questions and models.

    Args:
        records: of `collect_answers`' journal; failed ones are left out, and of two of one (question,
            model, sample) the later counts.
        questions: that were asked.
        cpu: kept with each row.
        scorer: judges texts instead of the built-in rules.
        on_row: called after each.
        workers: answers judged at once; code runs in child processes.
    """
    by_id = {question.id: question for question in questions}
    order = {question.id: place for place, question in enumerate(questions)}
    answered = {
        (record["query_id"], record["model"], record["sample"]): record
        for record in records
        if "error" not in record and record["query_id"] in by_id
    }
    keys = sorted(answered, key=lambda key: (order[key[0]], key[1], key[2]))

    def judged(key: tuple[str, str, int]) -> OutcomeRow:
        row = judge(answered[key], by_id[key[0]], cpu, scorer)
        on_row()
        return row

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(judged, keys))


def judge(
    record: Mapping[str, Any], question: SetQuestion, cpu: str | None, scorer: Scorer | None = None
) -> OutcomeRow:
    """One outcome. Code in an answer runs in the sandbox."""
    text: str = record["text"]
    generation = scorer(question, text) if scorer else score(question.answer, text, limits=CODE_LIMITS).value
    key = said = text_key(question, text)
    options = option_logprobs(question.options, record["first_tokens"])
    by_logprob = options is not None and record["sample"] == 0 and isinstance(question.answer, OptionAnswer)
    right, chosen_logprob = generation, None
    if options is not None:
        known = dict(zip(question.options, options, strict=True))
        likeliest = max(known, key=lambda letter: -math.inf if math.isnan(known[letter]) else known[letter])
        if by_logprob and isinstance(question.answer, OptionAnswer):
            key, right = likeliest, float(likeliest == question.answer.letter)
        if key in known and not math.isnan(known[key]):
            total = math.log(sum(math.exp(value) for value in options if not math.isnan(value)))
            chosen_logprob = known[key] - total
    logprobs: Sequence[float] = record["token_logprobs"] or ()
    return OutcomeRow(
        query_id=question.id,
        model=record["model"],
        sample=record["sample"],
        method="logprob" if by_logprob else "generation",
        score=right,
        generation_score=generation,
        answer_key=key,
        parsed=said is not None,
        finish_reason=record["finish_reason"],
        input_tokens=record["input_tokens"],
        output_tokens=record["output_tokens"],
        cached_tokens=record["cached_tokens"],
        output_chars=len(text),
        latency_s=record["latency_s"],
        energy_j=record["energy_j"],
        energy_modelled=record["energy_modelled"],
        meter=record["meter"],
        cpu=cpu,
        chosen_logprob=chosen_logprob,
        option_logprobs=options,
        mean_logprob=math.fsum(logprobs) / len(logprobs) if logprobs else None,
        min_logprob=min(logprobs, default=None),
        concurrency=record["concurrency"],
        started_unix_s=record["started_unix_s"],
    )


def option_logprobs(options: str, first_tokens: Iterable[tuple[str, float]]) -> tuple[float, ...] | None:
    """Of each option at the first token: the best of its spellings ("B", " B"), NaN where it has none.

    None where no option is among the candidates.
    """
    best: dict[str, float] = {}
    for token, logprob in first_tokens:
        letter = token.strip()
        if len(letter) == 1 and letter in options:
            best[letter] = max(logprob, best.get(letter, -math.inf))
    return tuple(best.get(letter, math.nan) for letter in options) if best else None


def text_key(question: SetQuestion, text: str) -> str | None:
    """What the text says, in a canonical form; None where nothing can be read."""
    match question.answer:
        case NumberAnswer():
            return number_key(text)
        case OptionAnswer():
            return chosen_option(text)
        case PythonAnswer(function, tests):
            code = extract_code(text, function)
            if code is None:
                return None
            expression = call_of(question.visible_test or tests[0])
            return show_value(code, function, expression, limits=CODE_LIMITS)
        case _:
            return plain_key(text)


def call_of(test: str) -> str:
    """What an assert compares: the left side of its comparison, else all of what it asserts."""
    statement = ast.parse(test).body[0]
    asserted = statement.test if isinstance(statement, ast.Assert) else ast.Constant(None)
    return ast.unparse(asserted.left if isinstance(asserted, ast.Compare) else asserted)
