"""`pointsman plot`: pictures of a choice and of a fit, each as PNG and SVG."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from pointsman.cli.fit_inputs import fit_source, usable_sources
from pointsman.cli.group import ErrorGroup
from pointsman.cli.preview import (
    AccuracyWeight,
    CarbonWeight,
    ConfigFile,
    EnergyWeight,
    FitFile,
    MaxTokens,
    PriceWeight,
    PromptFile,
    PromptText,
    TimeWeight,
    configured,
    given_weights,
    preview,
    prompt_request,
    read_prompt,
)
from pointsman.errors import BadRequest
from pointsman.predict.profile_fit import COST_KINDS, LENGTH_KINDS
from pointsman.report.choice_plots import Choice, plot_pareto, plot_sensitivity
from pointsman.report.figure import FORMATS, save
from pointsman.report.fit_plots import save_fit_plots
from pointsman.report.region_plot import plot_regions
from pointsman.types import CostTable, Weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PROMPT = "Explain reinforcement learning"
_SHOWN_PROMPT = 60
_BALANCED = Weights(accuracy=1.0, energy=1.0, time=1.0)

app = typer.Typer(
    cls=ErrorGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Draw choices and fits, as PNG and SVG. Needs matplotlib: `pip install 'pointsman[plot]'`.",
)

Out = Annotated[
    Path | None,
    typer.Option(help="The file to write; .png or .svg writes one, else both. `plots/NAME` by default."),
]


@app.command()
def pareto(
    prompt: PromptText = None,
    prompt_file: PromptFile = None,
    max_tokens: MaxTokens = None,
    config: ConfigFile = None,
    fit: FitFile = None,
    out: Out = None,
) -> None:
    """Accuracy against energy, with the Pareto front; dominated endpoints are marked.

    For example:

        pointsman plot pareto --prompt "Explain reinforcement learning"
    """
    choice = _choice(prompt, prompt_file, max_tokens, config, fit, None)
    _draw("pareto", plot_pareto, choice, out)


@app.command()
def sensitivity(
    prompt: PromptText = None,
    prompt_file: PromptFile = None,
    weight_accuracy: AccuracyWeight = None,
    weight_energy: EnergyWeight = None,
    weight_time: TimeWeight = None,
    weight_price: PriceWeight = None,
    weight_carbon: CarbonWeight = None,
    max_tokens: MaxTokens = None,
    config: ConfigFile = None,
    fit: FitFile = None,
    out: Out = None,
) -> None:
    """Scores and choice as each weight goes from 0 to 1, the others in proportion.

    For example:

        pointsman plot sensitivity --weight-accuracy 0.7 --weight-energy 0.2 --weight-time 0.1
    """
    weights = given_weights(weight_accuracy, weight_energy, weight_time, weight_price, weight_carbon)
    choice = _choice(prompt, prompt_file, max_tokens, config, fit, weights)
    _draw("sensitivity", plot_sensitivity, choice, out)


@app.command()
def regions(
    prompt: PromptText = None,
    prompt_file: PromptFile = None,
    weight_accuracy: AccuracyWeight = None,
    weight_energy: EnergyWeight = None,
    weight_time: TimeWeight = None,
    max_tokens: MaxTokens = None,
    config: ConfigFile = None,
    fit: FitFile = None,
    out: Out = None,
) -> None:
    """Which endpoint is chosen at each point of the triangle of accuracy, energy and time weights.

    For example:

        pointsman plot regions --config config.yaml --out docs/regions.svg
    """
    weights = given_weights(weight_accuracy, weight_energy, weight_time, None, None)
    choice = _choice(prompt, prompt_file, max_tokens, config, fit, weights)
    _draw("regions", plot_regions, choice, out)


@app.command("fit")
def fit_pictures(
    inputs: Annotated[list[Path], typer.Argument(metavar="PROFILE...", help="Measured profiles.")],
    model: Annotated[str, typer.Option(help=f"Cost model: {', '.join(COST_KINDS)}.")] = "shape",
    length: Annotated[str, typer.Option(help=f"Length model: {', '.join(LENGTH_KINDS)}.")] = "task_mean",
    seed: Annotated[int, typer.Option(min=0, help="Decides which prompts are held out together.")] = 1,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write to.")] = Path("plots"),
) -> None:
    """Residuals of held-out prompts, and how they drift along the run; two pictures an endpoint.

    For example:

        pointsman plot fit profile.parquet
    """
    if model not in COST_KINDS or length not in LENGTH_KINDS:
        raise BadRequest(
            f"--model {model} --length {length} can't be used",
            remedy=f"Models: {', '.join(COST_KINDS)}; lengths: {', '.join(LENGTH_KINDS)}",
        )
    for source in usable_sources(inputs)[0]:
        figures = fit_source(source, model, length, seed)
        if not figures.held:
            typer.echo(f"{source.name}: {'; '.join(source.notes)}; no picture")
            continue
        for path in save_fit_plots(out, figures.profile, source.rows, figures.held):
            typer.echo(f"written: {path}")


def _choice(
    prompt: str | None,
    prompt_file: Path | None,
    max_tokens: int | None,
    config_file: Path | None,
    fit_file: Path | None,
    weights: Weights | None,
) -> Choice:
    """What the configured policies would decide from, and where it is from."""
    text = read_prompt(_PROMPT if prompt is None and prompt_file is None else prompt, prompt_file)
    config = configured(config_file, fit_file)
    seen = preview(config, prompt_request(text, max_tokens, weights, config))
    table = seen.decision.predictions
    used = seen.decision.weights or _BALANCED.normalised()
    line = " ".join(text[: 4 * _SHOWN_PROMPT].split())
    shown = line if len(line) <= _SHOWN_PROMPT else line[: _SHOWN_PROMPT - 1] + "…"
    eligible = [name not in seen.decision.excluded for name in table.endpoints]
    return Choice(
        table,
        np.array(eligible),
        used,
        f'Prompt "{shown}", {_tokens(table)}.',
        "; ".join(dict.fromkeys(fact.origin for fact in seen.facts.values())),
        any(fact.energy_modelled for fact in seen.facts.values()),
    )


def _tokens(table: CostTable) -> str:
    inputs, outputs = table.input_tokens[0], table.output_tokens.value[0]
    return (
        f"{_range(inputs.min(), inputs.max())} tokens in, {_range(outputs.min(), outputs.max())} expected out"
    )


def _range(low: float, high: float) -> str:
    return f"{low:.0f}" if f"{low:.0f}" == f"{high:.0f}" else f"{low:.0f} to {high:.0f}"


def _draw(name: str, draw: Callable[[Choice], Figure], choice: Choice, out: Path | None) -> None:
    target = out or Path("plots") / name
    suffix = target.suffix.removeprefix(".")
    for path in save(draw(choice), target, [suffix] if suffix else FORMATS):
        typer.echo(f"written: {path}")
