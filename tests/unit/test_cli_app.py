"""The command `pointsman` itself: its help is fast, and says what the commands' own help says."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from pointsman.cli.app import COMMANDS, app, load_command


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_of_the_overview_is_the_commands_own(name: str) -> None:
    assert load_command(name).help.splitlines()[0] == COMMANDS[name][1]
    result = CliRunner().invoke(app, [name, "--help"], prog_name="pointsman")
    assert result.exit_code == 0
    assert f"Usage: pointsman {name} " in result.output


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from pointsman.cli.app import app\n"
        "result = CliRunner().invoke(app, ['--help'])\n"
        "assert result.exit_code == 0 and 'profile-shapes' in result.output\n"
        "print(*{'numpy', 'aiohttp', 'starlette', 'uvicorn', 'yaml', 'pyarrow', 'matplotlib'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
