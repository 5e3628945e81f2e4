"""The promises about time and order, for every feature of the catalogue, on both kinds of
business.
"""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features import catalogue
from features.catalogue import FAMILIES
from features.core.instants import DAY_US
from features.engine import build as builder
from features.engine.build import build
from features.engine.business_columns import columns_for
from features.engine.columns import missing_features
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from features.recipes.recipe import FEATURES
from tests.support import worlds
from tests.support.checks import nonempty


@pytest.fixture(
    scope="module",
    params=[
        # `whole_shop` has these columns too.
        pytest.param("shop", marks=[pytest.mark.slow, pytest.mark.long]),
        "subscriptions",
        pytest.param("whole_shop", marks=[pytest.mark.slow, pytest.mark.long]),
        pytest.param("whole_subscriptions", marks=[pytest.mark.slow, pytest.mark.long]),
    ],
)
def world(request):
    """(history, settings, as_of, definitions, columns, base, rows) at an instant with a future."""
    _, settings, history = request.getfixturevalue(request.param)
    at = history.data_until - 200 * DAY_US
    known = history.as_of(at)
    definitions = learn_definitions(known, settings)
    columns, base = (
        columns_for(history, definitions, settings),
        population_stats(known, definitions),
    )
    return (
        history,
        settings,
        at,
        definitions,
        columns,
        base,
        build(known, population=base, definitions=definitions, columns=columns),
    )


def made(world, tables, **options):
    """The rows in another world, everything learned anew there."""
    history, settings, at, *_ = world
    known = worlds.rebuild_history(history, tables, **options).as_of(at)
    definitions = learn_definitions(known, settings)
    return build(
        known,
        population=population_stats(known, definitions),
        definitions=definitions,
        columns=columns_for(history, definitions, settings),
    )


def test_both_businesses_together_have_every_feature(shop, subscriptions):
    there = set(shop[2].names) | set(subscriptions[2].names)
    assert missing_features(tables=there) == {}


def test_the_catalogue_is_every_feature_of_its_files():
    """No file of the folder is forgotten, and no function in one of them."""
    written = [
        node.name
        for path in nonempty(Path(catalogue.__file__).parent.glob("[a-z]*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
        and any("feature" in ast.unparse(one) for one in node.decorator_list)
    ]
    assert sorted(written) == sorted(FEATURES)
    assert {entry.family for entry in FEATURES.values()} == set(FAMILIES)


def test_the_world_is_worth_testing(world):
    *_, columns, _, rows = world
    assert rows.num_rows > 100
    silent = [c.name for c in columns if rows[c.name].null_count == rows.num_rows]
    assert not silent, f"columns that say nothing here cannot show a leak: {silent}"


def test_rows_known_later_change_nothing(world):
    history, _, at, *_, rows = world
    assert made(world, worlds.truncate_history(worlds.read_tables(history), at)).equals(rows)


def test_scrambling_the_future_changes_nothing(world):
    history, _, at, *_, rows = world
    future = worlds.scramble_future(worlds.read_tables(history), at)
    assert any(
        not table.equals(worlds.read_tables(history)[name]) for name, table in future.items()
    )
    assert made(world, future).equals(rows)


def test_an_event_exactly_at_as_of_is_not_known(world):
    history, _, at, *_, rows = world
    tables = worlds.read_tables(history)
    name = history.activity_table
    extra = tables[name].slice(0, 50)
    for clock in ("occurred_at", "recorded_at"):
        extra = extra.set_column(extra.column_names.index(clock), clock, [[at] * extra.num_rows])
    extra = extra.cast(tables[name].schema)
    assert made(world, tables | {name: pa.concat_tables([tables[name], extra])}).equals(rows)


def test_row_order_and_threads_change_nothing(world):
    history, *_, rows = world
    assert made(world, worlds.shuffle_rows(worlds.read_tables(history)), threads=2).equals(rows)


def test_rows_that_share_an_instant_may_come_in_any_order(world):
    """Of rows at one instant values decide, never the order they lie in."""
    history, *_ = world
    tables = worlds.tied(worlds.read_tables(history))
    first = made(world, tables)
    assert all(
        made(world, worlds.shuffle_rows(tables, seed), threads=2).equals(first) for seed in (1, 2)
    )


def test_one_customer_alone_equals_the_customer_among_others(world):
    history, _, at, definitions, columns, base, rows = world
    tables = worlds.read_tables(history)
    ids = rows["customer_id"].to_pylist()
    for position in range(0, len(ids), max(1, len(ids) // 6)):
        known = worlds.rebuild_history(history, worlds.keep_customer(tables, ids[position])).as_of(
            at
        )
        alone = build(known, population=base, definitions=definitions, columns=columns)
        assert alone.equals(rows.slice(position, 1).combine_chunks()), ids[position]


@pytest.mark.parametrize("parts", [4, 1])
def test_parts_of_customers_are_the_whole(world, monkeypatch, parts):
    history, _, at, definitions, columns, base, rows = world
    everybody = len(history.as_of(at).customers.collect(backend="pyarrow"))
    # Some parts and a rest; and all but one, so that the last part is a customer alone.
    size = everybody // parts if parts > 1 else everybody - 1
    monkeypatch.setattr(builder, "PART_CUSTOMERS", size)
    built = build(history.as_of(at), population=base, definitions=definitions, columns=columns)
    assert built.combine_chunks().equals(rows.combine_chunks())


def test_asking_for_some_customers_gives_their_rows(world):
    history, _, at, definitions, columns, base, rows = world
    asked = rows["customer_id"].to_pylist()[3:10]
    some = build(
        history.as_of(at),
        population=base,
        definitions=definitions,
        columns=columns,
        customers=asked,
    )
    assert some.equals(rows.slice(3, 7).combine_chunks())


def test_an_instant_before_everything_knows_nothing(world):
    history, _, _, definitions, columns, _, _ = world
    known = history.as_of(0)
    rows = build(
        known,
        population=population_stats(known, definitions),
        definitions=definitions,
        columns=columns,
    )
    assert rows.num_rows == 0


def test_no_value_is_nan_or_infinite(world):
    *_, columns, _, rows = world
    for column in nonempty(columns):
        values = rows[column.name].drop_null().to_numpy()
        assert np.isfinite(values).all(), column.name
