"""Grid intensity: constant, typical day, series with holes, and broken files."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pointsman.errors import ConfigError, DataError
from pointsman.meters.carbon import GridIntensity

DAY = "hour,gco2e_per_kwh\n" + "".join(f"{hour},{100 + hour}\n" for hour in range(24))


def _file(folder, text):
    path = folder / "grid.csv"
    path.write_text(text)
    return path


def _wall(text):
    return datetime.fromisoformat(text).timestamp()


def test_a_constant_holds_at_all_times_and_gives_grams():
    grid = GridIntensity.constant(400.0, source="supplier's label")
    assert grid.at(0.0) == grid.at(2e9) == 400.0
    assert grid.covers(2e9)
    assert grid.grams(3.6e6, 0.0) == pytest.approx(400.0)
    assert grid.source == "supplier's label"


def test_a_typical_day_is_read_in_its_zone(tmp_path):
    utc = GridIntensity.from_csv(_file(tmp_path, DAY), source="grid operator")
    assert utc.at(_wall("2026-03-01T14:59:59+00:00")) == 114.0
    assert utc.at(_wall("2026-03-01T15:00:00+00:00")) == 115.0
    east = GridIntensity.from_csv(_file(tmp_path, DAY), source="x", zone=timezone(timedelta(hours=2)))
    assert east.at(_wall("2026-03-01T23:30:00+00:00")) == 101.0


def test_a_series_gives_its_hours_and_elsewhere_a_typical_one(tmp_path):
    text = (
        "gco2e_per_kwh,hour\n300,2026-03-02T10:00\n100,2026-03-01T10:00:00+00:00\n"
        "50,2026-03-01T12:00+01:00\n0,2026-03-01 23:00\n"
    )
    grid = GridIntensity.from_csv(_file(tmp_path, text), source="x")
    assert grid.at(_wall("2026-03-01T10:59:00+00:00")) == 100.0
    assert grid.at(_wall("2026-03-01T11:30:00+00:00")) == 50.0
    assert grid.at(_wall("2026-03-02T10:00:00+00:00")) == 300.0
    hole = _wall("2026-03-01T12:00:00+00:00")
    assert not grid.covers(hole)
    assert grid.covers(hole - 1)
    assert grid.at(hole) == pytest.approx((300 + 100 + 50 + 0) / 4)
    assert grid.at(_wall("2030-01-01T10:15:00+00:00")) == pytest.approx(200.0)
    assert grid.at(_wall("1999-01-01T23:15:00+00:00")) == 0.0


def test_times_without_an_offset_are_in_the_given_zone(tmp_path):
    text = "hour,gco2e_per_kwh\n2026-03-01T10:00,7\n2026-03-01T12:00Z,9\n"
    grid = GridIntensity.from_csv(_file(tmp_path, text), source="x", zone=timezone(timedelta(hours=3)))
    assert grid.at(datetime(2026, 3, 1, 7, 30, tzinfo=UTC).timestamp()) == 7.0
    assert grid.at(datetime(2026, 3, 1, 12, 30, tzinfo=UTC).timestamp()) == 9.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"columns \[\]"),
        ("hour\n1\n", r"columns \['hour'\].*gco2e_per_kwh"),
        ("hour,gco2e_per_kwh\n", "has no rows"),
        ("hour,gco2e_per_kwh\n0,5\n1,5\n", r"2 hours of day: \[0, 1\].*each of 0 to 23 once"),
        (DAY + "24,5\n", "25 hours of day"),
        (DAY + "00,5\n", "25 hours of day"),
        (DAY + "0,5\n", "line 26: hour '0' comes twice"),
        (DAY.replace("109", "nan"), "line 11: gco2e_per_kwh is 'nan'"),
        (DAY.replace("109", "-9"), "line 11: gco2e_per_kwh is '-9'"),
        (DAY.replace("109", ""), "line 11: gco2e_per_kwh is ''"),
        (DAY + "noon,5\n", "mixes hours of day with others, such as 'noon'"),
        ("hour,gco2e_per_kwh\nnoon,5\n", "hour 'noon' is neither 0 to 23 nor an ISO timestamp"),
        ("hour,gco2e_per_kwh\n2026-03-01T10:00Z,5\n2026-03-01T11:00+01:00,5\n", "same moment twice"),
        ('hour,gco2e_per_kwh\n"0,5\n', "can't be read as CSV"),
    ],
)
def test_a_broken_file_is_refused_with_its_place(tmp_path, text, says):
    with pytest.raises(DataError, match=says):
        GridIntensity.from_csv(_file(tmp_path, text), source="x")


def test_a_missing_file_a_bad_constant_and_no_source_are_refused(tmp_path):
    with pytest.raises(DataError, match="can't be read"):
        GridIntensity.from_csv(tmp_path / "nowhere.csv", source="x")
    for value in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match=f"gco2e_per_kwh is {value}"):
            GridIntensity.constant(value, source="x")
    with pytest.raises(ConfigError, match="names no source"):
        GridIntensity.constant(1.0, source=" ")
    with pytest.raises(ConfigError, match="names no source"):
        GridIntensity.from_csv(_file(tmp_path, DAY), source="")
