"""What every encoder of texts must hold to, as a check that a plugin's tests can call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from pointsman.predict.features.base import TextEncoder
from pointsman.testing.contract import ContractBroken

TEXTS: Final = (
    "What is 17 times 23?",
    "",
    "Explain reinforcement learning to a child, then to an engineer. " * 400,
    "def parse(line: str) -> dict:\n    ...  # finish this",
    "\N{GREEK SMALL LETTER LAMDA} \N{CJK UNIFIED IDEOGRAPH-4E16} \N{STEAM LOCOMOTIVE} \x00 \u200b",
    "\ud800 \U000e0041",
)


def check_encoder(make: Callable[[], TextEncoder]) -> None:
    """Right shape, finite, and a text's row is the same alone, in a batch, again and by another encoder.

    Args:
        make: gives an encoder, the same each time.

    Raises: ContractBroken with what was expected and what came.
    """
    encoder, other = make(), make()
    rows = encoder.encode(TEXTS)
    _holds(rows.shape == (len(TEXTS), encoder.width), f"rows have the shape {rows.shape}")
    _holds(rows.dtype == np.float32, f"rows are {rows.dtype}, not float32")
    _holds(bool(np.isfinite(rows).all()), "a row is not finite")
    _holds(encoder.encode([]).shape == (0, encoder.width), "no texts give another shape")
    backwards = encoder.encode(TEXTS[::-1])[::-1]
    _holds(bool((backwards == rows).all()), "a text's row depends on what it is encoded with")
    for number, text in enumerate(TEXTS):
        alone = other.encode([text])
        _holds(bool((alone[0] == rows[number]).all()), f"{text[:20]!r} alone gives another row")
    _holds(encoder.fingerprint() == other.fingerprint(), "equal encoders have different fingerprints")


def _holds(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ContractBroken(otherwise)
