"""`pointsman feedback`: labels of past answers, from a file into the decision log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
import typer

from pointsman.cli.feedback_file import good_and_bad, read_feedback
from pointsman.cli.progress import progress
from pointsman.clock import RealClock
from pointsman.errors import BadRequest, DataError, EngineRejected, EngineUnreachable
from pointsman.gateway.labels import FEEDBACK, MAX_LABELS
from pointsman.store.labels import add_labels
from pointsman.types import Kept, Label, without_superseded

HERE: Final = "http://127.0.0.1:8080"
_SHOWN: Final = 20


def feedback(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="CSV or JSONL: request_id, score, source and, if known, at."),
    ],
    log: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="The decision log itself, whether a gateway runs or not."),
    ] = None,
    url: Annotated[str | None, typer.Option(help=f"A running gateway; {HERE} by default.")] = None,
    source: Annotated[str | None, typer.Option(help="Who gave the labels that don't say so.")] = None,
) -> None:
    """Say how good past answers were: labels join the decision log by request id.

    A score is from 0 to 1. Labels may come late, again, or against earlier ones: running it again changes
    nothing; of one source the last label counts, by `at` (seconds since 1970) where it is given; several
    sources are averaged. Labels of requests that the log does not know wait for them. Lines that can't be
    used are told by number (exit code 4); the others are kept. A gateway whose predictor grows learns from
    what it is sent at once, and from what is put into the log itself when it starts.

    For example:

        pointsman feedback labels.csv

        pointsman feedback labels.jsonl --source review --log decisions.sqlite
    """
    if log is not None and url is not None:
        raise BadRequest("both --log and --url are given", remedy="Give the one that the labels should go to")
    labels, bad = good_and_bad(read_feedback(file, source))
    labels = without_superseded(labels)
    kept = asyncio.run(_keep(labels, log, _route(url or HERE)))
    typer.echo(
        f"{len(labels):,} labels: {kept.new:,} new, {kept.repeated:,} known before, "
        f"{kept.unknown:,} of requests that the log does not know"
    )
    if bad:
        _tell(file, bad)


async def _keep(labels: Sequence[Label], log: Path | None, route: str) -> Kept:
    """Keep them in parts, all of a part or none."""
    kept = Kept()
    parts = _written(labels, log) if log else _sent(labels, route)
    with progress() as say:
        async with aclosing(parts):
            async for part in parts:
                kept += part
                say(f"{kept.new + kept.repeated:,} of {len(labels):,} labels")
    return kept


async def _written(labels: Sequence[Label], log: Path) -> AsyncGenerator[Kept, None]:
    clock = RealClock()
    for part in _parts(labels):
        yield add_labels(log, clock.wall(), part)


async def _sent(labels: Sequence[Label], route: str) -> AsyncGenerator[Kept, None]:
    """Raises: EngineUnreachable, EngineRejected."""
    async with aiohttp.ClientSession() as session:
        for part in _parts(labels):
            body = msgspec.json.encode([_body(label) for label in part])
            try:
                async with session.post(route, data=body) as answer:
                    said = await answer.read()
            except (aiohttp.ClientError, OSError) as error:
                raise EngineUnreachable(
                    f"no gateway answers at {route}: {error}",
                    remedy="Start it with: pointsman serve; or name it by --url, or its log by --log",
                ) from error
            yield _kept(len(part), answer.status, said, route)


def _kept(sent: int, status: int, said: bytes, route: str) -> Kept:
    try:
        if status == 200:
            kept = msgspec.json.decode(said, type=Kept)
            if kept.new + kept.repeated == sent:
                return kept
        why = msgspec.json.decode(said)["error"]["message"]
    except (msgspec.DecodeError, KeyError, TypeError):
        why = "what it says is no answer of Pointsman's gateway"
    raise EngineRejected(f"{route} answered {status}: {why}", status=status, body=said)


def _body(label: Label) -> dict[str, object]:
    body: dict[str, object] = {"request_id": label.request_id, "score": label.score, "source": label.source}
    return body if label.at_unix_s is None else {**body, "at": label.at_unix_s}


def _parts(labels: Sequence[Label]) -> list[Sequence[Label]]:
    return [labels[start : start + MAX_LABELS] for start in range(0, len(labels), MAX_LABELS)]


def _route(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise BadRequest(f"{url!r} is no http or https address", remedy=f"Give one like {HERE}")
    return url.rstrip("/").removesuffix("/v1") + FEEDBACK


def _tell(file: Path, bad: Mapping[int, str]) -> None:
    """Raises: DataError, once the first of the bad lines are shown."""
    for number, why in list(bad.items())[:_SHOWN]:
        typer.echo(f"{file}, line {number}: {why}", err=True)
    if len(bad) > _SHOWN:
        typer.echo(f"... and {len(bad) - _SHOWN:,} more", err=True)
    raise DataError(
        f"{len(bad):,} lines of {file} can't be used",
        remedy="Correct them and run it again: what is kept already is not added twice",
    )
