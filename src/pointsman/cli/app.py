"""The command `pointsman` and its sub-commands."""

from __future__ import annotations

from typing import Annotated

import typer

from pointsman import __version__
from pointsman.cli import config, fleet, plot
from pointsman.cli.demo import demo
from pointsman.cli.fit import fit
from pointsman.cli.group import ErrorGroup
from pointsman.cli.profile import profile
from pointsman.cli.profile_shapes import profile_shapes
from pointsman.cli.route import route
from pointsman.cli.serve import serve

app = typer.Typer(
    cls=ErrorGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Decide whether, where and when every LLM query runs. Start with `pointsman demo`.",
)
app.command()(demo)
app.command()(serve)
app.command()(route)
app.command()(profile)
app.command("profile-shapes")(profile_shapes)
app.command()(fit)
app.add_typer(fleet.app, name="fleet")
app.add_typer(plot.app, name="plot")
app.add_typer(config.app, name="config")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"pointsman {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Decide whether, where and when every LLM query runs. Start with `pointsman demo`."""
    del version
