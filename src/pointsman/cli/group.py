"""A group of commands that turns Pointsman's errors into one line on stderr and an exit code."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from pointsman.errors import BadRequest, PointsmanError


class ErrorGroup(TyperGroup):
    """Use as `typer.Typer(cls=ErrorGroup)`; errors that are not Pointsman's pass through."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a PointsmanError ends it with that error's `exit_code`."""
        try:
            return super().invoke(ctx)
        except PointsmanError as error:
            typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
            raise typer.Exit(error.exit_code) from error


def number_list(option: str, text: str, least: int, most: int) -> list[int]:
    """Whole numbers separated by commas. Raises: BadRequest naming the option, the value and the limits."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and least <= int(word) <= most for word in words):
        raise BadRequest(
            f"{option} {text!r} can't be used",
            remedy=f"Give whole numbers from {least} to {most}, with commas",
        )
    return [int(word) for word in words]
