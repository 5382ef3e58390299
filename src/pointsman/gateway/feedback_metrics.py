"""What is counted of labels, for `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.gateway.exposition import Counter, gauge
from pointsman.live.feedback import Feedback
from pointsman.live.graders import GraderThread
from pointsman.live.growth import Growth


def feedback_lines(feedback: Feedback) -> Iterator[str]:
    """The blocks of the exposition, read at the moment of the scrape."""
    labels = Counter("pointsman_labels_total", "Labels of answers, by what became of them.", ("state",))
    labels.add("new", by=feedback.kept.new)
    labels.add("repeated", by=feedback.kept.repeated)
    labels.add("lost", by=feedback.lost)
    yield from labels.lines()
    unknown = Counter("pointsman_unknown_labels_total", "Labels kept before their request was in the log.")
    unknown.add(by=feedback.kept.unknown)
    yield from unknown.lines()
    if feedback.graders is not None:
        yield from _graded(feedback.graders)
    if feedback.growth is not None:
        yield from _grown(feedback.growth)


def _graded(graders: GraderThread) -> Iterator[str]:
    graded = Counter(
        "pointsman_graded_answers_total", "Answers that graders were asked about.", ("grader", "result")
    )
    for (grader, result), count in graders.graded.items():
        graded.add(grader, result, by=count)
    yield from graded.lines()
    dropped = Counter("pointsman_ungraded_answers_total", "Sampled, but too long, or too many waited.")
    dropped.add(by=graders.dropped)
    yield from dropped.lines()


def _grown(growth: Growth) -> Iterator[str]:
    rows = {"learned": float(growth.rows)}
    yield from gauge("pointsman_grown_outcomes", "Recent outcomes that it looks up.", "predictor", rows)
    dropped = Counter("pointsman_ungrown_outcomes_total", "Outcomes and labels that it had no room for.")
    dropped.add(by=growth.dropped)
    yield from dropped.lines()
