"""What was written after a customer had left is named; what merely comes before leaving is not."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from benchmarks import audit as benchmark
from benchmarks.planted_leaks import NAMES, plant
from features.audit.findings import AsOfSlice
from features.audit.leaks import strongest_columns
from features.audit.ranks import MIN_PAIRS, rank_correlation
from features.audit.report import _strongest_lines
from features.audit.written_back import find_written_back
from features.core.settings import load_settings
from features.tables.history import load_history
from lifecycle import simulation

CUSTOMERS = 150


def findings_of(folder, mode, name=None, seed=5):
    business = simulation.simulate(customers=CUSTOMERS, mode=mode, seed=seed)
    if name:
        horizon = business.horizon_days
        tables = plant(business.tables, name, mode=mode, horizon_days=horizon, seed=seed)
        business = dataclasses.replace(business, tables=tables)
    simulation.write(business, folder=folder)
    settings = load_settings(folder / "lifecycle.toml")
    history, _ = load_history(settings)
    untested: list[str] = []
    return list(find_written_back(history, settings, untested)), untested


@pytest.mark.parametrize(
    ("mode", "name", "kind", "where"),
    [
        ("retail", "complaint", "written back", "feedback.kind = complaint"),
        ("subscription", "closing channel", "overwritten", "transactions.channel = closing"),
        ("subscription", "copied score", "foretells", "feedback.score"),
    ],
)
def test_what_was_written_after_leaving_is_named(tmp_path, mode, name, kind, where):
    findings, _ = findings_of(tmp_path, mode, name)
    assert (kind, where) in {(one.kind, one.where) for one in findings}
    assert {one.where.split(".")[0] for one in findings} == {NAMES[name]}


@pytest.mark.parametrize("mode", ["retail", "subscription"])
def test_clean_tables_are_not_accused(tmp_path, mode):
    """Customers of the simulator complain before they leave, and use less: that is no leak."""
    assert findings_of(tmp_path, mode) == ([], [])


def test_a_complaint_just_before_the_last_purchase_drove_them_away_and_is_no_leak(tmp_path):
    """The planted complaints, but all of them on the day before the last activity."""
    business = simulation.simulate(customers=CUSTOMERS, mode="retail", seed=5)
    horizon = business.horizon_days
    tables = plant(business.tables, "complaint", mode="retail", horizon_days=horizon, seed=5)
    count = business.tables["feedback"].num_rows
    feedback = tables["feedback"].to_pandas()
    planted = feedback.index >= count
    assert planted.sum() > 20
    feedback.loc[planted, "occurred_at"] -= pd.Timedelta(days=1)
    moved = pa.Table.from_pandas(feedback, preserve_index=False)
    business = dataclasses.replace(business, tables=tables | {"feedback": moved})
    simulation.write(business, folder=tmp_path)
    settings = load_settings(tmp_path / "lifecycle.toml")
    history, _ = load_history(settings)
    assert list(find_written_back(history, settings, [])) == []


@pytest.mark.long
@pytest.mark.slow
def test_the_measurement_names_nine_of_ten_and_accuses_nobody(capsys, monkeypatch):
    monkeypatch.setattr(
        "sys.argv", ["audit", "--seeds", "2", "--clean", "2", "--demo", "0", "--json"]
    )
    benchmark.main()
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["planted leaks named"]["holds"], figures
    assert figures["clean sets accused"]["holds"], figures


def test_three_pairs_in_order_are_no_correlation():
    values = np.full(50, np.nan)
    values[:3] = (1, 2, 3)
    assert rank_correlation(values, np.arange(50.0)) == 0
    assert rank_correlation(np.arange(float(MIN_PAIRS)), np.arange(float(MIN_PAIRS))) == 1
    assert rank_correlation(np.arange(MIN_PAIRS - 1.0), np.arange(MIN_PAIRS - 1.0)) == 0


def test_the_strongest_columns_are_printed_with_the_figure_that_makes_a_leak():
    churned = np.arange(100) % 2 == 0
    rng = np.random.default_rng(0)
    strong = churned + rng.normal(0, 0.7, 100)
    rows = pa.table({"strong": strong, "weak": rng.normal(0, 1, 100)})
    outcome = pa.table({"churned": churned})
    slices = [AsOfSlice(1, rows, outcome, np.ones(100, dtype=bool))]
    report = strongest_columns(slices, ["weak", "strong"])
    assert [one["name"] for one in report["columns"]] == ["strong", "weak"]
    assert 0.75 < report["columns"][0]["auroc"] < 0.95
    text = "\n".join(_strongest_lines(report))
    assert "a leak above 0.95): strong 0." in text
    assert strongest_columns([], ["weak"])["columns"] == []
