"""Every format is documented, and every documented one is there."""

from __future__ import annotations

import re
from pathlib import Path

from pointsman.data.formats.registry import EXPORTERS, OUTCOME_READERS, TRACE_READERS

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "formats.md"


def test_the_document_names_the_formats() -> None:
    text = DOCUMENT.read_text()
    outcomes, traces, exports = (
        text.split(f"\n## {part}\n")[1].split("\n## ")[0] for part in ("Outcomes", "Traces", "Export")
    )
    assert re.findall(r"^\| `([\w-]+)` \|", outcomes, re.MULTILINE) == list(OUTCOME_READERS)
    assert re.findall(r"^\| `([\w-]+)` \|", traces, re.MULTILINE) == list(TRACE_READERS)
    assert re.findall(r"^- `([\w-]+)`:", exports, re.MULTILINE) == list(EXPORTERS)
