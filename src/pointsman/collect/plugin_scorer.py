"""Judges that other packages bring, by their entry points in the group `pointsman.scorer`."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Final

from pointsman.data.question_sets import SetQuestion
from pointsman.errors import BadRequest, DataError

GROUP: Final = "pointsman.scorer"

Scorer = Callable[[SetQuestion, str], float]
"""Question and text to a score in [0, 1]."""


def scorer_named(name: str) -> Scorer:
    """The installed judge of that name.

    Returns: it, refusing scores outside [0, 1] with DataError.
    Raises: BadRequest where no package has it, or it can't be imported.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        raise BadRequest(
            f"no scorer is called {name!r}",
            remedy=f"Installed in {GROUP}: {', '.join(sorted(found)) or 'none'}",
        )
    try:
        scorer: Scorer = found[name].load()
    except (ImportError, AttributeError) as error:
        raise BadRequest(
            f"the scorer {name!r} ({found[name].value}) can't be loaded: {error}",
            remedy="Repair or remove its package",
        ) from error

    def checked(question: SetQuestion, text: str) -> float:
        value = float(scorer(question, text))
        if not 0 <= value <= 1:
            raise DataError(
                f"the scorer {name!r} gave {value} for {question.id!r}, not a share in [0, 1]",
                remedy="Divide by the best possible score",
            )
        return value

    return checked
