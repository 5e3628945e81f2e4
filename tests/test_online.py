"""The kept plan of a release builds what the batch job builds, to the bit: whoever comes together,
whatever came before.
"""

from __future__ import annotations

import dataclasses
import math

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.core.contract import CONTRACT
from features.core.instants import DAY_US
from features.engine.build import build
from features.engine.business_columns import columns_for
from features.engine.prepared import PreparedFeatures, _sql, rows_to_arrow
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import PopulationStats, population_stats
from features.tables.terms import TermRules
from tests.support import worlds
from tests.support.checks import nonempty


@pytest.fixture(
    scope="module",
    params=[
        # `whole_shop` has these columns too.
        pytest.param("shop", marks=[pytest.mark.slow, pytest.mark.long]),
        "subscriptions",
        pytest.param("whole_shop", marks=pytest.mark.slow),
        pytest.param("whole_subscriptions", marks=[pytest.mark.slow, pytest.mark.long]),
    ],
)
def world(request):
    """(history, settings, definitions, base, columns, a plan, an instant that is no midnight, all
    rows shuffled).
    """
    _, settings, history = request.getfixturevalue(request.param)
    at = history.data_until - 40 * DAY_US - 12_345_678
    known = history.as_of(at)
    definitions = learn_definitions(known, settings)
    base, columns = (
        population_stats(known, definitions),
        columns_for(history, definitions, settings),
    )
    plan = plan_of(history, settings, definitions, base, columns)
    shuffled = worlds.shuffle_rows(worlds.read_tables(history))
    tables = {name: table.select(list(CONTRACT[name].names)) for name, table in shuffled.items()}
    return history, settings, definitions, base, columns, plan, at, tables


def plan_of(history, settings, definitions, base, columns):
    return PreparedFeatures(
        definitions=definitions,
        population=base,
        columns=columns,
        tables=history.names,
        activity_kinds=history.activity_kinds,
        terms=TermRules.from_settings(settings),
    )


def sent(tables, customers):
    """What a caller would send of these customers: contract columns alone, in any order."""
    return {
        name: table.filter(pc.is_in(table["customer_id"], pa.array(customers)))
        for name, table in tables.items()
    }


@pytest.mark.parametrize("together", [1, 7, 200])
def test_it_builds_the_batch_rows_to_the_bit(world, together):
    history, _, definitions, base, columns, plan, at, _ = world
    expected = build(history.as_of(at), population=base, definitions=definitions, columns=columns)
    ids = expected["customer_id"].to_pylist()[:200]
    for start in range(0, min(len(ids), 12 * together), together):
        mine = ids[start : start + together]
        rows = plan.build(sent(world[7], mine), as_of=at)
        assert rows.equals(expected.filter(pc.is_in(expected["customer_id"], pa.array(mine))))


@pytest.mark.parametrize("days", [0, 33.25, 190, 5000])
def test_one_plan_answers_for_any_instant(world, days):
    history, _, definitions, base, columns, plan, _, _ = world
    at = history.data_until - round(days * DAY_US)
    expected = build(history.as_of(at), population=base, definitions=definitions, columns=columns)
    everybody = (
        history.as_of(history.data_until).customers.collect().to_native()["customer_id"].to_pylist()
    )
    assert plan.build(sent(world[7], everybody), as_of=at).equals(expected)


def test_only_the_columns_asked_for_are_built_and_equal(world):
    history, settings, definitions, base, columns, plan, at, _ = world
    few = columns[::9]
    some = sent(
        world[7], history.as_of(at).customers.collect().to_native()["customer_id"].to_pylist()[:30]
    )
    rows, all_rows = (
        plan_of(history, settings, definitions, base, few).build(some, as_of=at),
        plan.build(some, as_of=at),
    )
    assert [name for name in rows.column_names if name in {c.name for c in columns}] == [
        c.name for c in few
    ]
    assert rows.equals(all_rows.select(rows.column_names))


def test_a_request_leaves_nothing_behind(world):
    history, _, _, _, _, plan, at, _ = world
    one = build(history.as_of(at), population=world[3], definitions=world[2], columns=world[4])[
        "customer_id"
    ][0].as_py()
    first = plan.build(sent(world[7], [one]), as_of=at)
    assert first.num_rows == 1
    assert plan.build({}, as_of=at).num_rows == 0
    assert plan.build(sent(world[7], [one]), as_of=at).equals(first)
    for share in (plan._first, plan._second):
        assert {table.rows.num_rows for table in share._incoming.values()} == {0}
        for name in nonempty(share._tables):
            assert share._connection.execute(f"SELECT count(*) FROM {name}").fetchone() == (0,)


@pytest.mark.parametrize("world", ["whole_shop"], indirect=True)
def test_values_wider_than_all_before_them_come_out_whole(world):
    """A prepared statement must not rest on what the tables held when it was prepared."""
    plan, at = world[5], world[6]
    row = {
        "customer_id": "x" * 70_000,
        "occurred_at": 1,
        "recorded_at": 1,
        "amount": 10**15,
        "kind": "purchase",
    }
    late = {
        **row,
        "occurred_at": at - 1,
        "recorded_at": at - 1,
        "customer_id": "ß",
        "amount": -(10**15),
    }
    events = {"transactions": rows_to_arrow("transactions", [row, late])}
    rows = plan.build(events, as_of=at)
    assert rows["customer_id"].to_pylist() == ["x" * 70_000, "ß"]
    assert rows["last_at"].to_pylist() == [1, at - 1]
    assert rows["as_of"].to_pylist() == [at, at]
    assert rows["amount_all"].to_pylist()[0] == 10**13


def test_reals_of_the_base_keep_their_last_bit(world):
    """SQL reads 0.1 as a decimal; a base whose reals are awkward would come out otherwise."""
    history, settings, definitions, base, columns, _, at, _ = world
    awkward = dataclasses.replace(
        base,
        r=0.1 + 0.2,
        alpha=math.pi * 7,
        a=1 / 3,
        b=2.0 / 7,
        amount_quantiles=tuple(1234.5678901234567 * (k + 1) / 7 for k in range(19)),
    )
    expected = build(
        history.as_of(at), population=awkward, definitions=definitions, columns=columns
    )
    plan = plan_of(history, settings, definitions, awkward, columns)
    assert plan.build(sent(world[7], expected["customer_id"].to_pylist()), as_of=at).equals(
        expected
    )


def test_quoted_text_is_never_taken_for_a_number():
    import narwhals as nw

    from features.tables.sources import connect

    frame = nw.from_native(connect().sql("SELECT 'a' AS kind")).filter(
        nw.col("kind") == "it's 7.25"
    )
    written = _sql(frame.with_columns(y=nw.lit(0.30000000000000004), **{"v 2.5": nw.lit(1)}))
    assert "7.25e0" not in written
    assert '"v 2.5"' in written
    assert "0.30000000000000004e0" in written


def test_a_base_says_where_it_was_stored(tmp_path):
    import pyarrow.parquet as pq

    base = PopulationStats(5, tuple(float(k) for k in range(19)), 0.1, 0.2, 0.3, 0.4)
    pq.write_table(
        pa.Table.from_pylist([dataclasses.asdict(base)]), tmp_path / "population.parquet"
    )
    assert PopulationStats.read(tmp_path / "population.parquet") == base
