"""What the simulation writes: files, a configuration, its edges and refusals."""

import tomllib
from datetime import date, timedelta

import pytest
from pyarrow import csv, parquet

from features.core import settings
from lifecycle.simulation import MODES, START, simulate, write
from tests.support.checks import nonempty
from tests.support.simulation_outcomes import LATENCY


@pytest.mark.parametrize("mode", MODES)
def test_files_hold_the_tables_and_a_valid_configuration(mode, tmp_path):
    simulated = simulate(customers=60, days=500, mode=mode, horizon_days=45)
    write(simulated, folder=tmp_path)
    for name, table in nonempty(simulated.tables.items()):
        types = csv.ConvertOptions(column_types=table.schema, strings_can_be_null=True)
        assert csv.read_csv(tmp_path / "data" / f"{name}.csv", convert_options=types) == table
    assert parquet.read_table(tmp_path / "truth" / "truth.parquet") == simulated.truth
    stated = tomllib.loads((tmp_path / "lifecycle.toml").read_text(encoding="utf-8"))
    assert set(stated["files"]) == set(stated["tables"]) == set(simulated.tables)
    assert stated["contract"]["data_until"] == "2023-05-16"
    assert stated["churn"]["horizon_days"] == 45
    loaded = settings.load_settings(tmp_path / "lifecycle.toml")
    assert loaded.contractual == (mode == "subscription")
    assert all(
        settings.file_path(loaded, path).is_file() for path in nonempty(loaded.files.values())
    )


def evaluated(mode, folder, *, until):
    """The dates `write` has training looked at on, where the data end on `until`."""
    write(simulate(customers=9, days=(until - START).days, mode=mode), folder=folder)
    return settings.load_settings(folder / "lifecycle.toml").training.evaluate


@pytest.mark.parametrize("mode", MODES)
def test_training_is_looked_at_on_the_newest_date_whose_outcomes_are_all_in(mode, tmp_path):
    newest = date(2023, 3, 1)
    until = newest + timedelta(days=60) + LATENCY[mode]
    assert evaluated(mode, tmp_path, until=until) == [newest]
    assert evaluated(mode, tmp_path, until=until - timedelta(days=1)) == [date(2023, 2, 1)]


@pytest.mark.parametrize("mode", MODES)
def test_training_is_looked_at_on_no_date_of_a_short_span(mode, tmp_path):
    settled = date(2022, 7, 1) + timedelta(days=60) + LATENCY[mode]
    for until in (
        date(2022, 2, 1),
        settled - timedelta(days=1),
    ):  # no truth at all; truth, but not settled
        assert evaluated(mode, tmp_path, until=until) == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("days", "seed"), [(1, 0), (40, 1), (300, 2), (1096, 3)])
def test_one_customer_works(mode, days, seed, tmp_path):
    simulated = simulate(customers=1, days=days, seed=seed, mode=mode)
    write(simulated, folder=tmp_path)
    assert simulated.tables["customers"]["customer_id"].to_pylist() == ["000001"]
    assert simulated.truth.schema == simulate(customers=5, mode=mode).truth.schema
    assert simulated.days == days


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mode": "shop"}, "mode must be retail or subscription, got 'shop'"),
        ({"customers": 0}, "customers must be a whole number, at least 1, got 0"),
        ({"days": -3}, "days must be a whole number, at least 1, got -3"),
        ({"horizon_days": 0}, "horizon_days must be a whole number, at least 1, got 0"),
        ({"seed": -1}, "seed must be a whole number, at least 0, got -1"),
        ({"customers": 2.5}, "customers must be a whole number, at least 1, got 2.5"),
        ({"days": True}, "days must be a whole number, at least 1, got True"),
    ],
)
def test_wrong_arguments_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        simulate(**wrong)
