"""A group of commands that turns Pointsman's errors into one line on stderr and an exit code."""

from __future__ import annotations

import errno
import os
from typing import Any, Final

import typer
from typer.core import TyperGroup

from pointsman.errors import BadRequest, PointsmanError

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class ErrorGroup(TyperGroup):
    """Use as `typer.Typer(cls=ErrorGroup)`; errors that are neither Pointsman's nor of a file pass through."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a PointsmanError ends it with that error's `exit_code`, as does a refused file."""
        try:
            return super().invoke(ctx)
        except PointsmanError as error:
            raise _ended(error) from error
        except OSError as error:
            if error.filename is None and error.errno not in _FULL:
                raise  # no file: ours, or a reader of our output that has left
            raise _ended(_file_refused(error)) from error


def _ended(error: PointsmanError) -> typer.Exit:
    color = False if os.environ.get("NO_COLOR") else None
    typer.secho(f"error: {error}", fg=typer.colors.RED, err=True, color=color)
    return typer.Exit(error.exit_code)


def _file_refused(error: OSError) -> BadRequest:
    return BadRequest(
        f"{error.filename or 'the output'} can't be read or written: {error.strerror}",
        remedy="Check the path, its permissions and the space on its disk",
    )


def number_list(option: str, text: str, least: int, most: int) -> list[int]:
    """Whole numbers separated by commas. Raises: BadRequest naming the option, the value and the limits."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and least <= int(word) <= most for word in words):
        raise BadRequest(
            f"{option} {text!r} can't be used",
            remedy=f"Give whole numbers from {least} to {most}, with commas",
        )
    return [int(word) for word in words]
