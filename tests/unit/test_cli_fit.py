from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from pointsman.cli.fit import fit
from pointsman.cli.group import ErrorGroup
from pointsman.data.profiles import ProfileRow, write_profile
from pointsman.predict.artifact import FitArtifact
from pointsman.testing.profiles import made_rows

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
app = typer.Typer(cls=ErrorGroup)
app.command()(fit)
app.callback()(lambda: None)


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profile") / "made.parquet"
    rows: list[ProfileRow] = []
    for name, speed in (("small", 2.0), ("large", 0.5)):
        made = made_rows(np.random.default_rng(7), 250, speed=speed)
        rows += [
            ProfileRow(
                name, f"p{i}", str(made.task[i]), None, 48, int(made.concurrency[i]), 1.7e9 + i, float(i),
                int(made.prompt_bytes[i]), int(made.input_tokens[i]), int(made.output_tokens[i]), 0,
                "length" if made.cut[i] else "stop", None, None, float(made.time_s[i]), float(made.energy_j[i]),
                True, "made", float(made.score[i]),
            )
            for i in range(len(made))
        ]  # fmt: skip
    write_profile(path, rows, {"hardware": "none"})
    return path


def run(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["fit", *map(str, words)], env={"COLUMNS": "200", "NO_COLOR": "1"})
    return result.exit_code, result.output


def test_fits_reports_and_writes(profile: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out, plots = tmp_path / "fit.json", tmp_path / "plots"
    code, text = run(profile, "--out", out, "--plots", plots)
    assert code == 0, text
    assert "small: 250 rows of made.parquet, none, energy modelled by made" in text
    assert "energy, J (modelled)" in text
    assert "out*(in+out/2)" in text
    assert [each.endpoint for each in FitArtifact.read(out).profiles] == ["small", "large"]
    names = {path.name for path in plots.iterdir()}
    assert names == {
        f"fit_{what}_{name}.{kind}"
        for what in ("residuals", "drift")
        for name in ("small", "large")
        for kind in ("png", "svg")
    }
    assert all(path.stat().st_size > 5000 for path in plots.iterdir())


def test_equal_data_give_equal_files(profile: Path, tmp_path: Path) -> None:
    texts = []
    for name in ("1.json", "2.json"):
        assert run(profile, "--out", tmp_path / name)[0] == 0
        texts.append((tmp_path / name).read_bytes())
    assert texts[0] == texts[1]


def test_the_original_layout_goes_out_and_in(profile: Path, tmp_path: Path) -> None:
    assert (
        run(profile, "--out", tmp_path / "a.json", "--model", "ols", "--csv", tmp_path / "original")[0] == 0
    )
    code, text = run(tmp_path / "original", "--out", tmp_path / "b.json")
    assert code == 0, text
    assert "the layout holds coefficients only" in text
    first, second = (FitArtifact.read(tmp_path / name) for name in ("a.json", "b.json"))
    np.testing.assert_array_equal(
        first.profiles[0].time.model.coefficients, second.profiles[0].time.model.coefficients
    )


def test_errors_are_one_line_with_an_exit_code(profile: Path, tmp_path: Path) -> None:
    missing = tmp_path / "none.parquet"
    for words, code, expected in (
        ((missing,), 4, "does not exist"),
        ((profile, "--model", "magic"), 2, "Models: ols, shape, refined"),
        ((profile, profile), 4, "endpoints in more than one file: small, large"),
        ((tmp_path, profile), 2, "Give it alone"),
        ((tmp_path,), 4, "can't be read"),
        ((profile, "--csv", tmp_path / "c", "--out", tmp_path / "f.json"), 4, "Fit again with --model ols"),
    ):
        got, text = run(*words)
        assert (got, expected in text) == (code, True), text


def test_one_row_is_too_few(tmp_path: Path) -> None:
    path = tmp_path / "one.parquet"
    write_profile(
        path, [ProfileRow("a", "p", "fact", None, 9, 1, 1.7e9, 0.0, 9, 9, 3, e2e_s=0.5, energy_j=1.0)], {}
    )
    code, text = run(path)
    assert code == 4
    assert "1 row(s) can't determine a cost model; at least 5 are needed" in text


@pytest.fixture
def unusable(tmp_path: Path) -> list[Path]:
    table, notes = tmp_path / "speeds.parquet", tmp_path / "README.md"
    pq.write_table(pa.table({"speed": [1.0]}), table)
    notes.write_text("about the files beside it")
    return [table, notes]


def test_files_without_curves_are_named_and_the_others_fitted(
    profile: Path, unusable: list[Path], tmp_path: Path
) -> None:
    out, alone = tmp_path / "fit.json", tmp_path / "alone.json"
    code, text = run(*unusable, profile, "--out", out)
    assert code == 0, text
    assert f"warning: left out: {unusable[0]} is no profile: its columns are speed" in text
    assert f"warning: left out: {unusable[1]} is neither a parquet file nor a folder" in text
    assert run(profile, "--out", alone)[0] == 0
    assert out.read_bytes() == alone.read_bytes()


def test_only_files_without_curves_is_an_error_that_names_each(unusable: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "fit.json"
    code, text = run(*unusable, "--out", out)
    assert code == 4
    assert all(str(path) in text for path in unusable)
    assert "warning" not in text
    assert not out.exists()


def test_a_missing_file_is_never_passed_over(profile: Path, tmp_path: Path) -> None:
    code, text = run(profile, tmp_path / "typo.txt", "--out", tmp_path / "fit.json")
    assert (code, "typo.txt does not exist" in text) == (4, True), text


def test_energy_that_was_not_measured_is_not_shown_as_fitted(tmp_path: Path) -> None:
    path, out = tmp_path / "calls.parquet", tmp_path / "fit.json"
    seconds = np.random.default_rng(1).uniform(1, 2, 40)
    columns = {
        "provider": ["p"] * 40, "model": ["m"] * 40, "error_code": pa.nulls(40, pa.string()),
        "inter_token_latency_s": seconds / 150, "latency_s": seconds,
        "input_tokens": [550] * 40, "output_tokens": [150, 151] * 20,
    }  # fmt: skip
    pq.write_table(pa.table(columns), path)
    code, text = run(path, "--out", out)
    assert code == 0, text
    assert "m, p: 40 rows of calls.parquet, energy not measured" in text
    assert text.count("not measured: default") == 4
    assert "not identifiable from these rows: 0" in text
    assert "energy, J  " in text
    assert not any(line.startswith("energy, J") for line in text.splitlines())
    assert FitArtifact.read(out).profiles[0].provenance.meter == ""
    code, text = run(path, "--model", "ols", "--csv", tmp_path / "c", "--out", out)
    assert (code, "the energy of m, p was not measured" in text) == (4, True), text


@pytest.mark.data
def test_all_shared_profiles_at_once(shared_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "fit.json"
    code, text = run(*sorted((shared_data / "profiles").glob("*")), "--out", out)
    assert code == 0, text
    assert text.count("warning: left out") == 2
    profiles = FitArtifact.read(out).profiles
    assert len(profiles) == 9 + 3 + 19 + 8 + 37
    assert {each.provenance.source for each in profiles if each.provenance.meter} == {
        "energy_inference_runs.parquet", "gpu_energy_small_llms.parquet",
    }  # fmt: skip
