"""Fixtures that several kinds of tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine must not turn slow data into a failure; nothing here asserts a time.
settings.register_profile("pointsman", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("pointsman")

# A shell's background job ignores Ctrl-C, and so would the commands that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The shared data sets, or a skip that says where they were looked for.

    `POINTSMAN_DATA` names the folder; else it lies beside the checkout as `../shared/data`. A folder
    named by the variable must be there: then its absence is a failure, not a skip.
    """
    named = os.environ.get("POINTSMAN_DATA")
    path = Path(named) if named else _CHECKOUT.parent / "shared" / "data"
    if (path / "profiles").is_dir():
        return path
    message = f"no shared data at {path}; set POINTSMAN_DATA to its folder"
    if named:
        pytest.fail(message)
    pytest.skip(message)
