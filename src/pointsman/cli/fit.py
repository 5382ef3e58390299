"""`pointsman fit`: from measured profiles to the curves that predictions read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pointsman.cli.fit_inputs import fit_source, usable_sources
from pointsman.cli.fit_tables import print_fit, print_imported
from pointsman.data.fit_sources import fingerprint
from pointsman.data.original_layout import read_original_layout, write_original_layout
from pointsman.errors import BadRequest, DataError
from pointsman.predict.artifact import FitArtifact
from pointsman.predict.profile_fit import COST_KINDS, LENGTH_KINDS


def fit(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="PROFILE...",
            help="Parquet files, ours or of `shared/data/profiles`; or one folder with the original CSVs.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The JSON file to write.")] = Path("fit.json"),
    model: Annotated[str, typer.Option(help=f"Cost model: {', '.join(COST_KINDS)}.")] = "shape",
    length: Annotated[str, typer.Option(help=f"Length model: {', '.join(LENGTH_KINDS)}.")] = "task_mean",
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Save plots of residuals and drift there, PNG and SVG.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write the original layout's CSVs (with ols).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides which prompts are held out together.")] = 1,
) -> None:
    """Fit time, energy, length and accuracy of every endpoint, and report how good the fit is.

    Printed for each: coefficients, R2, MAPE and the coverage of 90% intervals, by cross-validation with
    whole prompts held out. Numbers that follow from a model and not from a meter are marked so; where a
    file has no energy, that is said and the documented default stands for it.

    Of `shared/data/profiles`, energy_inference_runs and gpu_energy_small_llms give time and energy;
    llmperf_api_latency, splitwise_llama70b_bloom and helm_api_runtimes give time alone. No curve follows
    from ml_energy_v3 (averages without input lengths) and vidur_layer_kernels (no attention). Among
    other files such a file is left out with a warning; alone, as a missing or broken file always, it is
    an error, exit code 4.

    For example:

        pointsman fit profile.parquet --out fit.json --plots plots

        pointsman fit runs/a.parquet runs/b.parquet --model refined

        pointsman fit ../shared/data/profiles/energy_inference_runs.parquet --model ols --csv original

        pointsman fit ../shared/data/profiles/*

        pointsman fit original/          the folder of model_regression_summary.csv
    """
    if model not in COST_KINDS or length not in LENGTH_KINDS:
        raise BadRequest(
            f"--model {model} --length {length} can't be used",
            remedy=f"Models: {', '.join(COST_KINDS)}; lengths: {', '.join(LENGTH_KINDS)}",
        )
    console = Console()
    folders = [path for path in inputs if path.is_dir()]
    if folders:
        if len(inputs) > 1:
            raise BadRequest("a folder of CSVs is fitted already", remedy="Give it alone")
        artifact = _imported(folders[0])
        print_imported(console, artifact)
    else:
        artifact = _fitted(console, inputs, model, length, seed, plots)
    artifact.write(out)
    if csv is not None:
        regression, accuracy = write_original_layout(artifact, csv)
        console.print(f"written: {regression}, {accuracy}", highlight=False, soft_wrap=True)
    console.print(f"written: {out}", highlight=False, soft_wrap=True)


def _imported(folder: Path) -> FitArtifact:
    artifact = read_original_layout(folder)
    return FitArtifact(artifact.profiles, fingerprint([folder]), artifact.options)


def _fitted(
    console: Console,
    inputs: list[Path],
    model: str,
    length: str,
    seed: int,
    plots: Path | None,
) -> FitArtifact:
    sources, used = usable_sources(inputs)
    twice = [name for name, count in Counter(source.name for source in sources).items() if count > 1]
    if twice or not sources:
        raise DataError(
            f"endpoints in more than one file: {', '.join(twice)}" if twice else "no endpoint to fit",
            remedy="Give each endpoint's rows in one file",
        )
    profiles = []
    for source in sources:
        figures = fit_source(source, model, length, seed)
        print_fit(console, figures)
        if plots is not None and figures.held:
            from pointsman.report.fit_plots import save_fit_plots

            for path in save_fit_plots(plots, figures.profile, source.rows, figures.held):
                console.print(f"written: {path}", highlight=False, soft_wrap=True)
        profiles.append(figures.profile)
    options = (("cost", model), ("length", length), ("seed", str(seed)))
    return FitArtifact(tuple(profiles), fingerprint(used), options)
