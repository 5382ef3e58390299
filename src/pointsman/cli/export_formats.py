"""`pointsman export`: outcomes in a public format, for the tools of others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pointsman.data.formats.exporting import export_outcomes
from pointsman.data.formats.registry import EXPORTERS
from pointsman.errors import BadRequest


def export(
    format_name: Annotated[str, typer.Argument(metavar="FORMAT", help=", ".join(EXPORTERS) + ".")],
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder with queries.parquet and outcomes.parquet.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The CSV or JSONL file to write.")],
) -> None:
    """Write outcomes in a format that other routers read: routellm, routerbench or llmrouter.

    Reads what `pointsman collect` and `pointsman import` write. What the format can't hold is counted and said;
    answers' texts are never kept, so that their columns are left out or null. docs/formats.md says the rest.

    For example:

        pointsman export routerbench collected --out collected.csv

        pointsman export llmrouter collected --out routing_data.jsonl
    """
    if format_name not in EXPORTERS:
        raise BadRequest(
            f"there is no format {format_name!r} to export to", remedy=f"Known: {', '.join(EXPORTERS)}"
        )
    if out.exists():
        raise BadRequest(f"{out} is there already", remedy="Give another --out, or remove it first")
    exported = export_outcomes(EXPORTERS[format_name], folder, out)
    console = Console(highlight=False)
    console.print(f"exported: {exported.rows:,} rows")
    for note in exported.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    console.print(f"written: {out}", markup=False, soft_wrap=True)
