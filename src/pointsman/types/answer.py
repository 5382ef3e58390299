"""What an answer tells of itself, beside its text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AnswerSignals:
    """Signs of an answer's being right; None where the endpoint does not tell.

    Attributes:
        chosen_logprob: natural log-probability of the token that names the option, of a multiple choice.
        mean_logprob, min_logprob: over the generated tokens.
        output_tokens: generated tokens.
        finished: it came to its natural end, not to a limit.
        agreement: share of further samples of the same endpoint that say the same, in [0, 1].
    """

    chosen_logprob: float | None = None
    mean_logprob: float | None = None
    min_logprob: float | None = None
    output_tokens: float | None = None
    finished: bool | None = None
    agreement: float | None = None
