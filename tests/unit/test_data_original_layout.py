from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pointsman.data.original_layout import (
    ACCURACY_FILE,
    REGRESSION_FILE,
    read_original_layout,
    write_original_layout,
)
from pointsman.errors import DataError
from pointsman.testing.profiles import made_artifact

GOOD = """model,target,intercept,input_tokens,output_tokens,interaction
phi,runtime,0.1,0.001,0.04,1e-6
phi,energy,10,0.1,4,1e-4
falcon,runtime,0.2,0.002,0.05,0
falcon,energy,20,0.2,5,0
"""
ACCURACY = "model,accuracy\nphi,0.69\nfalcon,0.27\n"


def folder(path: Path, regression: str = GOOD, accuracy: str | None = ACCURACY) -> Path:
    (path / REGRESSION_FILE).write_text(regression, encoding="utf-8")
    if accuracy is not None:
        (path / ACCURACY_FILE).write_text(accuracy, encoding="utf-8")
    return path


def test_reads_the_layout(tmp_path: Path) -> None:
    phi, falcon = read_original_layout(folder(tmp_path)).profiles
    assert (phi.endpoint, falcon.endpoint) == ("phi", "falcon")
    np.testing.assert_array_equal(phi.time.model.coefficients, [0.1, 0.001, 0.04, 1e-6])
    assert float(falcon.energy.predict(*map(np.array, (10.0, 10.0, 1.0)))) == pytest.approx(72.0)
    assert phi.quality[""].mean == 0.69
    assert phi.time.model.name == "ols"


def test_is_tolerant_of_names_case_and_percent(tmp_path: Path) -> None:
    text = "\ufeff Model_Name , Metric ,b0,b1,b2,note\nphi,Latency,1,2,3,x\nphi,ENERGY,4,5,6,y\n"
    (phi,) = read_original_layout(folder(tmp_path, text, "NAME,Score\nphi,69\n")).profiles
    np.testing.assert_array_equal(phi.energy.model.coefficients, [4, 5, 6, 0])
    assert phi.quality[""].mean == pytest.approx(0.69)


def test_without_accuracies_the_prior_is_unknown(tmp_path: Path) -> None:
    prior = read_original_layout(folder(tmp_path, accuracy=None)).profiles[0].quality[""]
    assert (prior.mean, prior.low, prior.high, prior.n) == (0.5, 0.0, 1.0, 0)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    artifact = made_artifact(np.random.default_rng(1), {"a": 1.0, "b": 2.0}, cost="ols")
    write_original_layout(artifact, tmp_path / "new")
    read = read_original_layout(tmp_path / "new")
    for old, new in zip(artifact.profiles, read.profiles, strict=True):
        np.testing.assert_array_equal(new.time.model.coefficients, old.time.model.coefficients)
        np.testing.assert_array_equal(new.energy.model.coefficients, old.energy.model.coefficients)
        assert new.quality[""].mean == old.quality[""].mean


def test_another_kind_than_ols_can_not_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a shape model.*--model ols"):
        write_original_layout(made_artifact(np.random.default_rng(1), {"a": 1.0}), tmp_path)


@pytest.mark.parametrize(
    ("regression", "accuracy", "words"),
    [
        ("", ACCURACY, "has no rows"),
        ("model,target,intercept\n", ACCURACY, "has no rows"),
        (GOOD.replace("output_tokens", "tokens"), ACCURACY, r"no column output_tokens .*b2"),
        (GOOD.replace("0.04", "nan"), ACCURACY, "row 1, column output_tokens: 'nan'"),
        (GOOD.replace("4,1e-4", ",1e-4"), ACCURACY, "row 2, column output_tokens: ''"),
        (GOOD.replace("0.002", "abc"), ACCURACY, "row 3, column input_tokens: 'abc'"),
        (GOOD.replace("falcon,energy", "falcon,joy"), ACCURACY, "row 4, column target: 'joy' is no target"),
        (
            GOOD.replace("falcon,energy", "falcon,runtime"),
            ACCURACY,
            "row 4: falcon has a row of time already",
        ),
        (GOOD.replace("falcon,energy,20,0.2,5,0\n", ""), ACCURACY, "no row of energy for model falcon"),
        (GOOD.replace("falcon,energy", ",energy"), ACCURACY, "row 4, column model: empty"),
        ('a,"b\n', ACCURACY, "is no CSV"),
        (GOOD, "model,accuracy\nphi,-0.1\n", "row 1: phi has the accuracy -0.1"),
        (GOOD, "model,accuracy\nphi,0.5\nphi,0.6\n", "row 2: .*had one before"),
        (GOOD, "model,accuracy\nllama,0.5\n", "llama"),
        (GOOD, "model\nphi\n", "no column accuracy"),
    ],
)
def test_bad_files_name_file_row_and_remedy(
    tmp_path: Path, regression: str, accuracy: str, words: str
) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read_original_layout(folder(tmp_path, regression, accuracy))
    assert ".csv" in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / REGRESSION_FILE).write_bytes(b"model\xff\xfe")
    with pytest.raises(DataError, match="not UTF-8"):
        read_original_layout(tmp_path)
    with pytest.raises(DataError, match="can't be read"):
        read_original_layout(tmp_path / "nowhere")
