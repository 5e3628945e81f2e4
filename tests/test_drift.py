"""Drift: what calm dates differ by is no drift, and what lies beyond it is."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.core.errors import ReleaseRefused
from features.core.instants import DAY_US
from serving.release.reference_file import read_reference, write_reference
from training.drift.bins import place_values, quantile_edges
from training.drift.fit_reference import fit_reference
from training.drift.statistic import beyond_chance, compare_counts, fit_calm
from training.monitor.distributions import judge_distributions
from training.monitor.kinds import CALM, CANNOT_TELL, MOVED, NOBODY, TOO_FEW_DATES, judge_kind

STAGES = np.array(["new", "growing", "loyal"])
FIRST, STEP = 1_600_000_000_000_000, 30 * DAY_US


def months(*, customers=600, dates=9, seed=3, shift=0.0):
    """Feature rows of so many monthly dates: two columns, tenure, stage; all are eligible."""
    rng = np.random.default_rng(seed)
    tables = []
    for number in range(dates):
        at = FIRST + number * STEP
        tables.append(
            pa.table(
                {
                    "customer_id": [f"c{k:05d}" for k in range(customers)],
                    "as_of": np.full(customers, at),
                    "eligible": np.ones(customers, bool),
                    "stage": STAGES[rng.integers(0, 3, customers)],
                    "first_at": at - rng.integers(0, 900, customers) * DAY_US,
                    "recency_from": np.full(customers, at - DAY_US),
                    "pages": rng.normal(shift, 1, customers),
                    "visits": pa.array(rng.poisson(2, customers).astype(float)),
                    "churned": rng.random(customers) < 0.25,
                }
            )
        )
    return pa.concat_tables(tables)


def reference_of(rows, columns=("pages", "visits")):
    return fit_reference(rows, np.full(rows.num_rows, 0.25), columns)


def judge(rows, reference, **options):
    at = FIRST + 11 * STEP
    scored = rows.append_column("p_churn", pa.array(np.full(rows.num_rows, 0.25)))
    scored = scored.set_column(1, "as_of", pa.array(np.full(rows.num_rows, at)))
    first = pa.array(scored["first_at"].to_numpy() + at - rows["as_of"].to_numpy())
    scored = scored.set_column(scored.column_names.index("first_at"), "first_at", first)
    return judge_distributions(scored, reference, as_of=at, **options)


@pytest.fixture(scope="module")
def reference():
    return reference_of(months())


def test_a_calm_month_has_not_moved_and_a_column_that_moved_is_named(reference):
    calm = judge(months(dates=1, seed=4), reference)
    assert {each.verdict for each in calm.values()} == {CALM}
    moved = judge(months(dates=1, seed=4, shift=0.8), reference)
    assert [change.name for change in moved["features"].changes] == ["pages"]
    assert moved["features"].verdict == MOVED
    assert moved["stages"].verdict == CALM
    assert 0 < moved["features"].changes[0].effect < 1


def test_the_order_of_rows_does_not_matter(reference):
    rows = months(dates=1, seed=5, shift=0.8)
    shuffled = rows.take(np.random.default_rng(0).permutation(rows.num_rows))
    assert judge(rows, reference) == judge(shuffled, reference)
    past = months()
    order = np.argsort(past["as_of"].to_numpy() + np.random.default_rng(1).random(past.num_rows))
    again = reference_of(past.take(order))
    for kind, part in reference.kinds.items():
        np.testing.assert_array_equal(part.counts, again.kinds[kind].counts)


@pytest.mark.parametrize("customers", [0, 1, 30])
def test_few_customers_cannot_tell_and_nobody_is_no_error(reference, customers):
    results = judge(months(dates=1, seed=6)[:customers], reference)
    assert results["features"].verdict == CANNOT_TELL
    assert results["stages"].verdict == CANNOT_TELL
    if not customers:
        assert results["features"].why == NOBODY
    else:
        assert results["features"].visible > 0.2


def test_few_dates_do_not_say_what_calm_is():
    results = judge(months(dates=1, seed=6), reference_of(months(dates=3)))
    assert {each.why for each in results.values()} == {TOO_FEW_DATES}


def test_a_mix_of_tenures_that_changed_is_no_drift(reference):
    """Old customers alone: what depends on tenure is compared with the old ones of training."""

    def by_tenure(rows):
        days = (rows["as_of"].to_numpy() - rows["first_at"].to_numpy()) / DAY_US
        stratum = np.searchsorted(reference.tenure, days, side="right")
        noise = rows["pages"].to_numpy()
        pages = pa.array(stratum * 2.0 + noise)
        return rows.set_column(rows.column_names.index("pages"), "pages", pages), stratum

    past = reference_of(by_tenure(months())[0])
    rows, stratum = by_tenure(months(dates=1, seed=7, customers=2400))
    assert judge(rows.filter(pa.array(stratum > 2)), past)["features"].verdict == CALM
    new = by_tenure(months(dates=1, seed=7, customers=2400, shift=1.0))[0]
    assert judge(new.filter(pa.array(stratum > 2)), past)["features"].verdict == MOVED


def test_columns_of_a_table_that_the_run_went_without_are_not_compared(reference):
    rows = months(dates=1, seed=4, shift=3.0)
    result = judge(rows, reference, skip={"pages"})["features"]
    assert result.verdict == CALM
    assert result.tests == 1


def test_a_stage_that_nobody_has_and_one_that_only_now_somebody_has(reference):
    rows = months(dates=1, seed=8)
    assert judge(rows, reference)["stages"].verdict == CALM
    dormant = rows.set_column(3, "stage", pa.array(["dormant"] * rows.num_rows))
    [change] = judge(dormant, reference)["stages"].changes
    assert change.now in (0.0, 1.0)
    assert change.effect > 0.9


def test_a_column_without_a_value_and_a_constant_one_have_not_moved():
    past, rows = months(), months(dates=1, seed=9)
    nothing = {name: pa.nulls(table.num_rows, pa.float64()) for name, table in (("a", past),)}
    past = past.append_column("empty", nothing["a"]).append_column(
        "same", pa.array(np.ones(past.num_rows))
    )
    rows = rows.append_column("empty", pa.nulls(rows.num_rows, pa.float64()))
    rows = rows.append_column("same", pa.array(np.ones(rows.num_rows)))
    assert judge(rows, reference_of(past, ("empty", "same")))["features"].verdict == CALM
    full = rows.set_column(rows.column_names.index("empty"), "empty", rows["pages"])
    [change] = judge(full, reference_of(past, ("empty", "same")))["features"].changes
    assert change.name == "empty"


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=40), st.integers(2, 6))
def test_every_value_has_a_bin(values, count):
    values = np.array(values, float)
    edges = quantile_edges(values, count)
    assert list(edges) == sorted(set(edges))
    places = place_values(values, edges, count + 1)
    assert ((places >= 0) & (places <= count)).all()
    assert ((places == count) == ~np.isfinite(values)).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_what_is_beyond_chance_is_what_holm_rejects_one_by_one(chances):
    expected, left = set(), sorted(range(len(chances)), key=lambda k: chances[k])
    for position, k in enumerate(left):
        if chances[k] > 0.01 / (len(chances) - position):
            break
        expected.add(k)
    assert set(np.flatnonzero(beyond_chance(np.array(chances)))) == expected


def test_equal_counts_are_no_distance_and_calm_is_measured_between_dates():
    counts = np.full((2, 3, 4), 25.0)
    same = compare_counts(counts, counts)
    assert same.distance.tolist() == [0.0] * 3
    assert same.statistic.tolist() == [0.0] * 3
    dates = np.arange(6) * STEP
    rng = np.random.default_rng(0)
    calm = rng.multinomial(400, [0.25] * 4, size=(6, 1, 1)).astype(float)
    wild = np.stack([rng.multinomial(400, rng.dirichlet([5] * 4)) for _ in dates])[:, None, None]
    assert fit_calm(calm, dates)[0][0] < 3 < fit_calm(wild.astype(float), dates)[0][0]


def test_one_date_more_or_less_is_judged_by_every_date():
    dates = np.arange(6) * STEP
    now = np.full((1, 1, 2), 50.0)
    result = judge_kind(
        "stages", ["x"], now, now, calm=np.ones(1), trend=np.zeros(1), dates=dates, as_of=9 * STEP
    )
    assert result.changes == ()


def test_a_reference_comes_back_as_it_was_written(reference, tmp_path):
    write_reference(reference, tmp_path)
    again = read_reference(tmp_path, "r", ("pages", "visits"))
    assert again.dates == reference.dates
    assert again.outcomes == reference.outcomes
    assert judge(months(dates=1, seed=4), again) == judge(months(dates=1, seed=4), reference)
    text = (tmp_path / "reference.json").read_text()
    assert "c00001" not in text


def _negative(content):
    content["kinds"]["features"]["counts"][0][0][0] = -1


def _short(content):
    content["kinds"]["features"]["calm"].pop()


def _stratum(content):
    content["kinds"]["stages"]["counts"].pop()


def _kind(content):
    del content["kinds"]["scores"]


def _edges(content):
    content["kinds"]["features"]["edges"][0] = [2.0, 1.0]


def _column(content):
    content["kinds"]["features"]["names"][0] = "nothing"


def _left(content):
    content["outcomes"][0]["left"] = 10**9


def _dates(content):
    content["dates"] = content["dates"][::-1]


@pytest.mark.parametrize(
    "damage", [_negative, _short, _stratum, _kind, _edges, _column, _left, _dates]
)
def test_a_reference_that_breaks_a_rule_is_refused(reference, tmp_path, damage):
    write_reference(reference, tmp_path)
    content = json.loads((tmp_path / "reference.json").read_text())
    damage(content)
    (tmp_path / "reference.json").write_text(json.dumps(content))
    with pytest.raises(ReleaseRefused, match=r"reference\.json"):
        read_reference(tmp_path, "r", ("pages", "visits"))
