"""One number from a URL. No redirect is followed: it would carry the credentials elsewhere."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import urlsplit

from pointsman.errors import ConfigError, MissingError
from pointsman.meters.reading import (
    BY_HAND,
    LIMIT_BYTES,
    TIMEOUT_S,
    check_timeout,
    number_in,
    too_long,
    too_slow,
)


@dataclass(frozen=True, slots=True)
class UrlReading:
    """Asks a URL with GET, directly and never through a proxy, since a meter stands nearby.

    Attributes:
        url: http or https; credentials belong in `headers`.
        key: where the number stands in the JSON answer, see `number_in`; None: the answer is the number.
        headers: e.g. {"Authorization": "Basic ..."}; never shown.
        timeout_s: for each wait and for the whole answer.
    """

    url: str
    key: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = TIMEOUT_S

    def __post_init__(self) -> None:
        check_timeout(self.timeout_s)
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ConfigError(
                "the meter's URL is not http or https with a host", remedy="Give http://HOST/PATH"
            )
        if "@" in parts.netloc:
            raise ConfigError(
                f"the URL of {parts.hostname} holds credentials",
                remedy="Move them to the Authorization header",
            )
        for name, value in self.headers.items():
            if not (name + value).isascii() or not (name + value).isprintable():
                raise ConfigError(f"the value of header {name!r} holds characters that HTTP does not allow")

    @property
    def label(self) -> str:
        """Scheme, host and path; the query may hold a token."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"

    def read(self) -> float:
        """The number now. Raises MissingError or DataError."""
        deadline_s = time.monotonic() + self.timeout_s
        answer = b""
        try:
            request = urllib.request.Request(self.url, headers=dict(self.headers))  # noqa: S310 checked above
            with _OPENER.open(request, timeout=self.timeout_s) as response:
                while piece := response.read1(LIMIT_BYTES):
                    answer += piece
                    if len(answer) > LIMIT_BYTES:
                        raise too_long(self.label)
                    if time.monotonic() > deadline_s:
                        raise too_slow(self.label, self.timeout_s)
        except urllib.error.HTTPError as error:
            error.close()
            raise MissingError(f"{self.label} answered with status {error.code}", remedy=BY_HAND) from error
        except TimeoutError as error:
            raise too_slow(self.label, self.timeout_s) from error
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            raise MissingError(f"{self.label} can't be read: {reason}", remedy=BY_HAND) from error
        return number_in(answer, self.key, self.label)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Makes every redirect an error status."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        """Follow nothing."""


_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
