"""Values that must not be seen, and texts that may hold one.

A `Secret` shows nothing of itself unless `reveal()` is called, which only an engine does when it
sends the value. Texts that are shown (errors, `config show`) pass `mask_text` first.
"""

from __future__ import annotations

import hmac
import re
from typing import Final, final
from urllib.parse import urlsplit

HIDDEN: Final = "***"
LONG: Final = 20
"""A value at least this long may show its last four characters; fewer would give too much away."""

_SECRET_NAME: Final = re.compile(
    r"(?i)(^|[_-])(?<!per_)(key|keys|token|secret|secrets|password|passwd|pwd|credentials?|authorization|cookie|sig)$"
)
_QUERY_SECRET: Final = re.compile(
    r"(?i)([?&;](?:[\w.-]*(?:key|token|secret|password|sig|signature|auth|code))=)[^&;#\s'\"]+"
)
_USERINFO: Final = re.compile(r"(://)[^/?#\s'\"]*@")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}")
_KEY_LIKE: Final = re.compile(r"\b(?:sk|pk|rk|gsk|hf|xai|nvapi|ghp|AIza)[-_]?[A-Za-z0-9_-]{8,}")
_TOKEN_LIKE: Final = re.compile(
    r"(?<![\w/.-])(?=[A-Za-z_-]*[0-9])(?=[0-9_-]*[A-Za-z])[A-Za-z0-9_+=-]{24,}(?![\w/.-])"
)


@final
class Secret:
    """A value that masks itself wherever it is printed.

    Args:
        value: what `reveal()` gives back.
        source: where it came from, e.g. `os.environ/NAME`; empty if it stands in the file.
    """

    __slots__ = ("_value", "source")

    def __init__(self, value: str, source: str = "") -> None:
        self._value = value
        self.source = source

    def reveal(self) -> str:
        """The value itself: for sending, never for showing."""
        return self._value

    def masked(self) -> str:
        """At most a known prefix and, of a long value, its last four characters."""
        if len(self._value) < LONG:
            return HIDDEN
        prefix = "sk-" if self._value.startswith("sk-") else ""
        return f"{prefix}…{self._value[-4:]}"

    def __repr__(self) -> str:
        return f"Secret({self.masked()!r})"

    def __str__(self) -> str:
        return self.masked()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))


def is_secret_name(name: str) -> bool:
    """Whether a value under this key is never shown, e.g. `api_key`, `aws_session_token`."""
    return _SECRET_NAME.search(name) is not None


def mask_text(text: str) -> str:
    """`text` with everything that looks like a credential replaced by `***`.

    URL userinfo, query values such as `?key=`, bearer tokens, words that begin as keys do (`sk-`), and
    words of 24 characters or more that mix letters and digits.
    """
    text = _USERINFO.sub(rf"\1{HIDDEN}@", text)
    text = _QUERY_SECRET.sub(rf"\1{HIDDEN}", text)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    text = _KEY_LIKE.sub(HIDDEN, text)
    return _TOKEN_LIKE.sub(HIDDEN, text)


def mask_url(url: str) -> str:
    """A URL without its user, password and key-like query values; unparsable ones are hidden whole."""
    try:
        urlsplit(url)
    except ValueError:
        return HIDDEN
    return _QUERY_SECRET.sub(rf"\1{HIDDEN}", _USERINFO.sub(rf"\1{HIDDEN}@", url))
