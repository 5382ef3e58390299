"""The command `pointsman` and its sub-commands."""

from __future__ import annotations

from importlib import import_module
from keyword import iskeyword
from typing import Annotated, Any, Final

import typer
from typer.main import get_group

from pointsman import __version__
from pointsman.cli.group import ErrorGroup

COMMANDS: Final = {
    "demo": (
        "pointsman.cli.demo",
        "Route real questions with known answers over three real models, under four weightings.",
    ),
    "serve": (
        "pointsman.cli.serve",
        "Serve an OpenAI-compatible gateway that chooses the model for each request.",
    ),
    "route": (
        "pointsman.cli.route",
        "Show where a prompt would run: the ranking, every term of every score, what would change it.",
    ),
    "profile": (
        "pointsman.cli.profile",
        "Run a prompt set on every endpoint and write what was measured: one tidy parquet a run.",
    ),
    "profile-shapes": (
        "pointsman.cli.profile_shapes",
        "Measure time and energy of known model shapes: 3.8B and two of 7B by default.",
    ),
    "fit": (
        "pointsman.cli.fit",
        "Fit time, energy, length and accuracy of every endpoint, and report how good the fit is.",
    ),
    "train": (
        "pointsman.cli.train",
        "Learn from outcomes how likely each endpoint is right and how long it answers.",
    ),
    "judge": (
        "pointsman.cli.judge",
        "Learn from collected answers how likely an answer is right, for the policy `cascade`.",
    ),
    "collect": (
        "pointsman.cli.collect",
        "Ask real endpoints questions with known answers, and keep how well each did: data to learn from.",
    ),
    "assign": (
        "pointsman.cli.assign",
        "Plan where the requests of a batch run: at least cost, within your limits.",
    ),
    "run": (
        "pointsman.cli.run",
        "Execute a plan: each request on its endpoint, never more at once than the endpoint's slots.",
    ),
    "simulate": (
        "pointsman.cli.simulate",
        "Simulate orders of the queue, with the scheduler that serves and an engine in virtual time.",
    ),
    "import": (
        "pointsman.cli.import_formats",
        "Read the field's public formats into outcomes to train on, or into a trace of arrivals.",
    ),
    "export": (
        "pointsman.cli.export_formats",
        "Write outcomes in a format that other routers read: routellm, routerbench or llmrouter.",
    ),
    "compete": (
        "pointsman.cli.compete",
        "Decide for each question of a CSV file whether a model should answer it, and score decisions.",
    ),
    "calibrate": (
        "pointsman.cli.calibrate",
        "Find the threshold that a budget allows, and the quality to expect with a 95% interval.",
    ),
    "feedback": (
        "pointsman.cli.feedback",
        "Say how good past answers were: labels join the decision log by request id.",
    ),
    "fleet": (
        "pointsman.cli.fleet",
        "Run real small models on this machine, each speaking OpenAI on 127.0.0.1.",
    ),
    "plot": (
        "pointsman.cli.plot",
        "Draw choices and fits, as PNG and SVG. Needs matplotlib: `pip install 'pointsman[plot]'`.",
    ),
    "config": ("pointsman.cli.config", "Check a configuration file, or show it with every default."),
}
"""Each command's module and the first line of its help, so that `--help` need not import the modules."""


class CommandGroup(ErrorGroup):
    """Imports the module of a command when that command is run."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As the base class, with the real command in the place of its stand-in."""
        name, stand_in, rest = super().resolve_command(ctx, args)
        return name, stand_in if name is None else load_command(name), rest


def load_command(name: str) -> Any:
    """A command or a group of commands, from its module."""
    module = import_module(COMMANDS[name][0])
    if hasattr(module, "app"):
        return get_group(module.app)
    alone = typer.Typer(rich_markup_mode="markdown")
    function = name.replace("-", "_")
    alone.command(name)(getattr(module, function + "_" if iskeyword(function) else function))
    return get_group(alone).commands[name]


app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Decide whether, where and when every LLM query runs. Start with `pointsman demo`.",
)
for _name, (_, _help) in COMMANDS.items():
    app.command(_name, help=_help)(lambda: None)


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
