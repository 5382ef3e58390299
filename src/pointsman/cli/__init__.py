"""The command line: words in, objects from `build`, tables out."""

from __future__ import annotations

from pointsman.cli.app import app


def main() -> None:
    """Run the command `pointsman`."""
    app(prog_name="pointsman")


__all__ = ["app", "main"]
