"""What every experiment in `bench/` shares: arguments, a printed table, a CSV that says whence.

    def main() -> None:
        args = bench_parser("Decision latency of the weighted policy.").parse_args()
        rows = measure(quick=args.quick, seed=args.seed)
        write_results("decision_latency", rows, args)

Every row of the CSV carries the command, seed, commit and machine, so that a table can be made again.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from pointsman.errors import BadRequest, MissingError
from pointsman.metrics.intervals import Interval

Cell = str | float | int | bool | None
RESULTS: Final = Path("bench") / "results"
MAX_WIDTH: Final = 1000
"""A table is never folded below this: a wide one is read by scrolling, not letter by letter."""


def bench_parser(description: str, *, seed: int = 1) -> argparse.ArgumentParser:
    """A parser with --quick, --seed and --out; a bench adds its own options to it."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a smaller run of at most a minute")
    parser.add_argument("--seed", type=int, default=seed, help=f"default {seed}")
    parser.add_argument(
        "--out", type=Path, default=None, help=f"CSV file; default {RESULTS}/NAME.csv, with --quick none"
    )
    return parser


def write_results(
    name: str, rows: Sequence[Mapping[str, Cell]], args: argparse.Namespace, *, title: str | None = None
) -> Path | None:
    """Print the rows as a table and write them as CSV with command, seed, commit and machine.

    A quick run is written only where --out says so, so that it never replaces a full one.

    Returns: the CSV's path, or None where none was written.
    Raises: BadRequest if there are no rows.
    """
    if not rows:
        raise BadRequest(f"{name} gave no rows", remedy="Check the experiment's filters")
    columns = list(dict.fromkeys(column for row in rows for column in row))
    print_rows(rows, title=title or name)
    out: Path | None = args.out or (None if args.quick else RESULTS / f"{name}.csv")
    if out is None:
        return None
    origin = {
        "quick": bool(args.quick),
        "seed": args.seed,
        "command": " ".join(["python", *sys.argv]),
        "commit": commit(),
        "machine": machine(),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*columns, *origin], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({column: _plain(row.get(column)) for column in columns} | origin)
    Console(stderr=True).print(f"written: {out}", highlight=False, soft_wrap=True)
    return out


def print_rows(rows: Sequence[Mapping[str, Cell]], *, title: str) -> None:
    """Print rows as a table, as wide as it is; numbers to four significant digits."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in columns:
        numeric = all(isinstance(row.get(column), int | float) for row in rows if row.get(column) is not None)
        table.add_column(column, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(_shown(row.get(column)) for column in columns))
    console = Console(width=MAX_WIDTH)
    console.width = console.measure(table).maximum
    console.print(table)


def interval_cells(name: str, interval: Interval) -> dict[str, Cell]:
    """A measure with its interval as three columns."""
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def commit() -> str:
    """The checkout's commit, with `+` where files differ from it; `unknown` outside a checkout."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
        )
        dirty = subprocess.run(
            ["git", "status", "--porcelain", "--", "src", "bench"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")


def machine() -> str:
    """Processor, cores this process may use, system and Python, on one line."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{model}; {cores} of {os.cpu_count()} cores; {platform.system()}; Python {platform.python_version()}"
    )


def shared_data() -> Path:
    """The folder of the shared data sets: `$POINTSMAN_DATA`, else `../shared/data`.

    Raises: MissingError where it is not there.
    """
    path = Path(os.environ.get("POINTSMAN_DATA") or Path("..") / "shared" / "data")
    if not (path / "profiles").is_dir():
        raise MissingError(f"{path} holds no shared data", remedy="Set POINTSMAN_DATA to its folder")
    return path


def _plain(value: Cell) -> Cell:
    return float(f"{value:.6g}") if isinstance(value, float) and math.isfinite(value) else value


def _shown(value: Cell) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
