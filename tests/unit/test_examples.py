"""What the README and `examples/` show runs as shown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def test_the_library_example_decides_and_explains() -> None:
    done = subprocess.run(
        [sys.executable, str(CHECKOUT / "examples" / "library.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "qwen2.5-coder" in done.stdout
    assert "score" in done.stdout


def test_the_readme_shows_the_example_as_it_is() -> None:
    example = (CHECKOUT / "examples" / "library.py").read_text(encoding="utf-8")
    code = example.partition('"""\n\n')[2]
    shown = "".join(f"    {line}\n" if line else "\n" for line in code.rstrip("\n").split("\n"))
    assert shown in (CHECKOUT / "README.md").read_text(encoding="utf-8")
