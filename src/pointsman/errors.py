"""Every error Pointsman raises, by whose fault it is.

    PointsmanError                       exit code
    |-- CallerError                      2   a request or a command line: fix what was sent
    |   |-- BadRequest                       a value that can't be used
    |   |-- NoEligibleEndpoint               no endpoint has what the request needs
    |   `-- Infeasible                       limits that exclude one another: the tightest, what can be reached
    |-- ConfigError                      3   the configuration file: names file, line, value, remedy
    |-- DataError                        4   a table or an artifact: missing column, NaN, too few rows
    |   `-- NotFittable                      nothing is broken, but no cost curve follows from the file
    |-- MissingError                     5   an extra, a weight package or a program is not installed
    |-- EngineError                      6   an endpoint
    |   |-- EngineUnreachable                refused, no route, name unknown
    |   |-- EngineTimeout                    no byte within the limit
    |   |-- EngineCut                        the stream ended before its end
    |   |-- EngineGarbage                    the answer is not what the protocol says
    |   `-- EngineRejected                   the endpoint answered with an error status
    `-- InternalError                    70  ours
        `-- IllegalTransition                an event the lifecycle table does not allow

A message gives the value, the limit and the remedy. A refusal of a request by a policy is a value
with a reason (`Disposition`), not an exception.
"""

from __future__ import annotations


class PointsmanError(Exception):
    """Base of all errors of this package.

    Args:
        message: what is wrong, with the value and the limit.
        remedy: what the reader can do about it; appended to the text when not empty.
        code: a stable machine-readable word, used in OpenAI-shaped error bodies.
        param: the field at fault, where there is one.
    """

    exit_code = 70
    http_status = 500
    error_type = "internal_error"
    default_code = "internal_error"

    def __init__(
        self, message: str, *, remedy: str = "", code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(f"{message}. {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy
        self.code = code or self.default_code
        self.param = param


class CallerError(PointsmanError):
    """The caller sent something that can't be used."""

    exit_code = 2
    http_status = 400
    error_type = "invalid_request_error"
    default_code = "invalid_request"


class BadRequest(CallerError):
    """A value of the request or the command line is missing, malformed or out of range."""

    default_code = "invalid_value"


class NoEligibleEndpoint(CallerError):
    """No endpoint has what the request needs; the message names the need."""

    default_code = "no_eligible_endpoint"


class Infeasible(CallerError):
    """No plan keeps all limits; the message names the tightest and the best that can be reached."""

    default_code = "infeasible"


class ConfigError(PointsmanError):
    """The configuration file is wrong; the message names file, line and value."""

    exit_code = 3
    default_code = "config_error"


class DataError(PointsmanError):
    """A table or an artifact can't be used: a missing column, NaN, too few rows, another version."""

    exit_code = 4
    http_status = 400
    error_type = "invalid_request_error"
    default_code = "data_error"


class NotFittable(DataError):
    """A file that may be whole, but holds nothing a cost curve can be fitted to; the message says why."""

    default_code = "not_fittable"


class MissingError(PointsmanError):
    """Something that has to be installed or downloaded first is not there."""

    exit_code = 5
    default_code = "missing_dependency"


class EngineError(PointsmanError):
    """An endpoint failed.

    Args:
        endpoint: its name.
        started: whether any part of the answer had come (a retry is then no longer allowed).
    """

    exit_code = 6
    http_status = 502
    error_type = "upstream_error"
    default_code = "upstream_error"

    def __init__(
        self,
        message: str,
        *,
        endpoint: str = "",
        started: bool = False,
        remedy: str = "",
        code: str | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy, code=code)
        self.endpoint = endpoint
        self.started = started


class EngineUnreachable(EngineError):
    """The endpoint refused the connection or its name is unknown."""

    http_status = 503
    default_code = "upstream_unreachable"


class EngineTimeout(EngineError):
    """The endpoint gave no byte within the limit."""

    http_status = 504
    default_code = "upstream_timeout"


class EngineCut(EngineError):
    """The connection ended before the answer did."""

    default_code = "upstream_cut"


class EngineGarbage(EngineError):
    """The endpoint's answer does not follow the protocol."""

    default_code = "upstream_garbage"


class EngineRejected(EngineError):
    """The endpoint answered with an error status.

    Args:
        status, body: what it said.
        retry_after: its header of that name, if it sent one.
    """

    default_code = "upstream_rejected"

    def __init__(
        self,
        message: str,
        *,
        endpoint: str = "",
        status: int,
        body: bytes = b"",
        retry_after: str | None = None,
    ) -> None:
        super().__init__(message, endpoint=endpoint)
        self.status = status
        self.body = body
        self.retry_after = retry_after


class InternalError(PointsmanError):
    """A fault of Pointsman itself."""


class IllegalTransition(InternalError):
    """An event that the lifecycle table does not allow; nothing was changed."""

    default_code = "illegal_transition"


def origin(error: BaseException) -> str:
    """The kind of an exception and the line it came from, without its text.

    For logs: what foreign code says in an exception may hold a prompt or a key.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    kind = type(error).__name__
    if trace is None:
        return kind
    code = trace.tb_frame.f_code
    return f"{kind} at {code.co_filename}:{trace.tb_lineno} in {code.co_name}"
