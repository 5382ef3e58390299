"""The words of Pointsman as types: values that never change once made.

A request is described by what predictors may see (`Prompt`) and by what it needs (`Needs`). The
table of predictions that every policy reads is `CostTable`: arrays of shape (R, E) for R requests
and E endpoints. A decision is kept as one row of that table with the reasons beside it; words are
built from it only when asked (`assign/explain.py`).
"""

from pointsman.types.answer import AnswerSignals
from pointsman.types.decision import (
    EMPTY,
    FLOOR,
    SKIPPED,
    UNASSIGNED,
    Admission,
    Admit,
    Assignment,
    Decision,
    Disposition,
    LimitSnapshot,
    LimitState,
    Outcome,
    Rates,
    with_all_runs,
)
from pointsman.types.endpoint import Capabilities, Endpoint, EndpointLoad, EndpointView
from pointsman.types.estimate import Bools, CostTable, Estimate, Floats
from pointsman.types.label import Kept, Label, without_superseded
from pointsman.types.request import (
    AUTO,
    BATCH,
    MAX_WEIGHT,
    OBJECTIVES,
    Api,
    Limits,
    Modality,
    Needs,
    Prompt,
    Request,
    Slo,
    Turn,
    Weights,
)
from pointsman.types.router import Router
from pointsman.types.value import Penalties, RunCost, Valuation, ValueTerms

__all__ = [
    "AUTO",
    "BATCH",
    "EMPTY",
    "FLOOR",
    "MAX_WEIGHT",
    "OBJECTIVES",
    "SKIPPED",
    "UNASSIGNED",
    "Admission",
    "Admit",
    "AnswerSignals",
    "Api",
    "Assignment",
    "Bools",
    "Capabilities",
    "CostTable",
    "Decision",
    "Disposition",
    "Endpoint",
    "EndpointLoad",
    "EndpointView",
    "Estimate",
    "Floats",
    "Kept",
    "Label",
    "LimitSnapshot",
    "LimitState",
    "Limits",
    "Modality",
    "Needs",
    "Outcome",
    "Penalties",
    "Prompt",
    "Rates",
    "Request",
    "Router",
    "RunCost",
    "Slo",
    "Turn",
    "Valuation",
    "ValueTerms",
    "Weights",
    "with_all_runs",
    "without_superseded",
]
