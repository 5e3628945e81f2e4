"""All tables of `lifecycle value`: what every row has, point in time, order, and bad input."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime

import polars
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lifecycle
from features.audit.perturbations import add_late_rows, copy_to_instant
from features.core.errors import AsOfTooLate, SeveralCurrencies, StoreFailed
from features.core.instants import DAY_US, instant
from features.engine.build import current_state
from features.indicators.all_tables import SECTIONS, business_tables
from features.indicators.growth import PARTS
from features.indicators.rfm import SEGMENTS
from features.labels.outcomes import observe_outcomes
from features.recipes.definitions import learn_definitions
from lifecycle.commands.value import ValueTables, make_value_tables
from serving.value.scored_tables import SHAPES
from tests.support import worlds
from tests.support.checks import nonempty
from tests.support.command_line import ROOT, run_here
from tests.support.indicator_worlds import day, orders, random_business, write_business

FURTHER = (
    *("channels", "channel_months", "channel_ages", "answers_adjusted"),
    *("cost_to_serve", "potential"),
)
EVERY_ROW = ("as_of", "population", "n", "low", "high", "definition", "missing")
NAMES = {*SECTIONS, "rfm_segments", "tier_changes", *FURTHER} - {
    "acquisition",
    "answering",
    "serving_cost",
}


@pytest.fixture(
    scope="module", params=["shop", pytest.param("subscriptions", marks=pytest.mark.slow)]
)
def business(request):
    """(settings, history, as_of, tables) at an instant with a future."""
    _, chosen, history = request.getfixturevalue(request.param)
    at = history.data_until - 200 * DAY_US
    return chosen, history, at, business_tables(history, chosen, as_of=at)


def tables_in(history, chosen, at, tables, **options):
    other = worlds.rebuild_history(history, tables, **options)
    return business_tables(other, chosen, as_of=at)


def refuse_other_tables(tables, others):
    assert set(tables) == set(others) == NAMES
    for name in nonempty(tables):
        assert tables[name].equals(others[name]), name


def test_every_row_says_whom_it_is_about_and_what_it_means(business):
    *_, at, tables = business
    assert set(tables) == NAMES
    for name, table in tables.items():
        assert [column for column in table.column_names if column in EVERY_ROW] == [*EVERY_ROW]
        rows = nonempty(table.to_pylist())
        assert {row["as_of"] for row in rows} == {at}, name
        for row in rows:
            assert row["population"]
            assert row["definition"]
            assert row["n"] is not None
            assert (row["low"] is None) == (row["high"] is None) or name == "response_times"
            assert row["low"] is None or row["high"] is None or row["low"] <= row["high"]
            assert not row["missing"] or row["n"] == 0
        numbers = [column for column in table.columns if pa.types.is_floating(column.type)]
        assert not any(pa.compute.any(pa.compute.is_nan(each)).as_py() for each in numbers)


def test_later_rows_change_nothing(business):
    """Removed, scrambled, repeated at the instant; corrections and late rows that came later."""
    chosen, history, at, tables = business
    recorded = worlds.read_tables(history)
    truncated = worlds.truncate_history(recorded, at)
    refuse_other_tables(tables, tables_in(history, chosen, at, truncated))
    later = copy_to_instant(add_late_rows(worlds.scramble_future(recorded, at), at), at)
    refuse_other_tables(tables, tables_in(history, chosen, at, worlds.shuffle_rows(later)))


def test_neither_the_order_of_rows_nor_threads_change_anything(business):
    chosen, history, at, tables = business
    shuffled = worlds.shuffle_rows(worlds.read_tables(history))
    refuse_other_tables(tables, tables_in(history, chosen, at, shuffled, threads=2))


@settings(max_examples=1, deadline=None)
@given(seed=st.integers(0, 2**32))
@pytest.mark.long
def test_corrections_and_voids_that_came_later_change_nothing(seed):
    made = random_business(seed, made_of(seed), count=30)
    known = {
        name: [row for row in rows if name == "customers" or row["recorded_at"] < made.as_of]
        for name, rows in made.tables.items()
    }
    for rows in known.values():
        made.rng.shuffle(rows)
    earlier = replace(made, tables=known)
    refuse_other_tables(
        business_tables(made.history(), made.settings, as_of=made.as_of),
        business_tables(earlier.history(), made.settings, as_of=made.as_of),
    )


def made_of(seed):
    return "contractual" if seed % 2 else "non-contractual"


def test_the_tables_agree_with_each_other(business):
    chosen, *_, tables = business
    rows = {name: table.to_pylist() for name, table in tables.items()}
    buyers = sum(row["n"] for row in rows["rfm_segments"])
    assert buyers == len(rows["rfm"]) == sum(row["n"] for row in rows["tiers"])
    last_year = sum(row["money_last_year"] for row in rows["rfm_segments"])
    assert last_year == pytest.approx(sum(row["money"] for row in rows["tiers"]))
    stages = {row["stage"]: row["n"] for row in rows["stages_now"]}
    for stage, n in stages.items():
        arrived = [row["customers"] for row in rows["migration"] if row["to_stage"] == stage]
        assert sum(arrived) == n
    headline = {row["indicator"]: row for row in rows["indicators"]}
    assert headline["churn"]["value"] == pytest.approx(1 - headline["retention"]["value"])
    repeated = [row for row in rows["rfm"] if row["frequency"] >= 2]
    assert headline["repeat purchase rate"]["value"] == len(repeated) / buyers
    for measure in ("csat", "nps"):
        [total] = [
            row
            for row in rows["satisfaction"]
            if (row["measure"], row["dimension"]) == (measure, "all")
        ]
        assert headline[measure]["value"] == total["value"]
        assert (headline[measure]["low"], headline[measure]["n"]) == (total["low"], total["n"])
    spent = {row["month"]: row["revenue"] for row in rows["growth"] if row["dimension"] == "all"}
    cohorts = [row["money"] for row in rows["cohorts"] if row["money"] is not None]
    if chosen.activity.table == "transactions":  # else some pay before the month of acquisition
        assert sum(cohorts) == pytest.approx(sum(spent.values()))


def test_the_churn_of_the_page_is_the_label_of_the_models(business):
    chosen, history, at, tables = business
    known = history.as_of(at - chosen.outcome_window_us)
    definitions = learn_definitions(history.as_of(at), chosen)
    outcomes = observe_outcomes(history, known, definitions=definitions, settings=chosen)
    state = current_state(known, definitions).collect(backend="pyarrow").to_native()
    eligible = {r["customer_id"] for r in state.to_pylist() if r["eligible"]}
    churned = [r["churned"] for r in outcomes.rows.to_pylist() if r["customer_id"] in eligible]
    [row] = [r for r in tables["indicators"].to_pylist() if r["indicator"] == "churn"]
    assert (row["n"], row["value"]) == (len(churned), sum(churned) / len(churned))


BOUGHT = orders("a 2024-01-10 10", "b 2024-02-10 20")
VISITS = "customer_id,occurred_at,kind\na,2024-01-01,visit\na,2024-02-05,visit\n"
ONLY_REFUNDS = orders("a 2024-01-10 10 refund", "b 2024-02-10 20 refund")


@pytest.mark.parametrize(
    ("tables", "at", "activity"),
    [
        pytest.param({"transactions": BOUGHT}, "2023-01-01", {}, id="before the data"),
        pytest.param({"transactions": BOUGHT}, "1970-01-01", {}, id="at the first instant"),
        pytest.param({"transactions": ONLY_REFUNDS}, "2024-03-01", {}, id="only refunds"),
        pytest.param(
            {"interactions": VISITS},
            "2024-03-01",
            {"table": "interactions", "kinds": ["visit"]},
            id="no transactions",
        ),
    ],
)
def test_without_purchases_every_table_of_money_says_so(tmp_path, tables, at, activity):
    chosen, history = write_business(tmp_path, tables, activity=activity)
    made = business_tables(history, chosen, as_of=day(at))
    assert set(made) == NAMES
    for name in ("rfm", "rfm_segments", "tiers", "tier_changes"):
        [row] = made[name].to_pylist()
        assert "transactions with a purchase" in row["missing"]
        assert row["n"] == 0
    for name, table in made.items():
        rows = nonempty(table.to_pylist())
        whole = ("stages_now", "stages_over_time", "trends", "kept")
        assert name in whole or any(row["missing"] for row in rows), name
    assert made["growth"]["missing"][0].as_py()


def test_one_customer_has_every_table(tmp_path):
    chosen, history = write_business(tmp_path, {"transactions": orders("a 2024-01-10 10")})
    made = business_tables(history, chosen, as_of=day("2026-01-01"))
    [row] = made["rfm"].to_pylist()
    assert (row["segment"], row["monetary"]) == ("hibernating", 10.0)
    assert [row["to_tier"] for row in made["tier_changes"].to_pylist()] == ["inactive"]
    refunded = orders("a 2024-01-10 10", "a 2024-01-11 50 refund", "b 2024-01-12 5")
    chosen, history = write_business(tmp_path, {"transactions": refunded})
    made = business_tables(history, chosen, as_of=day("2024-02-01"))
    [total] = [r for r in made["growth"].to_pylist() if r["dimension"] == "all"]
    assert (total["revenue"], total["new"]) == (-35.0, -35.0)
    assert [r["money_share"] for r in made["tiers"].to_pylist()] == [None] * 5


def test_before_the_first_year_nothing_is_known(tmp_path):
    chosen, history = write_business(tmp_path, {"transactions": orders("a 2024-01-10 10")})
    early = business_tables(history, chosen, as_of=instant(datetime(1, 1, 1), zone="UTC"))
    assert all(row["n"] in (0, None) for table in early.values() for row in table.to_pylist())


def test_a_spreadsheet_runs_nothing_and_a_failed_write_leaves_nothing(tmp_path):
    table = pa.table({"text": ["=1+1", "@SUM(A1)", "-5", "plain", None], "n": [-1, 2, 3, 4, 5]})
    tables = ValueTables({"one": table, "two": table}, 0, "UTC")
    tables.write(tmp_path / "new" / "out")
    read = pa.csv.read_csv(tmp_path / "new" / "out" / "one.csv")
    assert read["text"].to_pylist() == ["'=1+1", "'@SUM(A1)", "'-5", "plain", ""]
    assert read["n"].to_pylist() == [-1, 2, 3, 4, 5]
    assert pq.read_table(tmp_path / "new" / "out" / "one.parquet").equals(table)
    before = {path.name: path.read_bytes() for path in (tmp_path / "new" / "out").iterdir()}
    assert sorted(before) == ["one.csv", "one.parquet", "two.csv", "two.parquet"]
    broken = table.append_column("list", pa.array([{"a": 1}] * 5))  # CSV has no structs
    with pytest.raises(Exception, match=r"(?i)csv|struct|type"):
        ValueTables({"one": table.slice(1), "two": broken}, 0, "UTC").write(
            tmp_path / "new" / "out"
        )
    after = {path.name: path.read_bytes() for path in (tmp_path / "new" / "out").iterdir()}
    assert after == before
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFailed):
        tables.write(tmp_path / "file")


def test_a_table_that_fell_silent_is_named(shop):
    _, chosen, history = shop
    silent = history.data_until - 40 * DAY_US
    connection = history.connection.cursor()
    connection.execute("CREATE SCHEMA IF NOT EXISTS fell_silent")
    for name in history.names:
        only = f" WHERE recorded_at < {silent}" if name == "interactions" else ""
        connection.execute(
            f"CREATE OR REPLACE VIEW fell_silent.{name} AS SELECT * FROM main.{name}{only}"
        )
    other = replace(history, connection=connection, schema="fell_silent")
    made = make_value_tables(other, chosen, None)
    assert set(made.silent) == {"interactions"}
    assert "interactions has been silent since" in made.text()
    assert made.report()["silent"] == made.silent
    assert not make_value_tables(history, chosen, None).silent


def test_several_currencies_are_refused(tmp_path):
    text = "customer_id,occurred_at,amount\na,2024-01-01,5\n"
    chosen, history = write_business(tmp_path, {"transactions": text})
    mixed = replace(history, currencies={"transactions": {"EUR": 3, "USD": 2}})
    with pytest.raises(SeveralCurrencies, match="2 currencies"):
        business_tables(mixed, chosen, as_of=day("2024-02-01"))


@pytest.fixture
def config(tmp_path):
    """The configuration of two customers, in UTC."""
    (tmp_path / "transactions.csv").write_text(BOUGHT)
    (tmp_path / "lifecycle.toml").write_text(
        '[business]\nzone = "UTC"\n[files]\nt = "transactions.csv"\n[tables]\n'
        'transactions = "SELECT * FROM t"\n'
    )
    return tmp_path / "lifecycle.toml"


def test_the_command_writes_a_pair_of_files_a_table(config, tmp_path):
    """Without an instant they are of the midnight right after the data."""
    done = run_here("value", "-c", config, "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["as_of"] == "2024-02-11"
    assert set(report["tables"]) == {*NAMES, *SHAPES, "campaigns", "campaign_actions"}
    shop = lifecycle.open(config)
    tables = make_value_tables(shop.history, shop.settings, day("2024-02-11")).tables
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {
        f"{name}{ending}"
        for name in {*NAMES, *SHAPES, "campaigns", "campaign_actions"}
        for ending in (".parquet", ".csv")
    }
    for name, table in tables.items():
        written = pq.read_table(tmp_path / "out" / f"{name}.parquet")
        assert written.drop(["as_of"]).equals(table.drop(["as_of"])), name
        rows = pa.csv.read_csv(tmp_path / "out" / f"{name}.csv")
        assert (rows.num_rows, rows.column_names) == (table.num_rows, table.column_names)
        assert report["tables"][name]["rows"] == table.num_rows
    assert report["tables"]["satisfaction"]["missing"] == ["feedback that was known before as_of"]


def test_in_python_the_tables_are_frames_and_too_late_an_instant_is_refused(config):
    shop = lifecycle.open(config)
    frames = shop.value(as_of="2024-02-01", frames="polars")
    assert isinstance(frames["rfm"], polars.DataFrame)
    assert frames["rfm"]["customer_id"].to_list() == ["a"]
    assert shop.value()["rfm"]["as_of"].iloc[0].isoformat() == "2024-02-11T00:00:00+00:00"
    with pytest.raises(AsOfTooLate):
        shop.value(as_of="2024-06-01")


def test_the_page_of_definitions_names_every_table_column_and_segment(tmp_path):
    page = (ROOT / "docs" / "indicators.md").read_text()
    chosen, history = write_business(tmp_path, {"transactions": BOUGHT})
    tables = business_tables(history, chosen, as_of=day("2023-01-01"))
    own = {column for table in tables.values() for column in table.column_names}
    own |= {column for shape in SHAPES.values() for column in shape.columns}
    customers = {f"customers_{part}" for part in PARTS} | {"customer_id", "level", "month"}
    for name in [*tables, *SHAPES, *(own - customers), "customers_new"]:
        assert f"`{name}`" in page or f"## {name}" in page or f", {name}" in page, name
    for recency, names in SEGMENTS.items():
        rows = re.findall(rf"^\| (?:2, )?{recency}(?:, 1)? \| (.*) \|$", page, re.M)
        assert rows == [" | ".join(names)]
