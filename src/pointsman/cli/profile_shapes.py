"""`pointsman profile-shapes`: time and energy of known model shapes on a GPU, with random weights."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from pointsman.cli.group import number_list
from pointsman.cli.profile_table import print_summary
from pointsman.clock import RealClock
from pointsman.data.profiles import ProfileRow, read_profile
from pointsman.errors import BadRequest, MissingError
from pointsman.meters.base import Meter
from pointsman.meters.choose import best_meter
from pointsman.meters.nvml import NvmlMeter
from pointsman.profile.shape_runner import run_shapes
from pointsman.profile.shapes import ORIGINALS, SHAPES, Shape, Stage, grid, lookup, stages

FULL = ("8,32,128,512,1536", "1,8,32,128,512", "1,2,4", 20)
QUICK = ("16,128", "1,16,64", "1,2", 2)


class Dtype(StrEnum):
    """Of weights, cache and arithmetic."""

    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    FLOAT32 = "float32"


def profile_shapes(
    out: Annotated[Path, typer.Option(help="The parquet file to write.")] = Path("shapes.parquet"),
    shape: Annotated[
        list[str] | None,
        typer.Option(help=f"Repeat for several; one of {', '.join(SHAPES)}. All but the last by default."),
    ] = None,
    device: Annotated[str, typer.Option(help="cuda, cuda:N, or cpu to try it.")] = "cuda",
    dtype: Annotated[Dtype, typer.Option(help="Of weights, cache and arithmetic.")] = Dtype.BFLOAT16,
    input_tokens: Annotated[str | None, typer.Option(help=f"Prompt lengths; {FULL[0]} by default.")] = None,
    output_tokens: Annotated[str | None, typer.Option(help=f"Answer lengths; {FULL[1]} by default.")] = None,
    concurrency: Annotated[
        str | None, typer.Option(help=f"Requests run as one batch; {FULL[2]} by default.")
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            min=0, help=f"Cells a shape measured again at the end, for drift; {FULL[3]} by default."
        ),
    ] = None,
    span: Annotated[
        float, typer.Option(min=0.01, max=600, help="Seconds that each cell is run for, again and again.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the order, the weights and the prompts.")] = 20261121,
    quick: Annotated[
        bool, typer.Option("--quick", help="A small grid: 12 cells a shape instead of 75.")
    ] = False,
) -> None:
    """Measure time and energy of known model shapes: 3.8B and two of 7B by default.

    The shapes get random weights, since time and energy follow the shape; nothing is downloaded, and the
    file says so. Energy is the GPU's own counter, read through Zeus. The counter is renewed only every
    20 to 100 ms, so each cell (prompt length, answer length, batch) is run for at least --span seconds
    and divided by the number of runs. On a CPU the energy is measured by RAPL where it can be read, else
    modelled and marked so. Stopped, it goes on where it was when run again with the same options; more
    shapes can be added to the same file. Needs: pip install "pointsman[gpu,data]".

    For example:

        pointsman profile-shapes --out gpu_shapes.parquet

        pointsman profile-shapes --quick --shape mistral-7b-instruct --device cuda:1

        pointsman profile-shapes --device cpu --shape tiny --quick --span 0.1

        pointsman fit gpu_shapes.parquet --out gpu_shapes.json
    """
    shapes = [lookup(name) for name in dict.fromkeys(shape or ORIGINALS)]
    plan = _plan(shapes, input_tokens, output_tokens, concurrency, repeats, seed, quick=quick)
    devices = _devices()
    opened = devices.open_device(device)
    meter = _meter(opened)
    try:
        _measure(devices, opened, meter, plan, out, str(dtype), span, seed)
    finally:
        meter.close()
    print_summary(read_profile(out))
    typer.echo(f"written: {out}; next: pointsman fit {out} --out fit.json")


def _plan(
    shapes: list[Shape],
    input_tokens: str | None,
    output_tokens: str | None,
    concurrency: str | None,
    repeats: int | None,
    seed: int,
    *,
    quick: bool,
) -> list[Stage]:
    usual = QUICK if quick else FULL
    inputs = number_list("--input-tokens", input_tokens or usual[0], 1, 1_000_000)
    outputs = number_list("--output-tokens", output_tokens or usual[1], 1, 1_000_000)
    batches = number_list("--concurrency", concurrency or usual[2], 1, 256)
    cells = [grid(shape, inputs, outputs, batches) for shape in shapes]
    asked = len(set(inputs)) * len(set(outputs)) * len(set(batches))
    for one, kept in zip(shapes, cells, strict=True):
        limit = f"the {one.window_tokens} positions that {one.name} attends to"
        if not kept:
            raise BadRequest(f"every cell is longer than {limit}", remedy="Give shorter lengths")
        if len(kept) < asked:
            typer.echo(f"left out: {asked - len(kept)} of {asked} cells, longer than {limit}", err=True)
    return list(stages(shapes, cells, usual[3] if repeats is None else repeats, seed))


def _devices() -> ModuleType:
    """The part that needs torch. Raises MissingError without it."""
    try:
        from pointsman.profile import shape_device
    except ImportError as error:
        raise MissingError(
            f"profiling shapes needs torch: {error}", remedy='Run: pip install "pointsman[gpu]"'
        ) from error
    return shape_device


def _meter(device: Any) -> Meter:
    """The GPU's counter; on a CPU what this process offers."""
    if device.type == "cuda":
        return NvmlMeter([device.index])
    return best_meter([os.getpid()], gpu=False).meter


def _measure(
    devices: ModuleType,
    device: Any,
    meter: Meter,
    plan: list[Stage],
    out: Path,
    dtype: str,
    span_s: float,
    seed: int,
) -> None:
    clock = RealClock()
    hardware = devices.hardware(device)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        totals: dict[str, int] = {}
        for stage in plan:
            totals[stage.shape.name] = totals.get(stage.shape.name, 0) + len(stage.cells)
        tasks = {name: progress.add_task(name, total=total) for name, total in totals.items()}

        def on_row(row: ProfileRow) -> None:
            if row.endpoint in tasks:  # an earlier part may have had other shapes
                failed = " (failing: " + row.error[:60] + ")" if row.error else ""
                progress.update(tasks[row.endpoint], advance=1, description=row.endpoint + failed)

        run_shapes(
            plan,
            devices.loader(device, devices.DTYPES[dtype], seed, clock.now),
            meter,
            out,
            clock,
            span_s=span_s,
            identity={
                "seed": seed,
                "dtype": dtype,
                "meter": meter.name,
                "device": hardware["device"],
                "torch": hardware["torch"],
            },
            metadata={
                "command": "pointsman profile-shapes",
                "hardware": hardware,
                "dtype": dtype,
                "seed": seed,
            },
            on_row=on_row,
        )
