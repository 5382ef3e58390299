"""The two CSV files of the energy, time and correctness aware scheduler's layout, read and written.

`model_regression_summary.csv`: one row for each model and target, `T = b0 + b1 in + b2 out + b3 in*out`

    column       other names that are read                                      meaning
    model        model_name, name
    target       metric, quantity, dependent_variable, response, type           runtime|time|latency or energy
    intercept    b0, const, beta_0, beta0                                       seconds or joules
    input_tokens  b1, coef_input_tokens, input, in, beta_1, beta1               a token
    output_tokens  b2, coef_output_tokens, output, out, beta_2, beta2           a token
    interaction  b3, input_output, input_tokens:output_tokens, in*out, beta_3   a token pair; 0 if absent

`model_accuracy_scores.csv`: `model` and `accuracy` (or `score`, `acc`), in [0, 1] or, if any is above 1,
all in percent. Case and blanks around names don't matter; other columns are ignored.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from pointsman.errors import DataError
from pointsman.predict.artifact import FitArtifact
from pointsman.predict.cost import OlsCost
from pointsman.predict.length import LinearLength
from pointsman.predict.model_profile import (
    DEFAULT_ENERGY,
    CostCurve,
    LoadFactors,
    ModelProfile,
    Provenance,
    QualityPrior,
    TokenCount,
)

REGRESSION_FILE: Final = "model_regression_summary.csv"
ACCURACY_FILE: Final = "model_accuracy_scores.csv"
_FLOOR: Final = 1e-3
_MODEL: Final = ("model", "model_name", "name")
_TARGET: Final = ("target", "metric", "quantity", "dependent_variable", "response", "type")
_TIME: Final = ("runtime", "time", "latency", "runtime_s", "time_s", "latency_s", "t")
_ENERGY: Final = ("energy", "energy_j", "e")
_COEFFICIENTS: Final = {
    "intercept": ("intercept", "b0", "const", "beta_0", "beta0"),
    "input_tokens": ("input_tokens", "b1", "coef_input_tokens", "input", "in", "beta_1", "beta1"),
    "output_tokens": ("output_tokens", "b2", "coef_output_tokens", "output", "out", "beta_2", "beta2"),
    "interaction": (
        "interaction", "b3", "input_output", "input_tokens:output_tokens", "in*out", "beta_3", "beta3",
    ),
}  # fmt: skip
_ACCURACY: Final = ("accuracy", "score", "acc")


def read_original_layout(folder: Path) -> FitArtifact:
    """Profiles with `ols` costs and published accuracies; the accuracy file may be absent.

    Tokens and length keep their documented defaults; there are no intervals, since the layout has none.
    Raises: DataError that names file, column, row (the first below the header is 1), value and remedy.
    """
    regression = folder / REGRESSION_FILE
    costs = read_regression(regression)
    accuracy_file = folder / ACCURACY_FILE
    accuracy = read_accuracy(accuracy_file) if accuracy_file.exists() else {}
    unknown = sorted(set(accuracy) - set(costs))
    if unknown:
        raise DataError(
            f"{accuracy_file} has models that {regression} has not: {', '.join(unknown)}",
            remedy=f"Use the same names: {', '.join(costs)}",
        )
    profiles = []
    for model, parts in costs.items():
        missing = [name for name in ("time", "energy") if name not in parts]
        if missing:
            raise DataError(
                f"{regression} has no row of {missing[0]} for model {model}",
                remedy="Add one row each with target runtime and energy",
            )
        prior = QualityPrior(accuracy[model]) if model in accuracy else QualityPrior()
        profiles.append(
            ModelProfile(
                model,
                TokenCount(),
                LinearLength(),
                CostCurve(parts["time"], _FLOOR),
                CostCurve(parts["energy"], _FLOOR, LoadFactors(grows=False)),
                {"": prior},
                Provenance(regression.name, meter="the source's meter"),
            )
        )
    return FitArtifact(tuple(profiles), "", (("cost", "ols"), ("length", "linear")))


def read_regression(path: Path) -> dict[str, dict[str, OlsCost]]:
    """Model -> `time` and `energy` -> coefficients. Raises DataError."""
    rows = _rows(path)
    model_column, target_column = _column(path, rows, _MODEL), _column(path, rows, _TARGET)
    columns = {
        name: _column(path, rows, aliases, required=name != "interaction")
        for name, aliases in _COEFFICIENTS.items()
    }
    costs: dict[str, dict[str, OlsCost]] = {}
    for number, row in enumerate(rows, start=1):
        model, word = _word(path, number, model_column, row), _word(path, number, target_column, row)
        target = "time" if word.lower() in _TIME else "energy" if word.lower() in _ENERGY else None
        if target is None:
            raise DataError(
                f"{path}, row {number}, column {target_column}: {word!r} is no target",
                remedy=f"Use one of {', '.join((*_TIME, *_ENERGY))}",
            )
        if target in costs.setdefault(model, {}):
            raise DataError(f"{path}, row {number}: {model} has a row of {target} already", remedy="Keep one")
        values = [_number(path, number, column, row) for column in columns.values()]
        costs[model][target] = OlsCost(np.array(values))
    return costs


def read_accuracy(path: Path) -> dict[str, float]:
    """Model -> accuracy in [0, 1]. Raises DataError."""
    rows = _rows(path)
    model_column, column = _column(path, rows, _MODEL), _column(path, rows, _ACCURACY)
    values: dict[str, float] = {}
    for number, row in enumerate(rows, start=1):
        model = _word(path, number, model_column, row)
        value = _number(path, number, column, row)
        if model in values or not 0 <= value <= 100:  # noqa: PLR2004 - percent
            raise DataError(
                f"{path}, row {number}: {model} has the accuracy {value}"
                + (" and had one before" if model in values else ""),
                remedy="Give each model one accuracy in [0, 1], or all in percent",
            )
        values[model] = value
    percent = max(values.values()) > 1
    return {model: value / 100 if percent else value for model, value in values.items()}


def write_original_layout(artifact: FitArtifact, folder: Path) -> tuple[Path, Path]:
    """Write both files from profiles with `ols` costs. Raises DataError for another kind."""
    folder.mkdir(parents=True, exist_ok=True)
    regression, accuracy = folder / REGRESSION_FILE, folder / ACCURACY_FILE
    lines: list[Sequence[str | float]] = [("model", "target", *_COEFFICIENTS)]
    for profile in artifact.profiles:
        for target, curve in (("runtime", profile.time), ("energy", profile.energy)):
            if target == "energy" and curve is DEFAULT_ENERGY:
                raise DataError(
                    f"the energy of {profile.endpoint} was not measured; this layout needs it",
                    remedy="Leave out --csv, or the files without energy",
                )
            if not isinstance(curve.model, OlsCost):
                raise DataError(
                    f"{profile.endpoint} has a {curve.model.name} model; this layout holds ols only",
                    remedy="Fit again with --model ols",
                )
            lines.append((profile.endpoint, target, *(float(value) for value in curve.model.coefficients)))
    _write(regression, lines)
    _write(
        accuracy,
        [("model", "accuracy"), *((each.endpoint, each.quality[""].mean) for each in artifact.profiles)],
    )
    return regression, accuracy


def _write(path: Path, lines: Sequence[Sequence[str | float]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(
            f"{path} can't be read: {error.strerror}", remedy="A folder needs model_regression_summary.csv"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text", remedy="Save it as UTF-8 CSV") from error
    try:
        rows = [
            {(name or "").strip().lower(): (value or "") for name, value in row.items() if name is not None}
            for row in csv.DictReader(text.splitlines(), strict=True)
        ]
    except csv.Error as error:
        raise DataError(f"{path} is no CSV: {error}", remedy="Save it as CSV with commas") from error
    if not rows:
        raise DataError(f"{path} has no rows", remedy="It needs a header and one row a model")
    return rows


def _column(
    path: Path, rows: Sequence[Mapping[str, str]], names: Sequence[str], *, required: bool = True
) -> str | None:
    found = next((name for name in names if name in rows[0]), None)
    if found is None and required:
        raise DataError(
            f"{path} has no column {names[0]} (it has {', '.join(rows[0])})",
            remedy=f"Name it one of {', '.join(names)}",
        )
    return found


def _word(path: Path, number: int, column: str | None, row: Mapping[str, str]) -> str:
    word = row.get(column or "", "").strip()
    if not word:
        raise DataError(f"{path}, row {number}, column {column}: empty", remedy="Fill it in")
    return word


def _number(path: Path, number: int, column: str | None, row: Mapping[str, str]) -> float:
    if column is None:
        return 0.0
    text = row.get(column, "").strip()
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(
            f"{path}, row {number}, column {column}: {text!r} is no finite number", remedy="Correct the cell"
        )
    return value
